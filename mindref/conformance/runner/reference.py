"""Compute the expected answer to a call, and an error bound for each number, with the reference.

Spec: specs/numerics.md. One float64 pass through mindref.ops and mindref.models computes both. If
an error is at most twice the statistical error, the number passes with grade A. If the error is
larger, but at most the worst-case error, the number passes with grade B.
"""

from __future__ import annotations

import hashlib
import importlib
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision, allowances, dense_table
from mindref.conformance.bounds.evaluate import Wrap
from mindref.conformance.runner.backend_answers import answer_steps
from mindref.conformance.runner.call import (
    CALLERS,
    Answer,
    AnyArray,
    Call,
    call_fields,
    calls_of_callers,
    map_floats,
)
from mindref.conformance.runner.callers import LEFT_OUT, caller_part
from mindref.conformance.runner.composed_backend import ComposedBackend, reference_model
from mindref.models.parameters import flatten, flatten_gradients
from mindref.shapes import Array

FLOAT64 = Precision.of("float64")


class ExpectedArray(NamedTuple):
    """The expected numbers of one array of an answer, and their error bounds."""

    value: Array  # float64, or bool or integers
    allowed: Array  # error bound

    def largest_error_ratio(self, got: AnyArray) -> float:
        """Return the largest ratio |got - value| / allowed, or 0 for empty arrays.

        If exactly one of the expected and the computed number is finite, the ratio is infinite
        (numerics-R13). Exception: if `value` is finite and `allowed` is infinite, the ratio is 0.
        """
        return float(np.max(self.error_ratios(got), initial=0.0))

    def error_ratios(self, got: AnyArray) -> AnyArray:
        """Return |got - value| / allowed of each number, as in `largest_error_ratio`."""
        value = np.asarray(self.value)
        if value.dtype.kind in "biu":
            return np.where(got == value, 0.0, np.inf)
        got = got.astype(np.float64)
        with np.errstate(all="ignore"):
            apart = np.abs(got - value)
            shares = np.where(apart == 0, 0.0, apart / self.allowed)
        non_finite = ~np.isfinite(value)
        shares = np.where(non_finite, np.where(np.isfinite(got), np.inf, 0.0), shares)
        shares = np.where(np.isnan(shares) | (~non_finite & ~np.isfinite(got)), np.inf, shares)
        return np.where(~non_finite & np.isinf(self.allowed), 0.0, shares)  # no bound applies

    def interval(self) -> tuple[AnyArray, AnyArray]:
        """Return the smallest and the largest allowed value of each number."""
        value = np.asarray(self.value)
        if value.dtype.kind in "biu":
            return value, value
        with np.errstate(all="ignore"):
            return value - self.allowed, value + self.allowed

    def index_of_largest_error(self, got: AnyArray, ratios: AnyArray) -> int:
        """Return the flat index of the largest ratio, and of these, of the largest difference."""
        with np.errstate(all="ignore"):
            apart = np.abs(np.asarray(got, np.float64) - np.asarray(self.value, np.float64))
        apart = np.nan_to_num(apart, nan=np.inf)
        return int(np.argmax(np.where(ratios == np.max(ratios), apart, -1)))

    def describe_deviation(self, name: str, got: AnyArray) -> str:
        """Describe the number with the largest error: position, computed and expected value.

        Of several largest ratios, such as infinite ones, take that of the largest difference.
        """
        shares = self.error_ratios(got)
        position = np.unravel_index(self.index_of_largest_error(got, shares), shares.shape)
        label = f"{name}[{', '.join(map(str, position))}]" if position else name
        value, share = np.asarray(self.value)[position], float(shares[position])
        if np.asarray(self.value).dtype.kind in "biu":
            return f"{label} is {got[position]}, expected {value}"
        allowed = float(np.asarray(self.allowed)[position])
        off = int(np.sum(shares > 1))
        computed, expected = f"{float(got[position]):.9g}", f"{float(value):.9g}"
        if computed == expected:  # they differ beyond nine digits
            computed, expected = f"{float(got[position]):.17g}", f"{float(value):.17g}"
        text = f"{label} is {computed}, expected {expected}"
        text += f" ± {allowed:.2g}" if allowed else " exactly"
        if np.isfinite(share):
            text += f" ({share:.3g} times the error bound)"
        return text + (f"; {off} of {shares.size} numbers are outside" if shares.size > 1 else "")


def expected_answer(
    call: Call, precision: Precision, mode: str = "statistical"
) -> dict[str, ExpectedArray]:
    """Return the reference's answer to `call`, with error bounds for `precision` and `mode`."""
    return dict(cached_expected(CallKey(call.to(np.float64), precision, mode)))


class CallKey:
    """Cache key: a call, a precision and a mode. Keys with equal content are equal."""

    def __init__(self, call: Call, precision: Precision = FLOAT64, mode: str = "") -> None:
        self.call, self.precision, self.mode = call, precision, mode
        content = hashlib.blake2b(repr((precision, mode)).encode())
        hash_content(content, tuple(call))
        self.content = content.digest()

    def __hash__(self) -> int:
        return hash(self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallKey) and self.content == other.content


def hash_content(content: hashlib.blake2b, x: object) -> None:
    """Add `x` to the hash `content`. `x` may be nested tuples and dicts of arrays."""
    if isinstance(x, np.ndarray):
        content.update(repr((x.dtype.str, x.shape, x.strides)).encode())
        content.update(x.tobytes())
    elif isinstance(x, tuple | dict):
        content.update(f"{type(x).__name__} of {len(x)}".encode())
        for part in x.items() if isinstance(x, dict) else x:
            hash_content(content, part)
    else:
        content.update(repr(x).encode())


@lru_cache(maxsize=1024)  # several checks use the same calls
def cached_expected(question: CallKey) -> dict[str, ExpectedArray]:
    """Return the expected answer. It is cached, so callers must not change the arrays."""
    call, precision, mode = question.call, question.precision, question.mode
    if call.stem == "composition":  # operators store results in the dtype of the inputs
        precision = precision._replace(store=precision.input)
    allowed = allowances(lambda wrap: evaluate_reference(call, wrap), precision, mode)
    return {name: ExpectedArray(part.value, part.error) for name, part in allowed.parts.items()}


def evaluate_reference(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Apply `wrap` to each float array of `call`, and return the reference's answer."""
    functions = {
        "composition": loss_answer,
        "loss": loss_answer,
        "interests": interests_answer,
        "training": training_answer,
        "steps": steps_answer,
        "scores": scores_answer,
        CALLERS: callers_answer,
    }
    wrapped = call._replace(arrays=map_floats(wrap, call.arrays))
    return functions.get(call.stem, operator_answer)(wrapped, wrap)


def operator_answer(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Return the output of an operator and, if `call` has a cotangent, the gradients."""
    module = importlib.import_module(f"mindref.ops.{call.stem}")
    out, saved = module.forward(*call.arrays.values(), **call.numbers)
    answer = {"out": out}
    if call.stem == "routing":
        answer["couplings"] = saved.couplings
    if call.cotangent is None:
        return answer
    gradients = module.backward(wrap(call.cotangent), saved)
    names = call.differentiable
    if len(names) == 1:
        gradients = (gradients,)
    for name, gradient in zip(names, gradients, strict=True):
        if hasattr(gradient, "rows"):
            answer["rows"] = gradient.rows
        answer[f"d_{name}"] = as_table(gradient, len(call.arrays[name]))
    return answer


def loss_answer(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Return the loss of a batch, and its gradient with respect to every parameter."""
    params, batch, catalogue = call.arrays.values()
    config = call.numbers["config"]
    loss, gradients = reference_model().loss_and_gradients(params, batch, catalogue, config)
    answer: dict[str, Any] = {"loss": loss, "rows": gradients.items.rows}
    lengths = {name: len(x) for name, x in flatten(params).items()}
    for name, gradient in flatten_gradients(gradients).items():
        answer[f"d_{name}"] = as_table(gradient, lengths[name])
    return answer


def interests_answer(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Return the interests of users, and a mask of active interests."""
    (params, histories, catalogue), config = call.arrays.values(), call.numbers["config"]
    vectors, active = reference_model().interests(params, histories, catalogue, config)
    return {"interests": vectors, "active": active}


def training_answer(call: Call, wrap: Wrap, model: ComposedBackend | None = None) -> dict[str, Any]:
    """Train on the batches of `call`. Return the loss of each step and the final parameters."""
    params, batches, catalogue, *moments = call.arrays.values()
    model, config = model or reference_model(), call.numbers["config"]
    state, losses = model.init(params, config, *moments), []
    for batch in batches:
        rate = call.numbers["learning_rate"]
        state, loss = model.step(state, batch, catalogue, config, rate)
        losses.append(loss.reshape(1))
    return {"losses": np.concatenate(losses), **flatten(model.parameters(state))}


def steps_answer(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Train. Return the losses, and the parameters and moments after each step."""
    return dict(answer_steps(reference_model(), call_fields(call)))


def scores_answer(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Return the scores of items for users."""
    return {"scores": reference_model().scores(*call.arrays.values())}


def callers_answer(call: Call, wrap: Wrap) -> dict[str, Any]:
    """Return the answer to the call of each caller."""
    return {
        caller_part(number, name): x
        for number, one in enumerate(calls_of_callers(call))
        for name, x in evaluate_reference(one, wrap).items()
        if name not in LEFT_OUT
    }


def as_table(gradient: Any, count: int) -> Any:
    """Return a row-sparse `gradient` as a table of `count` rows, and other gradients unchanged."""
    return dense_table(gradient, count) if hasattr(gradient, "rows") else gradient


def reference_answer(call: Call) -> Answer:
    """Return the reference's answer to `call`, computed in the dtype of `call`."""
    return {name: np.asarray(x) for name, x in evaluate_reference(call, lambda x: x).items()}
