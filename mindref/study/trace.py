"""The trace of one computation, and its JSON format "mindref.trace/1" (trace.schema.json).

Arrays are stored as base64, so that reading a trace restores every bit. The JSON is reproducible:
it does not depend on the hash seed, and reading and writing it gives the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mindref.errors import DataError, printable_json, say
from mindref.study import json_arrays
from mindref.study.formulas import Equation
from mindref.study.recipes import Recipe
from mindref.study.sources import Span

FORMAT = "mindref.trace/1"
DTYPES = {"float64": "<f8", "int64": "<i8", "bool": "|b1"}


class Tensor(NamedTuple):
    """An array with axis names and the recipe of its cells."""

    name: str  # unique in a trace: "w[2]"
    axes: tuple[str, ...]
    values: Any
    recipe: Recipe

    @property
    def symbol(self) -> str:
        """Return the symbol in equations: w[2] -> w, history.weights -> weights."""
        return tensor_symbol(self.name)


class Invariant(NamedTuple):
    """A property of the numbers of a step, and its residual."""

    text: str
    residual: float
    tolerance: float
    check: dict[str, Any]  # see invariants.py

    @property
    def holds(self) -> bool:
        """Return whether the residual is within the tolerance."""
        return self.residual <= self.tolerance


class Question(NamedTuple):
    """A question about the result of a step; the answer is an index of the choices."""

    text: str
    choices: tuple[str, ...]
    answer: int
    because: str = ""  # the numbers that decide


class Step(NamedTuple):
    """One step: texts of the table of steps, and recorded numbers."""

    id: str
    kind: str
    number: int  # iteration or layer, from 1; 0 for neither
    phase: str
    title: str
    why: str
    equation: Equation
    paper: str
    rules: tuple[str, ...]
    source: tuple[Span, ...]
    inputs: tuple[str, ...]
    outputs: tuple[Tensor, ...]
    invariants: tuple[Invariant, ...]
    question: Question | None
    change: str  # since the same step of the previous iteration; "" without one
    variants: tuple[str, ...]
    exercises: tuple[str, ...]


class Trace:
    """Steps, labels of the axes, and metadata of the model and the user."""

    def __init__(
        self, about: dict[str, Any], labels: dict[str, list[str]], steps: Sequence[Step]
    ) -> None:
        self.metadata, self.labels, self.steps = about, labels, tuple(steps)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {tensor.name: tensor for step in self.steps for tensor in step.outputs}

    @cached_property
    def values(self) -> dict[str, Any]:
        """All arrays by tensor name."""
        return {name: tensor.values for name, tensor in self.tensors.items()}

    @cached_property
    def producers(self) -> dict[str, Step]:
        """The step that computes each tensor, by tensor name."""
        return {tensor.name: step for step in self.steps for tensor in step.outputs}

    def to_json(self) -> str:
        """Return the trace as JSON."""
        steps = [step_to_json(step) for step in self.steps]
        plain = {"format": FORMAT, "metadata": self.metadata, "labels": self.labels, "steps": steps}
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1)
        return printable_json(text) + "\n"  # security-R12

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """Return the trace of a text that `to_json` returned. Raises DataError for another text."""
        try:
            plain = json.loads(text)
            if plain["format"] != FORMAT:
                raise DataError(say("trace: format", FORMAT, plain["format"]))
            return cls(
                plain["metadata"], plain["labels"], [step_from_json(x) for x in plain["steps"]]
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise DataError(say("trace", f"JSON of the format {FORMAT}", got)) from error


def tensor_symbol(name: str) -> str:
    """Return the symbol of a tensor in equations."""
    last = name.rpartition(".")[2].partition("[")[0]
    return last if "d_" not in name.rpartition(".")[0] else name


def step_to_json(step: Step) -> dict[str, Any]:
    """Return a step as JSON values."""
    return step._asdict() | {
        "number": step.number or None,
        "equation": step.equation._asdict(),
        "source": [span._asdict() for span in step.source],
        "outputs": [tensor_to_json(tensor) for tensor in step.outputs],
        "invariants": [invariant_to_json(x) for x in step.invariants],
        "question": step.question._asdict() if step.question else None,
    }


def tensor_to_json(tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as JSON values."""
    array = json_arrays.array_to_json(np.asarray(tensor.values), tensor.axes)
    return {"name": tensor.name, "symbol": tensor.symbol, **array, "recipe": tensor.recipe}


def invariant_to_json(invariant: Invariant) -> dict[str, Any]:
    """Return an invariant as JSON values; an infinite residual is written as a word."""
    residual = json_arrays.number_to_json(invariant.residual)
    plain = invariant._asdict() | {"residual": residual, "holds": invariant.holds}
    return {name: plain[name] for name in ("text", "residual", "tolerance", "holds", "check")}


def step_from_json(plain: dict[str, Any]) -> Step:
    """Return the step that `step_to_json` wrote."""
    question, checks, equation = plain["question"], plain["invariants"], plain["equation"]
    fields: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in plain.items()
    } | {
        "number": plain["number"] or 0,
        "equation": Equation(**{**equation, "pages": tuple(equation["pages"])}),
        "source": tuple(Span(**span) for span in plain["source"]),
        "outputs": tuple(tensor_from_json(tensor) for tensor in plain["outputs"]),
        "invariants": tuple(
            Invariant(x["text"], float(x["residual"]), x["tolerance"], x["check"]) for x in checks
        ),
        "question": question and Question(**{**question, "choices": tuple(question["choices"])}),
    }
    return Step(**fields)


def tensor_from_json(plain: dict[str, Any]) -> Tensor:
    """Return the tensor that `tensor_to_json` wrote, to the last bit."""
    values = np.frombuffer(base64.b64decode(plain["data"]), DTYPES[plain["dtype"]])
    values = values.reshape(plain["shape"]).astype(plain["dtype"])
    return Tensor(plain["name"], tuple(plain["axes"]), values, plain["recipe"])
