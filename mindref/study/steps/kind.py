"""The fields of a step in the table of steps; `trace_builder` adds the numbers.

In names, recipes and texts, `[t]`, `[t+1]` and `[t-1]` are the iteration or layer. Names in braces
are placeholders, for example {r} iterations, {last} the output of the last layer, {over} the axis
letter of the routing softmax; see placeholders.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

AXES = {
    "i": "behaviour",
    "k": "interest",
    "d": "width",
    "e": "width",
    "f": "feature",
    "g": "profile",
    "q": "profile-width",
    "m": "{in}",
    "n": "{out}",
    "s": "negative",
    "r": "row",
    "x": "item",
    "y": "place",
}
"""The axis of each letter; {in} and {out} are the input and the output of a layer."""


class OutputSpec(NamedTuple):
    """An output tensor of a step."""

    name: str
    recipe: str
    value: str | Callable[..., Any] = ""  # path in the event, or a function of (arrays, context)
    letters: str = ""  # one letter of `AXES` for each axis


class InvariantSpec(NamedTuple):
    """An invariant of a step; see invariants.py for the kinds."""

    text: str
    kind: str
    arguments: dict[str, Any]


class StepKind(NamedTuple):
    """A kind of step: texts, source anchors, output tensors, invariants."""

    kind: str  # such as "routing.weights"; the id of a step adds the iteration in brackets
    title: str
    why: str
    formulas: tuple[str, ...]  # references to the pages, see mindref.study.formulas
    paper: str
    rules: str
    code: tuple[str, ...]  # "module:function" or "module:function@text in the line"
    outputs: tuple[OutputSpec, ...]
    checks: tuple[InvariantSpec, ...] = ()
    phase: str = "forward"
    variants: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()  # to do after this step; not every exercise that computes it
    absent_if: str = ""  # flag of the context that removes the step
    letters: Mapping[str, Mapping[str, str]] = {}  # as in letters.py, for this step
    event: str = ""  # events of the recorder, such as "routing.iteration"; default: the kind

    @property
    def events(self) -> list[str]:
        """Return the events with the arrays of the step; the last of them makes the step."""
        return (self.event or self.kind).split()


def check_sum(text: str, of: str, over: str, equals: float, mask: str = "") -> InvariantSpec:
    """Return the invariant that sums over one letter have a value, in the rows of a mask."""
    return InvariantSpec(text, "sums", {"of": of, "over": over, "equals": equals, "where": mask})


def check_zero(text: str, of: str, mask: str) -> InvariantSpec:
    """Return the invariant that a tensor is 0 where a mask is false."""
    return InvariantSpec(text, "zero", {"of": of, "where": mask})


def check_bounds(text: str, of: str, low: float, high: float | str) -> InvariantSpec:
    """Return the invariant that all numbers are in a range."""
    return InvariantSpec(text, "between", {"of": of, "low": low, "high": high})


def check_length(text: str, of: str, limit: str) -> InvariantSpec:
    """Return the invariant that the norms along the last axis are below a limit."""
    return InvariantSpec(text, "shorter", {"of": of, "limit": limit})
