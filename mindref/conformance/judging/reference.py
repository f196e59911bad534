"""The same question put to the reference, in numbers that carry their allowed error.

Spec: specs/numerics.md. Value and error come out of one pass through the code of mindref.ops and
mindref.models in float64. A result may lie off by twice its statistical error (grade A); beyond
that, but within the error of the worst case, it passes with grade B.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision, allowances, dense
from mindref.conformance.judging.call import Answer, Call, mapped
from mindref.conformance.judging.composed import reference_model
from mindref.models.parameters import flatten, flatten_gradients
from mindref.shapes import Array


class Expected(NamedTuple):
    """What should come back under one name."""

    value: Array  # float64; bool or integers where the answer is
    allowed: Array  # how far a result may lie off


def expected(call: Call, precision: Precision, mode: str = "statistical") -> dict[str, Expected]:
    """Return what the reference answers and how far an answer in this precision may lie off."""
    return dict(worked_out(Question(call.to(np.float64), precision, mode)))


class Question:
    """A call in one precision and mode; equal to any other of the same content."""

    def __init__(self, call: Call, precision: Precision, mode: str) -> None:
        self.call, self.precision, self.mode = call, precision, mode
        content = hashlib.blake2b(repr((precision, mode)).encode())
        enter(content, tuple(call))
        self.content = content.digest()

    def __hash__(self) -> int:
        return hash(self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Question) and self.content == other.content


def enter(content: Any, x: Any) -> None:
    """Enter all that a nest of tuples, dicts and arrays holds, the layout of arrays too."""
    if isinstance(x, np.ndarray):
        content.update(repr((x.dtype.str, x.shape, x.strides)).encode())
        content.update(x.tobytes())
    elif isinstance(x, tuple | dict):
        content.update(f"{type(x).__name__} of {len(x)}".encode())
        for part in x.items() if isinstance(x, dict) else x:
            enter(content, part)
    else:
        content.update(repr(x).encode())


@lru_cache(maxsize=1024)  # checks of one page share calls, and nulls are asked what comes again
def worked_out(question: Question) -> dict[str, Expected]:
    """Return what is expected; never written to."""
    call, precision, mode = question.call, question.precision, question.mode
    if (
        call.stem == "composition"
    ):  # from operator to operator go answers, in the type of the inputs
        precision = precision._replace(store=precision.input)
    found = allowances(lambda wrap: evaluate(call, wrap), precision, mode)
    return {name: Expected(part.value, part.error) for name, part in found.parts.items()}


def evaluate(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Put the question to the reference, each float array passed through `wrap` first."""
    asked = {"composition": loss, "loss": loss, "interests": interests, "training": training}
    return asked.get(call.stem, operator)(call._replace(arrays=mapped(wrap, call.arrays)), wrap)


def operator(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Level 1."""
    module = importlib.import_module(f"mindref.ops.{call.stem}")
    out, saved = module.forward(*call.arrays.values(), **call.numbers)
    answer = {"out": out}
    if call.stem == "routing":
        answer["couplings"] = saved.couplings
    if call.cotangent is None:
        return answer
    gradients = module.backward(wrap(call.cotangent), saved)
    names = call.learned
    if len(names) == 1:
        gradients = (gradients,)
    for name, gradient in zip(names, gradients, strict=True):
        if hasattr(gradient, "rows"):
            answer["rows"] = gradient.rows
        answer[f"d_{name}"] = as_table(gradient, len(call.arrays[name]))
    return answer


def loss(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Level 2."""
    params, batch, catalogue = call.arrays.values()
    found, gradients = reference_model().loss_and_gradients(
        params, batch, catalogue, call.numbers["config"]
    )
    answer: dict[str, Any] = {"loss": found, "rows": gradients.items.rows}
    lengths = {name: len(x) for name, x in flatten(params).items()}
    for name, gradient in flatten_gradients(gradients).items():
        answer[f"d_{name}"] = as_table(gradient, lengths[name])
    return answer


def interests(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Level 2, serving."""
    params, histories, catalogue = call.arrays.values()
    found, active = reference_model().interests(
        params, histories, catalogue, call.numbers["config"]
    )
    return {"interests": found, "active": active}


def training(call: Call, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Level 3."""
    params, batches, catalogue = call.arrays.values()
    model, config = reference_model(), call.numbers["config"]
    state, losses = model.init(params, config), []
    for batch in batches:
        rate = call.numbers["learning_rate"]
        state, found = model.step(state, batch, catalogue, config, rate)
        losses.append(found.reshape(1))
    return {"losses": np.concatenate(losses), **flatten(model.parameters(state))}


def as_table(gradient: Any, count: int) -> Any:
    """Return a row-sparse gradient as a table of `count` rows, any other as it is."""
    return dense(gradient, count) if hasattr(gradient, "rows") else gradient


def plainly(call: Call) -> Answer:
    """Return what the reference answers to the call as it is, in the call's own type."""
    return {name: np.asarray(x) for name, x in evaluate(call, lambda x: x).items()}
