"""The lines below a table: the invariants of a step, and the largest change in one iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.study.terminal.lookup import (
    find_matching_tensor,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.numbers_and_axes import (
    choose_format,
    format_change,
    format_magnitude,
    format_number,
    get_axes,
    name_axis,
)
from mindref.study.terminal.tables import count_noun
from mindref.study.terminal.text import Line, display_width, label_lines, truncate_text
from mindref.study.trace import Invariant, Step, Tensor, Trace

NAME_WIDTH = 20  # columns of "sum over interests"


def format_checks(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return the sums of the coupling weights, the invariants, and the largest change."""
    step = trace.steps[step_index]
    lines: list[Line] = []
    weights = [tensor for tensor in step.outputs if tensor.recipe["op"] == "softmax"]
    sum_checks = [find_sum_check(step, tensor) for tensor in weights]
    for tensor, invariants in zip(weights, sum_checks, strict=True):
        lines += format_sums(tensor, invariants, columns)
    for invariant in step.invariants:
        if [invariant] not in sum_checks:
            word, style = ("ok ", "ok") if invariant.holds else ("NOT", "bad")
            text = f"{invariant.text}  ({format_residual(invariant)})"
            lines += label_lines(word, text, columns, style)
    return [*lines, *format_largest_change(trace, step_index, columns)]


def format_short_checks(
    trace: Trace, step_index: int, columns: int, with_change: bool
) -> list[Line]:
    """Return one line for the invariants, and the largest change."""
    wrong = [x for x in trace.steps[step_index].invariants if not x.holds]
    count = len(trace.steps[step_index].invariants)
    text = f"{count_noun(count, 'check')} hold{'s' * (count == 1)} (`all` to show)"
    lines = label_lines("ok ", text, columns, "ok")
    if wrong:
        texts = "; ".join(f"{x.text} ({format_residual(x)})" for x in wrong)
        lines = label_lines("NOT", texts, columns, "bad")
    change = format_largest_change(trace, step_index, columns) if with_change else []
    return [*(lines if count else []), *change]


def format_residual(invariant: Invariant) -> str:
    """Return the residual of an invariant, and its tolerance if it does not hold."""
    allowed = "" if invariant.holds else f", allowed {format_magnitude(invariant.tolerance)}"
    return f"residual {format_magnitude(invariant.residual)}{allowed}"


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
        name = f"sum over {name_axis(tensor.axes[k])}s".ljust(NAME_WIDTH)
        numbers = "  ".join(format_number(x, choose_format(totals)) for x in totals)
        text, style = f"{numbers}  (need not be 1)", ""
        if out[k] == over:
            other_axes = [name_axis(axis) for axis in tensor.axes if axis != tensor.axes[k]]
            text, style = format_softmax_sum(totals, numbers, other_axes, sum_checks)
        lines += label_lines(name, text, columns, style)
    return lines


def format_softmax_sum(
    totals: Any, text: str, other_axes: list[str], sum_checks: list[Invariant]
) -> tuple[str, str]:
    """Return the sums over the axis of the softmax, as one number if they agree, and a style."""
    nonzero = totals[totals != 0]
    if len(nonzero) and not np.abs(nonzero - nonzero[0]).max() > 1e-9:
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


def find_largest_change(trace: Trace, step_index: int) -> tuple[Any, tuple[int, ...]] | None:
    """Return the change of the main tensor since the previous iteration, and its largest index.

    None for a step without a previous iteration; a change that is not finite counts as zero.
    """
    previous = find_previous_iteration(trace, step_index)
    tensor = select_main_tensor(trace.steps[step_index])
    old = None if previous is None else find_matching_tensor(tensor, trace.steps[previous])
    if old is None:
        return None
    change = np.asarray(tensor.values, float) - np.asarray(old.values, float)
    change = np.where(np.isfinite(change), change, 0)
    index = np.unravel_index(int(np.abs(change).argmax()), change.shape)
    return change, tuple(int(i) for i in index)


def format_largest_change(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return the line of the largest change since the same step of the previous iteration."""
    largest = find_largest_change(trace, step_index)
    previous = find_previous_iteration(trace, step_index)
    if largest is None or previous is None:
        return []
    (change, index), step = largest, trace.steps[step_index]
    name = f"since iteration {trace.steps[previous].number}".ljust(NAME_WIDTH)
    if not change[index]:
        return label_lines(name, "no change", columns)
    tensor = select_main_tensor(step)
    head = f"largest change in {tensor.name}: " if len(step.outputs) > 1 else "largest change: "
    size = format_change(float(change[index]), choose_format(change))
    path = format_cell_path(trace, tensor, index)
    room = columns - NAME_WIDTH - 3 - len(head) - len(size) - 2
    if room >= display_width(path) // 2:  # truncate the title in "Night Ferry -> interest 4"
        title, arrow, end = path.rpartition(" -> ")
        path = truncate_text(title, max(room - display_width(arrow + end), 1)) + arrow + end
    return label_lines(name, f"{head}{path}  {size}", columns)


def format_cell_path(trace: Trace, tensor: Tensor, index: tuple[int, ...]) -> str:
    """Return the titles of an index, such as "Night Ferry -> interest 4"."""
    words = []
    for axis, i in zip(get_axes(trace, tensor), index, strict=True):
        words.append(axis.titles[i] if axis.has_titles else f"{axis.name} {i + 1}")
    return " -> ".join(words)
