"""What the table of steps says of each kind of step; the builder fills in the numbers.

In names, recipes and texts `[r]`, `[r+1]` and `[r-1]` stand for the round or layer, and words in
braces for what the builder knows: {R} rounds, {L} layers, {last} the output of the last layer,
{over} the letter that the softmax of routing sums over, ... (see build.py, `words`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Out(NamedTuple):
    """A tensor that a step shows."""

    name: str
    axes: str  # names of axes, separated by blanks; "user" is dropped
    recipe: str
    value: str | Callable[..., Any] = ""  # where in the event; or a function of (arrays, context)
    letters: str = ""  # of the axes, where they are not the usual ones


class Check(NamedTuple):
    """Something that must hold of a step; `check` is data, see checks.py."""

    text: str
    kind: str
    arguments: dict[str, Any]


class Ask(NamedTuple):
    """A question to answer before the numbers are shown; the answer is computed."""

    text: str
    about: str  # the tensor; its first axis (or `at`) is what is asked for
    how: str  # of the entries along `axis`: "largest", "strongest", "longest", "count" or "top"
    axis: str
    at: str = ""  # "row": which row of the other axis is asked about, the one with most at stake


class Kind(NamedTuple):
    """A kind of step: what is said, which tensors, what must hold."""

    kind: str  # such as "routing.weights"; the id of a step has the round in brackets
    event: str  # what the recorder heard, such as "routing.round"
    title: str
    why: str
    equation: str
    paper: str
    rules: str
    code: tuple[str, ...]  # "module:function" or "module:function@text in the line"
    outs: tuple[Out, ...]
    checks: tuple[Check, ...] = ()
    ask: Ask | None = None
    phase: str = "forward"
    variants: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()
    unless: str = ""  # the word of the context that makes the step vanish


def sums(text: str, of: str, over: str, equals: float, where: str = "") -> Check:
    """Return the check of a sum over one letter, for the rows of a mask."""
    return Check(text, "sums", {"of": of, "over": over, "equals": equals, "where": where})


def zero(text: str, of: str, where: str) -> Check:
    """Return the check that a tensor is zero wherever a mask is false."""
    return Check(text, "zero", {"of": of, "where": where})


def between(text: str, of: str, low: float, high: float | str) -> Check:
    """Return the check of a range."""
    return Check(text, "between", {"of": of, "low": low, "high": high})


def shorter(text: str, of: str, limit: str) -> Check:
    """Return the check of the lengths along the last axis."""
    return Check(text, "shorter", {"of": of, "limit": limit})
