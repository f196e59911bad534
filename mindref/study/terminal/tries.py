"""Three things to try next: nothing ends in silence."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mindref.study.terminal.cells import example
from mindref.study.terminal.finding import gradient_of, main_tensor, round_before
from mindref.study.terminal.lines import Line, fitted, prose
from mindref.study.terminal.widths import cut, left, width
from mindref.study.trace import Trace

COUNT = 3
Suggestions = Sequence[tuple[str, str]]  # a command, and what it shows


def tries(trace: Trace, at: int, columns: int, first: Suggestions = ()) -> list[Line]:
    """Return three commands that do something at a step, `first` those that lead on from a view."""
    step = trace.steps[at]
    found = list(first)
    if not first and main_tensor(step).recipe["op"] != "given":
        found.append((f"x {example(trace, at)}", "where its largest number comes from"))
    if step.variants:
        found.append((f"v {step.variants[0]}", "the same user, done as others do it"))
    gradient = gradient_of(trace, at)
    if gradient is not None:
        found.append(("b", f"to {trace.steps[gradient].id}"))
    if round_before(trace, at) is not None:
        found.append(("d", "what changed since the round before"))
    if at + 1 < len(trace.steps):
        found.append(("n", f"on to {trace.steps[at + 1].id}"))
    found += [("p", "the step before"), ("l", "all steps"), ("h", "all commands")]
    return told("Try", found, columns)


def farewell(trace: Trace, at: int, columns: int, start: str = "mindref study") -> list[Line]:
    """Return three commands of the shell to go on with after leaving.

    start: the command that opens this user of this model again.
    """
    step = trace.steps[at]
    here = f"{start} --at {shlex.quote(step.id)}"
    found = [(here, "come back to this step")]
    variant = nearest(trace, at, "variants")
    if variant:
        found.append((f"{here} --variant {variant}", "the same user, done as others do it"))
    exercise = nearest(trace, at, "exercises")
    if exercise:
        found.append((f"mindref study --exercise {exercise}", "write it yourself"))
    found.append((f"{start} --html study.html", "everything on one page"))
    found.append(
        (f"{here} --explain {shlex.quote(example(trace, at))}", "one number, term by term")
    )
    return told("Three things to try next", found, columns)


def nearest(trace: Trace, at: int, what: str) -> str:
    """Return the first variant or exercise of the step that has one and is nearest."""
    there = [i for i, step in enumerate(trace.steps) if getattr(step, what)]
    near = min(there, key=lambda i: (abs(i - at), i), default=None)
    return "" if near is None else getattr(trace.steps[near], what)[0]


def told(head: str, found: Suggestions, columns: int) -> list[Line]:
    """Return the first three as lines: command, and what it shows."""
    lines = prose(head, columns, "dim")
    for command, text in found[:COUNT]:
        if width(command) <= columns // 2 - 5 and width(text) <= columns - columns // 2:
            lines.append(Line(f"   {left(command, columns // 2 - 5)}  {text}"))
        else:
            lines += [Line("   " + cut(command, columns - 3)), *prose(text, columns, indent=6)]
    return fitted(lines, columns)
