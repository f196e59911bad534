"""The expected answer of a call, which the reference computes on arrays that carry error bounds.

Spec: specs/numerics.md. One float64 pass through mindref.ops and mindref.models computes values and
errors. If a number deviates by at most twice its statistical error, it passes with grade A. If it
deviates more, but within the worst-case error, it passes with grade B.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision, allowances, dense_table
from mindref.conformance.runner.call import Answer, AnyArray, Call, map_floats
from mindref.conformance.runner.composed_backend import reference_model
from mindref.models.parameters import flatten, flatten_gradients
from mindref.shapes import Array


class ExpectedArray(NamedTuple):
    """The expected numbers of one part (a named array) of an answer."""

    value: Array  # float64, except for a part of bool or integers
    allowed: Array  # error bound

    def largest_error_ratio(self, got: AnyArray) -> float:
        """Return the largest ratio of an error to its error bound.

        If exactly one of an expected and a computed number is finite, the ratio is infinite
        (numerics-R13). If no bound applies to a finite expected number, the ratio is 0.
        """
        return float(np.max(self.error_ratios(got), initial=0.0))

    def error_ratios(self, got: AnyArray) -> AnyArray:
        """Return |got - value| / allowed of each number; 0 if equal or if no bound applies."""
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
        """Return the smallest and the largest allowed value."""
        value = np.asarray(self.value)
        if value.dtype.kind in "biu":
            return value, value
        with np.errstate(all="ignore"):
            return value - self.allowed, value + self.allowed

    def describe_deviation(self, name: str, got: AnyArray) -> str:
        """Return a description of the largest error: position, answer and expected interval."""
        shares = self.error_ratios(got)
        position = np.unravel_index(int(np.argmax(shares)), shares.shape)
        label = f"{name}[{', '.join(map(str, position))}]" if position else name
        value, share = np.asarray(self.value)[position], float(shares[position])
        if np.asarray(self.value).dtype.kind in "biu":
            return f"{label} is {got[position]}, expected {value}"
        allowed = float(np.asarray(self.allowed)[position])
        off = int(np.sum(shares > 1))
        text = f"{label} is {float(got[position]):.9g}, expected {float(value):.9g}"
        text += f" ± {allowed:.2g}" if allowed else " exactly"
        if np.isfinite(share):
            text += f" ({share:.3g} times the error bound)"
        return text + (f"; {off} of {shares.size} numbers are outside" if shares.size > 1 else "")


def expected_answer(
    call: Call, precision: Precision, mode: str = "statistical"
) -> dict[str, ExpectedArray]:
    """Return the answer of the reference and the error bound of this precision."""
    return dict(cached_expected(CallKey(call.to(np.float64), precision, mode)))


class CallKey:
    """Cache key: a call in one precision and mode. Keys with the same content are equal."""

    def __init__(self, call: Call, precision: Precision, mode: str) -> None:
        self.call, self.precision, self.mode = call, precision, mode
        content = hashlib.blake2b(repr((precision, mode)).encode())
        hash_content(content, tuple(call))
        self.content = content.digest()

    def __hash__(self) -> int:
        return hash(self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallKey) and self.content == other.content


def hash_content(content: Any, x: Any) -> None:
    """Update the hash `content` with x: nested tuples and dicts, and arrays with their strides."""
    if isinstance(x, np.ndarray):
        content.update(repr((x.dtype.str, x.shape, x.strides)).encode())
        content.update(x.tobytes())
    elif isinstance(x, tuple | dict):
        content.update(f"{type(x).__name__} of {len(x)}".encode())
        for part in x.items() if isinstance(x, dict) else x:
            hash_content(content, part)
    else:
        content.update(repr(x).encode())


@lru_cache(maxsize=1024)  # checks of a page share calls
def cached_expected(question: CallKey) -> dict[str, ExpectedArray]:
    """Return the expected answer. Callers must not change its arrays, because they are cached."""
    call, precision, mode = question.call, question.precision, question.mode
    if call.stem == "composition":  # each operator returns the inputs' dtype
        precision = precision._replace(store=precision.input)
    allowed = allowances(lambda wrap: evaluate_reference(call, wrap), precision, mode)
    return {name: ExpectedArray(part.value, part.error) for name, part in allowed.parts.items()}


def evaluate_reference(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Run a call on the reference, with `wrap` applied to each float array."""
    functions = {
        "composition": loss_answer,
        "loss": loss_answer,
        "interests": interests_answer,
        "training": training_answer,
    }
    wrapped = call._replace(arrays=map_floats(wrap, call.arrays))
    return functions.get(call.stem, operator_answer)(wrapped, wrap)


def operator_answer(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the answer of an operator (level 1)."""
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


def loss_answer(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Return loss and gradients of a batch (level 2)."""
    params, batch, catalogue = call.arrays.values()
    config = call.numbers["config"]
    loss, gradients = reference_model().loss_and_gradients(params, batch, catalogue, config)
    answer: dict[str, Any] = {"loss": loss, "rows": gradients.items.rows}
    lengths = {name: len(x) for name, x in flatten(params).items()}
    for name, gradient in flatten_gradients(gradients).items():
        answer[f"d_{name}"] = as_table(gradient, lengths[name])
    return answer


def interests_answer(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the interests of users (level 2)."""
    (params, histories, catalogue), config = call.arrays.values(), call.numbers["config"]
    vectors, active = reference_model().interests(params, histories, catalogue, config)
    return {"interests": vectors, "active": active}


def training_answer(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the losses of some training steps, and the parameters after them (level 3)."""
    params, batches, catalogue = call.arrays.values()
    model, config = reference_model(), call.numbers["config"]
    state, losses = model.init(params, config), []
    for batch in batches:
        rate = call.numbers["learning_rate"]
        state, loss = model.step(state, batch, catalogue, config, rate)
        losses.append(loss.reshape(1))
    return {"losses": np.concatenate(losses), **flatten(model.parameters(state))}


def as_table(gradient: Any, count: int) -> Any:
    """Return a row-sparse gradient as a table of `count` rows; any other gradient unchanged."""
    return dense_table(gradient, count) if hasattr(gradient, "rows") else gradient


def reference_answer(call: Call) -> Answer:
    """Return the answer of the reference in the dtype of the call."""
    return {name: np.asarray(x) for name, x in evaluate_reference(call, lambda x: x).items()}
