"""The screen of a step, from the number of the step to the line of keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.study.terminal import checks
from mindref.study.terminal.finding import gradient_of, main_tensor, round_before
from mindref.study.terminal.lines import Line, fitted, named, prose
from mindref.study.terminal.numerals import form, number
from mindref.study.terminal.tables import axis_of, tensor_lines, vectors_lines
from mindref.study.terminal.widths import width

CODE = 3  # lines of code on a screen, unless all are asked for
KEYS = (  # letter, long, short; the first to go when there is no room stands last
    ("h", "help", "help"),
    ("q", "quit", "quit"),
    ("n", "next", "next"),
    ("x", "explain a cell", "explain"),
    ("b", "backward", "backward"),
    ("?", "predict", "predict"),
    ("v", "variant", "variant"),
    ("p", "back", "back"),
    ("d", "diff", "diff"),
    ("g", "goto", "goto"),
)
ORDER = "npgxdvb?hq"


def screen(trace: Any, at: int, columns: int, all_: bool = False) -> list[Line]:
    """Return the screen of a step; `all_` leaves nothing out."""
    step = trace.steps[at]
    lines = [
        *heading(trace, at, columns),
        *code(step, columns, all_),
        *flow(step, columns),
        Line(""),
    ]
    for tensors in together(step.outputs, trace.labels):
        lines += outcome(tensors, trace.labels, columns, all_)
    shown = main_tensor(step)
    below = [
        *(line for tensor in step.outputs for line in checks.sums(tensor, columns)),
        *checks.invariants(step, columns),
        *checks.since(trace, at, shown, columns),
    ]
    lines += [*below, *further(step, columns), Line(""), keys(trace, at, columns)]
    return fitted(lines, columns)


def heading(trace: Any, at: int, columns: int) -> list[Line]:
    """Return number, id and title, why there is such a step, and its equation."""
    step = trace.steps[at]
    name = f" {at + 1}/{len(trace.steps)}  {step.id}"
    title = name.ljust(30) + "  " + step.title
    if width(title) <= columns:
        lines = [Line(title, "title")]
    else:
        lines = [Line(name, "title"), *prose(step.title, columns, "title", indent=3)]
    lines += prose(step.why, columns)
    paper = f"paper: {step.paper}" if step.paper else ""
    equation = f" {step.equation.plain}"
    both = equation.ljust(43) + "  " + paper
    if paper and width(both) <= columns:
        return [*lines, Line(both, "bold")]
    lines += prose(step.equation.plain, columns, "bold")
    return lines + (prose(paper, columns) if paper else [])


def code(step: Any, columns: int, all_: bool) -> list[Line]:
    """Return where the running code stands, and the lines themselves."""
    lines: list[Line] = []
    for span in step.source:
        path = span.module.replace(".", "/") + ".py"
        rules = f"  rules {', '.join(step.rules)}" if step.rules else ""
        where = f"{path}:{span.first}-{span.last}"
        lines += named("code", where + rules, columns)
        text = span.text.rstrip("\n").split("\n")
        few = len(text) if all_ or len(text) <= CODE + 1 else CODE
        lines += [Line("       " + line, "dim") for line in text[:few]]
        if few < len(text):
            lines.append(Line(f"       ...  ({len(text) - few} lines more, `all` to show)", "dim"))
    return lines


def flow(step: Any, columns: int) -> list[Line]:
    """Return what the step reads."""
    return named("from", ", ".join(step.inputs), columns) if step.inputs else []


def together(tensors: Any, labels: Any) -> list[list[Any]]:
    """Return the tensors in groups that share a table: vectors along one axis with titles."""
    groups: list[list[Any]] = []
    for tensor in tensors:
        upright = len(tensor.axes) == 1 and axis_of(labels, tensor.axes[0], tensor.shape[0]).known
        if upright and groups and groups[-1][0].axes == tensor.axes:
            groups[-1].append(tensor)
        else:
            groups.append([tensor])
    return groups


def outcome(tensors: list[Any], labels: Any, columns: int, all_: bool) -> list[Line]:
    """Return name, axes and type of tensors that share a table, and their numbers."""
    first = tensors[0]
    if not first.axes:
        value = np.asarray(first.array)[()]
        return [Line(f" {first.name} = {number(value, form(value, more=3))}", "bold")]
    lines: list[Line] = []
    for tensor in tensors:
        axes = ", ".join(f"{a}={n}" for a, n in zip(tensor.axes, tensor.shape, strict=True))
        lines += prose(f"{tensor.name}  ({axes}) {tensor.dtype}", columns, "bold")
    upright = len(first.axes) == 1 and axis_of(labels, first.axes[0], first.shape[0]).known
    if upright:
        return [*lines, *vectors_lines(tensors, labels, columns, all_)]
    return [*lines, *tensor_lines(first, labels, columns, all_)]


def further(step: Any, columns: int) -> list[Line]:
    """Return what else there is to do with this step."""
    lines: list[Line] = []
    if step.variants:
        lines += named("v", "seen done otherwise: " + ", ".join(step.variants), columns, "dim")
    if step.exercises:
        command = "mindref study --exercise "
        lines += named("do", command + ", ".join(step.exercises), columns, "dim")
    return lines


def offered(trace: Any, at: int) -> str:
    """Return the letters of the keys that do something at a step."""
    step, last = trace.steps[at], len(trace.steps) - 1
    ahead = trace.steps[at + 1] if at < last else None
    tests = {
        "n": at < last,
        "p": at > 0,
        "d": round_before(trace, at) is not None,
        "v": bool(step.variants),
        "b": gradient_of(trace, at) is not None,
        "?": ahead is not None and ahead.question is not None,
    }
    return "".join(key for key in ORDER if tests.get(key, True))


def keys(trace: Any, at: int, columns: int) -> Line:
    """Return the line of keys: in long words, in short ones, then without the least needed."""
    there = offered(trace, at)
    for short in (False, True):
        words = {letter: f"{letter} {(long, brief)[short]}" for letter, long, brief in KEYS}
        line = " " + "  ".join(words[letter] for letter in there)
        if len(line) <= columns:
            return Line(line, "dim")
    for letter, _, _ in reversed(KEYS):
        there = there.replace(letter, "")
        line = " " + "  ".join(words[letter] for letter in there)
        if len(line) <= columns:
            break
    return Line(line, "dim")
