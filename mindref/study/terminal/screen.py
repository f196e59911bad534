"""The screen of a step: heading, source, tables, checks and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.study.terminal import checks
from mindref.study.terminal.commands import HELP
from mindref.study.terminal.lookup import (
    find_gradient_step,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.numbers_and_axes import (
    choose_format,
    format_number,
    get_axes,
    is_titled_vector,
    name_axis,
)
from mindref.study.terminal.tables import (
    TableLayout,
    format_omitted,
    format_tensor,
    format_top_items,
    format_vectors,
)
from mindref.study.terminal.text import (
    Line,
    display_width,
    escape_title,
    fit_lines,
    label_lines,
    wrap_lines,
    wrap_text,
)
from mindref.study.terminal.window import Detail, is_folded, list_details
from mindref.study.trace import Step, Tensor, Trace

SOURCE_LINES = 3  # lines of source on a screen, unless `all`
SOURCE_INDENT = 7
NEEDED = "hqnxb?vpdg"  # on a narrow screen the last of these keys go first
ORDER = "npgxdvb?hq"


class Window(NamedTuple):
    """The height of a terminal; without lines, a screen has any length."""

    lines: int = 0
    shaded: bool = False  # the terminal prints blocks


def format_screen(
    trace: Trace, step_index: int, columns: int, all_: bool = False, window: Window | None = None
) -> list[Line]:
    """Return the screen of a step; with `all_` in full, with a window as much as fits.

    If a screen in full is longer than the window, its heading is repeated at the end.
    """
    if window is None or not window.lines:
        return compose_screen(trace, step_index, TableLayout(columns, all_))
    if not all_:
        for detail in list_details():
            layout = TableLayout(columns, False, detail.rows, True, window.shaded, detail.blocks)
            lines = compose_screen(trace, step_index, layout, detail)
            if len(lines) <= window.lines:
                return lines
    else:
        lines = compose_screen(trace, step_index, TableLayout(columns, True))
    if len(lines) <= window.lines:
        return lines
    heading = fit_lines(format_heading(trace, step_index, columns), columns)
    return [*lines[:-1], *heading, lines[-1]]


def compose_screen(
    trace: Trace, step_index: int, layout: TableLayout, detail: Detail | None = None
) -> list[Line]:
    """Return heading, source, tables, checks and keys of a step; without a detail everything."""
    step, columns, all_ = trace.steps[step_index], layout.columns, layout.all_
    lines = format_heading(trace, step_index, columns, detail is None or detail.tables)
    change = getattr(step, "change", "")  # since the previous iteration; not in a question
    if change and (detail is None or detail.tables):
        lines += wrap_lines(change, columns)
    if detail is None or detail.source:
        lines += format_source(step, columns, all_)
        lines += label_lines("from", ", ".join(step.inputs), columns) if step.inputs else []
    lines.append(Line(""))
    layout = layout._replace(pinned=select_pinned_titles(trace, step_index))
    folded = []
    for tensors in group_tensors(trace, step.outputs):
        if omit_table(trace, step, tensors, detail):
            folded += [tensor.name for tensor in tensors]
        else:
            lines += format_output(trace, tensors, layout)
    if folded:
        lines += label_lines("folded", f"{', '.join(folded)} (`all` to show)", columns, "dim")
    if detail is None or detail.checks:
        lines += checks.format_checks(trace, step_index, columns)
        lines += format_links(step, columns)
    else:
        lines += checks.format_short_checks(trace, step_index, columns, detail.tables)
    lines += [Line("")] if detail is None or detail.tables else []
    return fit_lines([*lines, format_keys(trace, step_index, columns)], columns)


def omit_table(trace: Trace, step: Step, tensors: list[Tensor], detail: Detail | None) -> bool:
    """Return whether a window omits the table of tensors."""
    if detail is None:
        return False
    main = select_main_tensor(step)
    other = not any(tensor is main for tensor in tensors)
    return is_folded(trace, step, tensors[0]) or (other and not detail.tables)


def format_heading(
    trace: Trace, step_index: int, columns: int, with_letters: bool = True
) -> list[Line]:
    """Return number, id and title of a step, its purpose, its formulas and its source in print."""
    step = trace.steps[step_index]
    name = f" {step_index + 1}/{len(trace.steps)}  {step.id}"
    title = name.ljust(30) + "  " + step.title
    if display_width(title) <= columns:
        lines = [Line(title, "title")]
    else:
        lines = [Line(name, "title"), *wrap_lines(step.title, columns, "title", indent=3)]
    lines += wrap_lines(step.why, columns)
    paper = step.paper if step.paper.startswith("not ") else f"paper: {step.paper}"
    *formulas, last = step.equation.plain.splitlines()
    for formula in formulas:
        lines += wrap_lines(formula, columns, "bold")
    both = f" {last}".ljust(43) + "  " + paper
    if display_width(both) <= columns:
        lines.append(Line(both, "bold"))
    else:
        lines += [*wrap_lines(last, columns, "bold"), *wrap_lines(paper, columns)]
    letters = ", ".join(f"{letter} = {name}" for letter, name in step.equation.letters.items())
    return [*lines, *(label_lines("letters", letters, columns) if letters and with_letters else [])]


def format_source(step: Step, columns: int, all_: bool) -> list[Line]:
    """Return file and lines of the source of a step, its rules, and the source itself."""
    lines: list[Line] = []
    for span in step.source:
        location = f"{span.module.replace('.', '/')}.py:{span.first}"
        location += f"-{span.last}" if span.last > span.first else ""
        rules = f"  rules {', '.join(step.rules)}" if step.rules and not lines else ""
        lines += label_lines("code", location + rules, columns)
        text = span.text.rstrip("\n").split("\n")
        count = len(text) if all_ or len(text) <= SOURCE_LINES + 1 else SOURCE_LINES
        for line in text[:count]:
            lines += format_source_line(line, columns)
        if count < len(text):
            lines.append(format_omitted(len(text) - count, "line"))
    return lines


def format_source_line(text: str, columns: int) -> list[Line]:
    """Return a line of source; a line that is too long is wrapped and loses its comment."""
    room = max(columns - SOURCE_INDENT, 1)
    if display_width(text) > room:
        text = text.partition("  # ")[0]
    pieces = wrap_text(text, room, indent="        ") if text.strip() else [""]
    return [Line(" " * SOURCE_INDENT + piece, "dim") for piece in pieces]


def group_tensors(trace: Trace, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return the tensors in groups that share a table: titled vectors along the same axis."""
    groups: list[list[Tensor]] = []
    for tensor in tensors:
        same_axes = groups and groups[-1][0].axes == tensor.axes
        if not (is_titled_vector(trace, tensor) and same_axes):
            groups.append([])
        groups[-1].append(tensor)
    return groups


def select_pinned_titles(trace: Trace, step_index: int) -> frozenset[str]:
    """Return the titles of the rows that the question or the largest change refers to."""
    step = trace.steps[step_index]
    change = checks.find_largest_change(trace, step_index)
    question = escape_title(step.question.text if step.question else "")
    titles = set()
    for axis in get_axes(trace, select_main_tensor(step))[:1]:
        titles |= {axis.titles[change[1][0]]} if change and change[1] else set()
        if axis.shows_number:
            titles |= {title for title in axis.titles if escape_title(title) in question}
    return frozenset(titles)


def format_output(trace: Trace, tensors: list[Tensor], layout: TableLayout) -> list[Line]:
    """Return name, axes and dtype of tensors that share a table, and the table."""
    first = tensors[0]
    if not first.axes:
        value = np.asarray(first.values)[()]
        text = format_number(value, choose_format(value, extra_digits=3))
        return [Line(f" {first.name} = {text}", "bold")]
    lines: list[Line] = []
    for tensor in tensors:
        shape = zip(tensor.axes, np.shape(tensor.values), strict=True)
        axes = ", ".join(f"{name_axis(name)}={size}" for name, size in shape)
        dtype = np.asarray(tensor.values).dtype
        lines += wrap_lines(f"{tensor.name}  ({axes}) {dtype}", layout.columns, "bold")
    if first.name == "top":
        return [*lines, *format_top_items(trace, first, layout)]
    if is_titled_vector(trace, first):
        return [*lines, *format_vectors(trace, tensors, layout)]
    return [*lines, *format_tensor(trace, first, layout)]


def format_links(step: Step, columns: int) -> list[Line]:
    """Return the variants and exercises of a step."""
    command = "mindref study --exercise "
    links = [("v", "variants: ", step.variants), ("do", command, step.exercises)]
    texts = [(name, text + ", ".join(names)) for name, text, names in links if names]
    return [line for name, text in texts for line in label_lines(name, text, columns, "dim")]


def select_active_keys(trace: Trace, step_index: int) -> str:
    """Return the letters of the keys that apply to a step."""
    step, last = trace.steps[step_index], len(trace.steps) - 1
    following = trace.steps[step_index + 1] if step_index < last else None
    tests = {
        "n": step_index < last,
        "p": step_index > 0,
        "d": find_previous_iteration(trace, step_index) is not None,
        "v": bool(step.variants),
        "b": find_gradient_step(trace, step_index) is not None,
        "?": following is not None and following.question is not None,
    }
    return "".join(key for key in ORDER if tests.get(key, True))


def format_keys(trace: Trace, step_index: int, columns: int) -> Line:
    """Return the line of keys: long texts, else short texts, else without the least needed keys."""
    letters = select_active_keys(trace, step_index)
    attempts = [[f"{letter} {HELP[letter][0]}" for letter in letters]]
    for letter in reversed(NEEDED):
        attempts.append([text for text in attempts[-1] if text[0] != letter])
    long = [text + " a cell" * (text[0] == "x") for text in attempts[0]]
    lines = [" " + "  ".join(texts) for texts in (long, *attempts)]
    return Line(next(line for line in lines if len(line) <= columns), "dim")
