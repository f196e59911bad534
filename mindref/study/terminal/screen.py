"""The screen of a step, from the number of the step to the line of keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.study.terminal import checks
from mindref.study.terminal.axes import axes_of, upright
from mindref.study.terminal.finding import gradient_of, main_tensor, round_before
from mindref.study.terminal.lines import Line, fitted, named, prose
from mindref.study.terminal.numerals import form, number
from mindref.study.terminal.tables import Room, more, ranking_lines, tensor_lines, vectors_lines
from mindref.study.terminal.widths import safe, width, wrapped
from mindref.study.trace import Step, Tensor, Trace

CODE = 3  # lines of code on a screen, unless all are asked for
CODE_INDENT = 7
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


def screen(trace: Trace, at: int, columns: int, all_: bool = False) -> list[Line]:
    """Return the screen of a step; `all_` leaves nothing out."""
    step = trace.steps[at]
    lines = [
        *heading(trace, at, columns),
        *code(step, columns, all_),
        *flow(step, columns),
        Line(""),
    ]
    room = Room(columns, all_, kept_in_sight(trace, at))
    for tensors in together(trace, step.outputs):
        lines += outcome(trace, tensors, room)
    lines += checks.below(trace, at, columns)
    lines += [*further(step, columns), Line(""), keys(trace, at, columns)]
    return fitted(lines, columns)


def heading(trace: Trace, at: int, columns: int) -> list[Line]:
    """Return number, id and title, why there is such a step, and its equation."""
    step = trace.steps[at]
    name = f" {at + 1}/{len(trace.steps)}  {step.id}"
    title = name.ljust(30) + "  " + step.title
    if width(title) <= columns:
        lines = [Line(title, "title")]
    else:
        lines = [Line(name, "title"), *prose(step.title, columns, "title", indent=3)]
    lines += prose(step.why, columns)
    paper = step.paper if step.paper.startswith("not ") else f"paper: {step.paper}"
    equation = f" {step.equation}"
    both = equation.ljust(43) + "  " + paper
    if width(both) <= columns:
        return [*lines, Line(both, "bold")]
    return [*lines, *prose(step.equation, columns, "bold"), *prose(paper, columns)]


def code(step: Step, columns: int, all_: bool) -> list[Line]:
    """Return where the running code stands, and the lines themselves."""
    lines: list[Line] = []
    for span in step.source:
        where = f"{span.module.replace('.', '/')}.py:{span.first}"
        where += f"-{span.last}" if span.last > span.first else ""
        rules = f"  rules {', '.join(step.rules)}" if step.rules and not lines else ""
        lines += named("code", where + rules, columns)
        text = span.text.rstrip("\n").split("\n")
        few = len(text) if all_ or len(text) <= CODE + 1 else CODE
        for line in text[:few]:
            lines += code_line(line, columns)
        if few < len(text):
            lines.append(more(len(text) - few, "line"))
    return lines


def code_line(text: str, columns: int) -> list[Line]:
    """Return a line of code; one that is too long goes on below, without its comment."""
    room = max(columns - CODE_INDENT, 1)
    if width(text) > room:
        text = text.partition("  # ")[0]
    pieces = wrapped(text, room, indent="        ") if text.strip() else [""]
    return [Line(" " * CODE_INDENT + piece, "dim") for piece in pieces]


def flow(step: Step, columns: int) -> list[Line]:
    """Return what the step reads."""
    return named("from", ", ".join(step.inputs), columns) if step.inputs else []


def together(trace: Trace, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return the tensors in groups that share a table: vectors along one axis with titles."""
    groups: list[list[Tensor]] = []
    for tensor in tensors:
        if upright(trace, tensor) and groups and groups[-1][0].axes == tensor.axes:
            groups[-1].append(tensor)
        else:
            groups.append([tensor])
    return groups


def kept_in_sight(trace: Trace, at: int) -> frozenset[str]:
    """Return the titles of rows that the question of a step, or what is said to move, is about."""
    step = trace.steps[at]
    moved = checks.biggest_move(trace, at)
    titles = set()
    for axis in axes_of(trace, main_tensor(step))[:1]:
        titles |= {axis.titles[moved.place[0]]} if moved and moved.place else set()
        asked = step.question.text if step.question else ""
        titles |= {title for title in axis.titles if axis.numbered and safe(title) in safe(asked)}
    return frozenset(titles)


def outcome(trace: Trace, tensors: list[Tensor], room: Room) -> list[Line]:
    """Return name, axes and type of tensors that share a table, and their numbers."""
    first = tensors[0]
    if not first.axes:
        value = np.asarray(first.values)[()]
        return [Line(f" {first.name} = {number(value, form(value, more=3))}", "bold")]
    lines: list[Line] = []
    for tensor in tensors:
        shape = zip(tensor.axes, np.shape(tensor.values), strict=True)
        axes = ", ".join(f"{name}={size}" for name, size in shape)
        dtype = np.asarray(tensor.values).dtype
        lines += prose(f"{tensor.name}  ({axes}) {dtype}", room.columns, "bold")
    if first.name == "top":
        return [*lines, *ranking_lines(trace, first, room)]
    if upright(trace, first):
        return [*lines, *vectors_lines(trace, tensors, room)]
    return [*lines, *tensor_lines(trace, first, room)]


def further(step: Step, columns: int) -> list[Line]:
    """Return what else there is to do with this step."""
    lines: list[Line] = []
    if step.variants:
        lines += named("v", "seen done otherwise: " + ", ".join(step.variants), columns, "dim")
    if step.exercises:
        command = "mindref study --exercise "
        lines += named("do", command + ", ".join(step.exercises), columns, "dim")
    return lines


def offered(trace: Trace, at: int) -> str:
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


def keys(trace: Trace, at: int, columns: int) -> Line:
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
