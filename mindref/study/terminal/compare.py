"""Two arrays of the same shape side by side, the largest differences first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mindref.study.terminal.checks import format_cell_path
from mindref.study.terminal.lookup import (
    find_matching_tensor,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.number_format import (
    align_number,
    choose_format,
    format_change,
    format_number,
)
from mindref.study.terminal.tables import INDENT, LABEL, format_omitted
from mindref.study.terminal.text import Line, fit_lines, wrap_lines
from mindref.study.terminal.widths import align_left, align_right, display_width
from mindref.study.trace import Tensor, Trace

FEW = 8


def compare_iterations(
    trace: Trace, step_index: int, columns: int, all_: bool = False
) -> list[Line]:
    """Return the changes of a step since the previous iteration, the largest first."""
    step, previous = trace.steps[step_index], find_previous_iteration(trace, step_index)
    tensor = select_main_tensor(step)
    old = None if previous is None else find_matching_tensor(tensor, trace.steps[previous])
    if previous is None or old is None:
        text = f"{step.id} has no previous iteration to compare with."
        todo = "`d VARIANT` compares with a variant; `v` lists the variants."
        return fit_lines([*wrap_lines(text, columns), *wrap_lines(todo, columns)], columns)
    heads = (f"t={trace.steps[previous].number}", f"t={step.number}")
    title = f"{tensor.name} and {old.name}: largest changes first (iterations t)"
    return fit_lines(
        [
            *wrap_lines(title, columns, "title"),
            *format_side_by_side(trace, tensor, old.values, tensor.values, heads, columns, all_),
        ],
        columns,
    )


def format_side_by_side(
    trace: Trace,
    tensor: Tensor,
    old: Any,
    new: Any,
    heads: tuple[str, str],
    columns: int,
    all_: bool = False,
) -> list[Line]:
    """Return a row for each cell that differs: its titles, both values, and the change."""
    old, new = np.asarray(old), np.asarray(new)
    change = new.astype(float) - old.astype(float)
    size = np.abs(np.where(np.isnan(change), np.inf, change)).ravel()
    size = np.where((old == new).ravel(), 0, size)
    order = [int(i) for i in np.argsort(-size, kind="stable") if size[i] > 0]
    if not order:
        return wrap_lines("every number is the same, to the last digit", columns, indent=INDENT)
    number_format = choose_format(np.concatenate([old.ravel(), new.ravel()]))
    rows = []
    for flat in order if all_ else order[:FEW]:
        index = tuple(int(i) for i in np.unravel_index(flat, new.shape))
        gap = float(new[index]) - float(old[index])
        values = (align_number(x[index].item(), number_format) for x in (old, new))
        path = format_cell_path(trace, tensor, index)
        rows.append((path, *values, format_change(gap, choose_format(change))))
    lines = format_columns([("", *heads, "change"), *rows], columns)
    if len(rows) < len(order):
        lines.append(format_omitted(len(order) - len(rows), "cell"))
    unchanged = size.size - len(order)
    if unchanged:
        lines += wrap_lines(f"{unchanged} of {size.size} cells are the same", columns, "dim")
    return lines


def format_columns(rows: Sequence[tuple[str, ...]], columns: int) -> list[Line]:
    """Return rows of texts, the first a heading: names flush left, numbers flush right."""
    widths = [max(display_width(row[k]) for row in rows) for k in range(len(rows[0]))]
    number_width = sum(widths[1:]) + 3 * (len(widths) - 1)
    label = min(widths[0], max(columns - INDENT - number_width, min(LABEL, columns // 3)))
    lines = []
    for i, row in enumerate(rows):
        cells = "".join("   " + align_right(row[k], widths[k]) for k in range(1, len(row)))
        lines.append(Line(" " * INDENT + align_left(row[0], label) + cells, "" if i else "dim"))
    return lines


def make_measurement_row(name: str, reference: float, variant: float) -> tuple[str, ...]:
    """Return a table row: name, value of the reference, value of the variant."""
    both = (reference, variant)
    if all(math.isfinite(x) and x == int(x) for x in both):
        return name, *(str(int(x)) for x in both)
    return name, *(format_number(x, choose_format(x, extra_digits=1)) for x in both)
