"""Build a trace from recorded events and the table of steps.

Steps are in the order of the computation. A trace has one user, so the axis of users is removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mindref.study.formulas import make_equation
from mindref.study.invariants import RESIDUALS, TOLERANCE, relative_difference
from mindref.study.iteration_changes import Numbers, describe_change
from mindref.study.placeholders import TraceContext, fill_placeholders
from mindref.study.questions import make_question
from mindref.study.recipe_arrays import evaluate_recipe
from mindref.study.recipes import Recipe, parse_recipe, recipe_inputs
from mindref.study.record import Event
from mindref.study.sources import find_span
from mindref.study.steps import KINDS
from mindref.study.steps.kind import AXES, OutputSpec, StepKind
from mindref.study.steps.letters import select_constants, select_letters
from mindref.study.steps.option_texts import adapt_step_kind
from mindref.study.trace import Invariant, Step, Tensor, Trace, tensor_symbol

PER_BEHAVIOUR = ("ids", "history.lookup")
"""Events without rows for padding; the builder adds rows of zeros."""


def build_trace(
    events: Sequence[Event],
    context: TraceContext,
    metadata: dict[str, Any],
    labels: dict[str, list[str]],
) -> Trace:
    """Return the trace of recorded events."""
    user = str(metadata.get("user", ""))
    builder = TraceBuilder(context, labels, history_mask(events), user)
    steps: list[Step] = []
    recorded: dict[str, Event] = {}
    for event in events:
        recorded[event.name] = event
        for kind in KINDS:
            if kind.events[-1] == event.name and kind.absent_if not in context.flags:
                merged = {name.rpartition(".")[2]: recorded[name].arrays for name in kind.events}
                arrays = event.arrays if len(merged) == 1 else merged
                adapted = adapt_step_kind(kind, context)
                padded = pad_behaviour_rows(event, arrays, builder.mask)
                steps.append(builder.make_step(adapted, event.number, padded))
    return Trace(metadata, builder.labels, steps)


def history_mask(events: Sequence[Event]) -> Any:
    """Return the mask of the history (L,)."""
    return next(event.arrays["mask"][0] for event in events if event.name == "ids")


def pad_behaviour_rows(event: Event, arrays: Mapping[str, Any], mask: Any) -> Mapping[str, Any]:
    """Return the arrays of an event with rows of zeros for padding."""
    if event.name not in PER_BEHAVIOUR or mask.all():
        return arrays
    out = dict(arrays)
    for name, x in arrays.items():
        if name != "mask":
            out[name] = np.zeros((len(mask), *x.shape[1:]), x.dtype)
            out[name][mask] = x[: mask.sum()]
    return out


class TraceBuilder:
    """Makes the steps one by one; a recipe may read the tensors of earlier steps."""

    def __init__(
        self, context: TraceContext, labels: dict[str, list[str]], mask: Any, user: str = ""
    ) -> None:
        self.context, self.labels, self.mask, self.user = context, labels, mask, user
        self.values: dict[str, Any] = {}
        self.recipes: dict[str, Recipe] = {}
        self.sizes: dict[str, int] = {}

    def make_step(self, kind: StepKind, number: int, arrays: Mapping[str, Any]) -> Step:
        """Return the step of an event."""
        filled = partial(fill_placeholders, context=self.context, number=number)
        outputs = [x for x in (self.make_tensor(out, number, arrays) for out in kind.outputs) if x]
        output_names = {tensor.name for tensor in outputs}
        read = [name for tensor in outputs for name in recipe_inputs(tensor.recipe)]
        number_in_id = number if kind.phase in ("forward", "backward") else 0
        step = step_id(kind.kind, number_in_id)
        iterations = self.context.iterations
        numbers = Numbers(self.values, self.labels, number, iterations, self.recipes)
        return Step(
            id=step,
            kind=kind.kind,
            number=number_in_id,
            phase=kind.phase,
            title=kind.title,
            why=filled(kind.why),
            equation=make_equation(
                kind.formulas,
                partial(select_letters, step=kind.letters),
                select_constants,
                unique_symbols([*read, *(x.name for x in outputs)]),
                filled,
            ),
            paper=kind.paper,
            rules=tuple(kind.rules.split()),
            source=tuple(find_span(anchor) for anchor in kind.code),
            inputs=tuple(name for name in dict.fromkeys(read) if name not in output_names),
            outputs=tuple(outputs),
            invariants=self.make_invariants(kind, filled, outputs),
            question=make_question(step, numbers, self.user),
            change=describe_change(kind.kind, numbers),
            variants=kind.variants,
            exercises=kind.exercises,
        )

    def make_tensor(self, out: OutputSpec, number: int, arrays: Mapping[str, Any]) -> Tensor | None:
        """Return an output tensor; None for an empty array."""
        filled = partial(fill_placeholders, context=self.context, number=number)
        name, axes = filled(out.name), tuple(filled(AXES[letter]) for letter in out.letters)
        recipe = parse_recipe(filled(out.recipe), out.letters)
        if out.value == "":
            values = evaluate_recipe(recipe, self.values)
        elif callable(out.value):
            values = out.value(arrays, self.context)
        else:
            values = value_at_path(arrays, out.value)
        if np.size(values) == 0 and axes:  # for example, a model without user features
            return None
        values = self.drop_user_axis(values, axes)
        self.values[name], self.recipes[name] = values, recipe
        self.sizes |= dict(zip(axes, values.shape, strict=True))
        return Tensor(name, axes, values, recipe)

    def drop_user_axis(self, values: Any, axes: Sequence[str]) -> Any:
        """Return the array of the first user in float64, int64 or bool."""
        x = np.asarray(values)
        x = x.astype({"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}[x.dtype.kind])
        if x.ndim > len(axes):  # the axis of users
            x = x[0]
        if x.ndim > len(axes):  # an axis kept for broadcasting
            x = x[..., 0]
        if x.ndim < len(axes):
            x = x.reshape([self.sizes.get(axis, -1) for axis in axes])
        return x

    def make_invariants(
        self, kind: StepKind, filled: Any, outputs: Sequence[Tensor]
    ) -> tuple[Invariant, ...]:
        """Return the invariants of a step with their residuals."""
        out = []
        for text, how, arguments in kind.checks:
            data = {n: filled(x) if isinstance(x, str) else x for n, x in arguments.items()}
            data = {n: "inf" if x == float("inf") else x for n, x in data.items()}
            if how != "finite" and not all(n in self.values for n in tensors_read(data)):
                continue
            check = {"kind": how, **data}
            residual = RESIDUALS[how](check, self.values)
            out.append(Invariant(filled(text), residual, TOLERANCE, check))
        computed = [tensor for tensor in outputs if tensor.recipe["op"] != "input"]
        if computed:
            deviation = max(self.recipe_error(tensor) for tensor in computed)
            check = {"kind": "recomputed", "of": [x.name for x in computed]}
            text = "recomputed from its inputs"
            out.append(Invariant(text, deviation, TOLERANCE, check))
        return tuple(out)

    def recipe_error(self, tensor: Tensor) -> float:
        """Return the largest difference of a tensor from its recipe; infinity without an input.

        Only the trace of a variant can lack a step.
        """
        if not all(name in self.values for name in recipe_inputs(tensor.recipe)):
            return float("inf")
        return relative_difference(evaluate_recipe(tensor.recipe, self.values), tensor.values)


def tensors_read(check: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors that an invariant reads."""
    read = [check[key] for key in ("of", "where", "to", "by", "among") if check.get(key)]
    return [x.rpartition(":")[0] or x for x in read]


def step_id(kind: str, number: int) -> str:
    """Return the id of a step, with the iteration or layer in brackets after the operator."""
    if not number:
        return kind
    head, dot, tail = kind.partition(".")
    return f"{head}[{number}]{dot}{tail}"


def unique_symbols(names: Sequence[str]) -> dict[str, str]:
    """Return the symbol of each tensor of a step; a second tensor with the symbol has a prime."""
    tensors: dict[str, str] = {}
    for name in names:
        symbol = tensor_symbol(name)
        is_taken = tensors.get(symbol, name) != name
        tensors[symbol + "'" * is_taken] = name
    return {name: symbol for symbol, name in tensors.items()}


def value_at_path(arrays: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as "saved.unit" or "before.value"."""
    value: Any = arrays
    for name in path.split("."):
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value
