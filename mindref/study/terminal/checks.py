"""The lines below a table: the invariants of a step, and the largest change in one iteration."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.axes import (
    choose_format,
    format_change,
    format_magnitude,
    format_number,
    get_axes,
)
from mindref.study.terminal.lookup import (
    find_matching_tensor,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.tables import count_noun
from mindref.study.terminal.text import Line, display_width, label_lines, truncate_text
from mindref.study.trace import Invariant, Step, Tensor, Trace

MARGIN = 20  # columns of "sum over interests"


def format_checks(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return the sums of the coupling weights, the invariants, and the largest change."""
    step = trace.steps[step_index]
    lines: list[Line] = []
    printed: list[Invariant] = []
    for tensor in step.outputs:
        if tensor.recipe["op"] == "softmax":
            sum_checks = find_sum_check(step, tensor)
            printed += sum_checks
            lines += format_sums(tensor, sum_checks, columns)
    for invariant in step.invariants:
        if invariant not in printed:
            word, style = ("ok ", "ok") if invariant.holds else ("NOT", "bad")
            text = f"{invariant.text}  ({format_residual(invariant)})"
            lines += label_lines(word, text, columns, style)
    return [*lines, *format_largest_change(trace, step_index, columns)]


def format_residual(invariant: Invariant) -> str:
    """Return the residual of an invariant, and its tolerance if it does not hold."""
    tolerance = f", allowed {format_magnitude(invariant.tolerance)}"
    return f"residual {format_magnitude(invariant.residual)}" + (
        "" if invariant.holds else tolerance
    )


def find_sum_check(step: Step, tensor: Tensor) -> list[Invariant]:
    """Return the invariant that the softmax sums to 1, as a list of at most one."""
    letters = f"{tensor.name}:{tensor.recipe['out']}"
    check = {"of": letters, "over": tensor.recipe["over"], "equals": 1}
    return [x for x in step.invariants if check.items() <= x.check.items()][:1]


def format_sums(tensor: Tensor, sum_checks: list[Invariant], columns: int) -> list[Line]:
    """Return the sums of a softmax over each axis, first over the axis whose sums must be 1.

    The axis of the softmax is the most frequent question about routing.
    """
    out, over = tensor.recipe["out"], tensor.recipe["over"]
    lines = []
    for k in sorted(range(len(out)), key=lambda k: out[k] != over):
        totals = np.atleast_1d(np.asarray(tensor.values).sum(axis=k))
        name = f"sum over {tensor.axes[k]}s".ljust(MARGIN)
        if out[k] == over:
            other_axes = [axis for axis in tensor.axes if axis != tensor.axes[k]]
            text, style = format_softmax_sum(totals, other_axes, sum_checks)
        else:
            numbers = "  ".join(format_number(x, choose_format(totals)) for x in totals)
            text, style = f"{numbers}  (need not be 1)", ""
        lines += label_lines(name, text, columns, style)
    return lines


def format_softmax_sum(
    totals: Any, other_axes: list[str], sum_checks: list[Invariant]
) -> tuple[str, str]:
    """Return the sums over the axis of the softmax, as one number if they agree, and a style."""
    nonzero = totals[totals != 0]
    if not len(nonzero) or np.abs(nonzero - nonzero[0]).max() > 1e-9:
        text = "  ".join(format_number(total, choose_format(totals)) for total in totals)
    else:
        text = format_number(nonzero[0], ".3f")
        if len(nonzero) < len(totals):
            text += f" for {count_noun(len(nonzero), other_axes[0])}"
            text += f", 0 for {len(totals) - len(nonzero)}"
        elif other_axes:
            text += f" for every {other_axes[0]}"
    if not sum_checks:
        return text, ""
    word, style = ("ok", "ok") if sum_checks[0].holds else ("NOT 1", "bad")
    return f"{text}   {word}   {format_residual(sum_checks[0])}", style


class LargestChange(NamedTuple):
    """The cell with the largest change since the previous iteration."""

    iteration: int  # the previous one
    position: tuple[int, ...]
    change: float
    number_format: str
    tensor: Tensor


def find_largest_change(trace: Trace, step_index: int) -> LargestChange | None:
    """Return the largest change since the same step of the previous iteration, None without one."""
    previous = find_previous_iteration(trace, step_index)
    if previous is None:
        return None
    tensor = select_main_tensor(trace.steps[step_index])
    old = find_matching_tensor(tensor, trace.steps[previous])
    if old is None:
        return None
    change = np.asarray(tensor.values, float) - np.asarray(old.values, float)
    change = np.where(np.isfinite(change), change, 0)
    unravelled = np.unravel_index(int(np.abs(change).argmax()), change.shape)
    index = tuple(int(i) for i in unravelled)
    iteration = trace.steps[previous].number
    return LargestChange(iteration, index, float(change[index]), choose_format(change), tensor)


def format_largest_change(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return the line of the largest change since the same step of the previous iteration."""
    largest = find_largest_change(trace, step_index)
    if largest is None:
        return []
    name = f"since iteration {largest.iteration}".ljust(MARGIN)
    if not largest.change:
        return label_lines(name, "no change", columns)
    several = len(trace.steps[step_index].outputs) > 1
    head = f"largest change in {largest.tensor.name}: " if several else "largest change: "
    size = format_change(largest.change, largest.number_format)
    path = format_cell_path(trace, largest.tensor, largest.position)
    room = columns - MARGIN - 3 - len(head) - len(size) - 2
    short = path if room < display_width(path) // 2 else shorten_cell_path(path, room)
    return label_lines(name, f"{head}{short}  {size}", columns)


def shorten_cell_path(path: str, columns: int) -> str:
    """Return "Night Ferry -> interest 4" with a truncated title and the end complete."""
    title, arrow, end = path.rpartition(" -> ")
    return truncate_text(title, max(columns - display_width(arrow + end), 1)) + arrow + end


def format_cell_path(trace: Trace, tensor: Tensor, index: tuple[int, ...]) -> str:
    """Return the titles of an index, such as "Night Ferry -> interest 4"."""
    words = []
    for axis, i in zip(get_axes(trace, tensor), index, strict=True):
        words.append(axis.titles[i] if axis.has_titles else f"{axis.name} {i + 1}")
    return " -> ".join(words)
