"""From the events of a recorder and the table of steps to a trace.

Steps come in the order in which the code met them. The axis of users is dropped: a trace is of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mindref.study.checks import CHECKS, TOLERANCE, apart
from mindref.study.equation import tokens
from mindref.study.evaluate import evaluate
from mindref.study.questions import question
from mindref.study.recipes import inputs, parse
from mindref.study.record import Event
from mindref.study.sources import span
from mindref.study.steps import KINDS
from mindref.study.steps.kind import Kind, Out
from mindref.study.steps.otherwise import fitting
from mindref.study.trace import Invariant, Step, Tensor, Trace, labelled, symbol_of
from mindref.study.words import About, fill

PER_BEHAVIOUR = ("ids", "history.lookup")
"""Events whose rows are the real behaviours: places of padding get zeros (and no id)."""


def build(
    events: Sequence[Event], about: About, facts: dict[str, Any], labels: dict[str, list[str]]
) -> Trace:
    """Return the trace of what a recorder heard."""
    builder = Builder(about, labels, mask_of(events))
    steps: list[Step] = []
    waiting: dict[str, Event] = {}
    for event in events:
        waiting[event.name] = event
        for kind in KINDS:
            names = kind.event.split()
            if names[-1] == event.name and kind.unless not in about.flags:
                heard = {name.rpartition(".")[2]: waiting[name].arrays for name in names}
                arrays = event.arrays if len(names) == 1 else heard
                own = fitting(kind, about)
                steps.append(builder.step(own, event.turn, padded(event, arrays, builder.mask)))
    return Trace(facts, builder.labels, steps)


def mask_of(events: Sequence[Event]) -> Any:
    """Return the mask of the history (L,)."""
    return next(event.arrays["mask"][0] for event in events if event.name == "ids")


def padded(event: Event, arrays: Mapping[str, Any], mask: Any) -> Mapping[str, Any]:
    """Return arrays of behaviours with rows for the padding, too."""
    if event.name not in PER_BEHAVIOUR or mask.all():
        return arrays
    out = dict(arrays)
    for name, x in arrays.items():
        if name != "mask":
            out[name] = np.zeros((len(mask), *x.shape[1:]), x.dtype)
            out[name][mask] = x[: mask.sum()]
    return out


class Builder:
    """Fills in the table, step by step; later steps may read what earlier ones have shown."""

    def __init__(self, about: About, labels: dict[str, list[str]], mask: Any) -> None:
        self.about, self.labels, self.mask = about, labels, mask
        self.values: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}

    def step(self, kind: Kind, turn: int, arrays: Mapping[str, Any]) -> Step:
        """Return one step."""
        filled = partial(fill, about=self.about, turn=turn)
        outputs = [x for x in (self.tensor(out, turn, arrays) for out in kind.outs) if x]
        own = {tensor.name for tensor in outputs}
        read = [name for tensor in outputs for name in inputs(tensor.recipe)]
        return Step(
            id=numbered(kind.kind, turn if kind.phase in ("forward", "backward") else 0),
            kind=kind.kind,
            turn=turn if kind.phase in ("forward", "backward") else 0,
            phase=kind.phase,
            title=kind.title,
            why=filled(kind.why),
            equation=kind.equation,
            symbols=symbols(kind.equation, [*read, *(x.name for x in outputs)]),
            paper=kind.paper,
            rules=tuple(kind.rules.split()),
            source=tuple(span(place) for place in kind.code),
            inputs=tuple(name for name in dict.fromkeys(read) if name not in own),
            outputs=tuple(outputs),
            invariants=self.invariants(kind, filled, outputs),
            question=question(
                kind.ask and kind.ask._replace(about=filled(kind.ask.about)),
                self.values,
                partial(labelled, self.labels),
            ),
            variants=kind.variants,
            exercises=kind.exercises,
        )

    def tensor(self, out: Out, turn: int, arrays: Mapping[str, Any]) -> Tensor | None:
        """Return one tensor, None where there is nothing in it."""
        name, axes = fill(out.name, self.about, turn), fill(out.axes, self.about, turn).split()
        recipe = parse(fill(out.recipe, self.about, turn), out.letters)
        if out.value == "":
            values = evaluate(recipe, self.values)
        elif callable(out.value):
            values = out.value(arrays, self.about)
        else:
            values = found(arrays, out.value)
        if np.size(values) == 0 and axes:  # a model without user features
            return None
        values = self.shaped(values, axes)
        self.values[name] = values
        self.sizes |= dict(zip([a for a in axes if a != "user"], values.shape, strict=True))
        return Tensor(name, tuple(axis for axis in axes if axis != "user"), values, recipe)

    def shaped(self, values: Any, axes: list[str]) -> Any:
        """Return an array of float64, int64 or bool without the axis of users: the first one's."""
        x = np.asarray(values)
        x = x.astype({"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}[x.dtype.kind])
        wanted = [axis for axis in axes if axis != "user"]
        if x.ndim > len(wanted):  # the axis of users, by whatever name
            x = x[0]
        if x.ndim > len(wanted):  # lengths keep their axis for broadcasting
            x = x[..., 0]
        if x.ndim < len(wanted):
            x = x.reshape([self.sizes.get(axis, -1) for axis in wanted])
        return x

    def invariants(
        self, kind: Kind, filled: Any, outputs: Sequence[Tensor]
    ) -> tuple[Invariant, ...]:
        """Return what must hold, with how far it is from that."""
        out = []
        for text, how, arguments in kind.checks:
            data = {n: filled(x) if isinstance(x, str) else x for n, x in arguments.items()}
            data = {n: "inf" if x == float("inf") else x for n, x in data.items()}
            if how != "finite" and not all(n in self.values for n in names_in(data)):
                continue
            check = {"kind": how, **data}
            out.append(Invariant(filled(text), CHECKS[how](check, self.values), TOLERANCE, check))
        made = [tensor for tensor in outputs if tensor.recipe["op"] != "given"]
        if made:
            off = max(self.off(tensor) for tensor in made)
            check = {"kind": "recomputed", "of": [x.name for x in made]}
            out.append(Invariant("every number follows from its inputs", off, TOLERANCE, check))
        return tuple(out)

    def off(self, tensor: Tensor) -> float:
        """Return how far a tensor is from its recipe; infinity where an input was never made.

        Only a variant leaves steps out.
        """
        if not all(name in self.values for name in inputs(tensor.recipe)):
            return float("inf")
        return apart(evaluate(tensor.recipe, self.values), tensor.values)


def names_in(check: Mapping[str, Any]) -> list[str]:
    """Return the tensors that a check reads."""
    read = [check[key] for key in ("of", "where", "to", "by", "among") if check.get(key)]
    return [x.rpartition(":")[0] or x for x in read]


def numbered(kind: str, turn: int) -> str:
    """Return the id of a step: the round in brackets after the operator."""
    if not turn:
        return kind
    head, dot, rest = kind.partition(".")
    return f"{head}[{turn}]{dot}{rest}"


def symbols(equation: str, names: Sequence[str]) -> dict[str, str]:
    """Return which tensor each symbol of an equation stands for, the step's own first."""
    found: dict[str, str] = {}
    for name in names:
        symbol = symbol_of(name)
        if symbol in found and found[symbol] != name:
            found[symbol + "'"] = name
        else:
            found[symbol] = name
    used = [t.text for t in tokens(equation, found) if t.kind == "symbol"]
    return {symbol: found[symbol] for symbol in dict.fromkeys(used) if symbol in found}


def found(arrays: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path such as "saved.unit" or "before.value"."""
    at: Any = arrays
    for name in path.split("."):
        at = at[name] if isinstance(at, Mapping) else getattr(at, name)
    return at
