"""Two arrays of the same shape side by side, the cells that differ most first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mindref.study.terminal.checks import arrow
from mindref.study.terminal.finding import main_tensor, round_before, twin
from mindref.study.terminal.lines import Line, fitted, prose
from mindref.study.terminal.numerals import aligned, form, moved, number
from mindref.study.terminal.tables import INDENT, LABEL, more
from mindref.study.terminal.widths import left, right, width
from mindref.study.trace import Tensor, Trace

FEW = 8


def since_round(trace: Trace, at: int, columns: int, all_: bool = False) -> list[Line]:
    """Return what a step changed since the round before, the biggest moves first."""
    step, before = trace.steps[at], round_before(trace, at)
    tensor = main_tensor(step)
    old = None if before is None else twin(tensor, trace.steps[before])
    if before is None or old is None:
        text = f"{step.id} has no round before it to compare with."
        todo = "`d VARIANT` compares with a variant; `v` lists them."
        return fitted([*prose(text, columns), *prose(todo, columns)], columns)
    heads = (f"round {trace.steps[before].turn}", f"round {step.turn}")
    title = f"{tensor.name} beside {old.name}: what moved most"
    return fitted(
        [
            *prose(title, columns, "title"),
            *side_by_side(trace, tensor, old.values, tensor.values, heads, columns, all_),
        ],
        columns,
    )


def side_by_side(
    trace: Trace,
    tensor: Tensor,
    old: Any,
    new: Any,
    heads: tuple[str, str],
    columns: int,
    all_: bool = False,
) -> list[Line]:
    """Return a row for each cell that differs: where, both values, and the change."""
    old, new = np.asarray(old), np.asarray(new)
    change = new.astype(float) - old.astype(float)
    size = np.abs(np.where(np.isnan(change), np.inf, change)).ravel()
    size = np.where((old == new).ravel(), 0, size)
    order = [int(i) for i in np.argsort(-size, kind="stable") if size[i] > 0]
    if not order:
        return prose("every number is the same, to the last digit", columns, indent=INDENT)
    shape = form(np.concatenate([old.ravel(), new.ravel()]))
    rows = []
    for flat in order if all_ else order[:FEW]:
        index = tuple(int(i) for i in np.unravel_index(flat, new.shape))
        gap = float(new[index]) - float(old[index])
        values = (aligned(old[index].item(), shape), aligned(new[index].item(), shape))
        rows.append((arrow(trace, tensor, index), *values, moved(gap, form(change))))
    lines = columns_of([("", *heads, "change"), *rows], columns)
    if len(rows) < len(order):
        lines.append(more(len(order) - len(rows), "cell"))
    same = size.size - len(order)
    return [
        *lines,
        *(prose(f"{same} of {size.size} cells are the same", columns, "dim") if same else []),
    ]


def columns_of(rows: Sequence[tuple[str, ...]], columns: int) -> list[Line]:
    """Return rows of texts, the first a heading: names to the left, numbers to the right."""
    widths = [max(width(row[k]) for row in rows) for k in range(len(rows[0]))]
    rest = sum(widths[1:]) + 3 * (len(widths) - 1)
    label = min(widths[0], max(columns - INDENT - rest, min(LABEL, columns // 3)))
    lines = []
    for i, row in enumerate(rows):
        cells = "".join("   " + right(row[k], widths[k]) for k in range(1, len(row)))
        lines.append(Line(" " * INDENT + left(row[0], label) + cells, "" if i else "dim"))
    return lines


def measured(name: str, reference: float, variant: float) -> tuple[str, ...]:
    """Return a row of what was measured on both sides."""
    both = (reference, variant)
    if all(math.isfinite(x) and x == int(x) for x in both):
        return name, *(str(int(x)) for x in both)
    return name, *(number(x, form(x, more=1)) for x in both)
