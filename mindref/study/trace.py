"""The trace: every step of one computation, and its JSON, "mindref.trace/1" (trace.schema.json).

Arrays travel as base64 of their bytes, so that not a bit is lost; the same trace gives the same
JSON, whatever the hash seed, and read and written again it is the same file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mindref.errors import DataError, say
from mindref.study.equation import latex, mathml
from mindref.study.recipes import Recipe
from mindref.study.sources import Span

FORMAT = "mindref.trace/1"
DTYPES = {"float64": "<f8", "int64": "<i8", "bool": "|b1"}


class Tensor(NamedTuple):
    """An array with the names of its axes, and how its cells come about."""

    name: str  # one in a trace: "w[2]"
    axes: tuple[str, ...]
    values: Any
    recipe: Recipe

    @property
    def symbol(self) -> str:
        """Return the name without round or part: w, history.weights -> weights."""
        return symbol_of(self.name)


class Invariant(NamedTuple):
    """Something that must hold, and by how much it does not."""

    text: str
    residual: float
    tolerance: float
    check: dict[str, Any]  # see checks.py

    @property
    def holds(self) -> bool:
        """Return whether it does."""
        return self.residual <= self.tolerance


class Question(NamedTuple):
    """What to predict before looking; the answer is an index of the choices."""

    text: str
    choices: tuple[str, ...]
    answer: int


class Step(NamedTuple):
    """One step; the texts come from the table, the numbers from the running code."""

    id: str
    kind: str
    turn: int  # the round or layer, 0 in none
    phase: str
    title: str
    why: str
    equation: str
    symbols: dict[str, str]  # symbol of the equation -> tensor
    paper: str
    rules: tuple[str, ...]
    source: tuple[Span, ...]
    inputs: tuple[str, ...]
    outputs: tuple[Tensor, ...]
    invariants: tuple[Invariant, ...]
    question: Question | None
    variants: tuple[str, ...]
    exercises: tuple[str, ...]


class Trace:
    """Steps, the labels of axes, and what was traced."""

    def __init__(
        self, about: dict[str, Any], labels: dict[str, list[str]], steps: Sequence[Step]
    ) -> None:
        self.about, self.labels, self.steps = about, labels, tuple(steps)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor by its name."""
        return {tensor.name: tensor for step in self.steps for tensor in step.outputs}

    @cached_property
    def values(self) -> dict[str, Any]:
        """Return every array by the name of its tensor."""
        return {name: tensor.values for name, tensor in self.tensors.items()}

    @cached_property
    def made_by(self) -> dict[str, Step]:
        """Return the step that shows a tensor, by the name of the tensor."""
        return {tensor.name: step for step in self.steps for tensor in step.outputs}

    def readers(self, name: str) -> Iterator[Step]:
        """Yield the steps that read a tensor."""
        return (step for step in self.steps if name in step.inputs)

    def labels_of(self, axis: str, size: int) -> list[str]:
        """Return a label for each place of an axis, numbers where there are no names."""
        return labelled(self.labels, axis, size)

    def to_json(self) -> str:
        """Return the trace as JSON."""
        steps = [step_json(step) for step in self.steps]
        plain = {"format": FORMAT, "about": self.about, "labels": self.labels, "steps": steps}
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """Read what `to_json` wrote. Raises DataError for anything else."""
        try:
            plain = json.loads(text)
            if plain["format"] != FORMAT:
                raise DataError(say("trace: format", FORMAT, plain["format"]))
            return cls(plain["about"], plain["labels"], [step_of(x) for x in plain["steps"]])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise DataError(say("trace", f"JSON of the format {FORMAT}", got)) from error


def labelled(labels: Mapping[str, list[str]], axis: str, size: int) -> list[str]:
    """Return a label for each place of an axis, numbers where there are no names."""
    return labels.get(axis) or [str(place + 1) for place in range(size)]


def symbol_of(name: str) -> str:
    """Return what stands for a tensor in an equation."""
    last = name.rpartition(".")[2].partition("[")[0]
    return last if "d_" not in name.rpartition(".")[0] else name


def step_json(step: Step) -> dict[str, Any]:
    """Return a step as plain data."""
    equation = {
        "plain": step.equation,
        "mathml": mathml(step.equation, step.symbols),
        "latex": latex(step.equation, step.symbols),
        "symbols": step.symbols,
    }
    question = step.question._asdict() if step.question else None
    return {
        "id": step.id,
        "kind": step.kind,
        "turn": step.turn or None,
        "phase": step.phase,
        "title": step.title,
        "why": step.why,
        "equation": equation,
        "paper": step.paper,
        "rules": list(step.rules),
        "source": [span._asdict() for span in step.source],
        "inputs": list(step.inputs),
        "outputs": [tensor_json(tensor) for tensor in step.outputs],
        "invariants": [invariant_json(x) for x in step.invariants],
        "question": question,
        "variants": list(step.variants),
        "exercises": list(step.exercises),
    }


def tensor_json(tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as plain data."""
    kind = np.asarray(tensor.values).dtype.name
    stored = np.ascontiguousarray(tensor.values, DTYPES[kind])
    return {
        "name": tensor.name,
        "symbol": tensor.symbol,
        "axes": list(tensor.axes),
        "shape": list(np.shape(tensor.values)),
        "dtype": kind,
        "data": base64.b64encode(stored.tobytes()).decode(),
        "recipe": tensor.recipe,
    }


def invariant_json(invariant: Invariant) -> dict[str, Any]:
    """Return an invariant as plain data; an infinite residual stays a word."""
    residual = invariant.residual if np.isfinite(invariant.residual) else str(invariant.residual)
    plain = invariant._asdict() | {"residual": residual, "holds": invariant.holds}
    return {name: plain[name] for name in ("text", "residual", "tolerance", "holds", "check")}


def step_of(plain: dict[str, Any]) -> Step:
    """Return the step that `step_json` wrote."""
    question = plain["question"]
    return Step(
        plain["id"],
        plain["kind"],
        plain["turn"] or 0,
        plain["phase"],
        plain["title"],
        plain["why"],
        plain["equation"]["plain"],
        plain["equation"]["symbols"],
        plain["paper"],
        tuple(plain["rules"]),
        tuple(Span(**span) for span in plain["source"]),
        tuple(plain["inputs"]),
        tuple(tensor_of(tensor) for tensor in plain["outputs"]),
        tuple(
            Invariant(x["text"], float(x["residual"]), x["tolerance"], x["check"])
            for x in plain["invariants"]
        ),
        Question(question["text"], tuple(question["choices"]), question["answer"])
        if question
        else None,
        tuple(plain["variants"]),
        tuple(plain["exercises"]),
    )


def tensor_of(plain: dict[str, Any]) -> Tensor:
    """Return the tensor that `tensor_json` wrote, to the last bit."""
    values = np.frombuffer(base64.b64decode(plain["data"]), DTYPES[plain["dtype"]])
    values = values.reshape(plain["shape"]).astype(plain["dtype"])
    return Tensor(plain["name"], tuple(plain["axes"]), values, plain["recipe"])
