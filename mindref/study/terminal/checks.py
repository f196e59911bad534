"""What must hold at a step, and what moved: the lines under a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.study.terminal.finding import round_before, twin
from mindref.study.terminal.lines import Line, named
from mindref.study.terminal.numerals import form, moved, number, tiny
from mindref.study.terminal.tables import axis_of

MARGIN = 20  # columns of "sum over interests"


def sums(tensor: Any, columns: int) -> list[Line]:
    """Return both sums of softmax weights over behaviours and interests: which is 1, which not.

    The most asked question about routing is over which axis the softmax runs.
    """
    recipe = tensor.recipe
    if recipe.get("op") != "softmax":
        return []
    lines = []
    own = recipe["out"].index(recipe["over"])
    for k in sorted(range(len(tensor.axes)), key=lambda k: k != own):
        axis, over = tensor.axes[k], k == own
        lines += sum_over(np.asarray(tensor.array).sum(axis=k), axis, over, tensor.axes, columns)
    return lines


def sum_over(totals: Any, axis: str, over: bool, axes: Any, columns: int) -> list[Line]:
    """Return the line of one sum: over the axis of the softmax 1, or 0 where all is masked."""
    others = [other for other in axes if other != axis]
    name = f"sum over {axis}s".ljust(MARGIN)
    whole = np.atleast_1d(totals)
    if over and np.all((np.abs(whole - 1) < 1e-9) | (whole == 0)):
        live = whole[whole != 0]
        empty = f", 0 for {len(whole) - len(live)} masked" if len(live) < len(whole) else ""
        each = f" for every {others[0]}{empty}" if others else ""
        return named(name, f"{number(live[0] if len(live) else 0.0, '.3f')}{each}", columns)
    shape = form(whole)
    text = "  ".join(number(total, shape) for total in whole)
    note = "(must be 1)" if over else "(need not be 1)"
    return named(name, f"{text}  {note}", columns)


def invariants(step: Any, columns: int) -> list[Line]:
    """Return a line for each thing that must hold, with how far it is off."""
    lines = []
    for each in step.invariants:
        word = "ok " if each.holds else "NOT"
        off = f"residual {tiny(each.residual)}"
        off += "" if each.holds else f", allowed {tiny(each.tolerance)}"
        lines += named(word, f"{each.text}  ({off})", columns, "ok" if each.holds else "bad")
    return lines


def since(trace: Any, at: int, tensor: Any, columns: int) -> list[Line]:
    """Return what moved most since the same step of the round before."""
    before = round_before(trace, at)
    old = None if before is None else twin(tensor, trace.steps[before])
    if before is None or old is None:
        return []
    change = np.asarray(tensor.array, float) - np.asarray(old.array, float)
    name = f"since round {trace.steps[before].turn}".ljust(MARGIN)
    change = np.where(np.isfinite(change), change, 0)
    if not change.any():
        return named(name, "nothing moved", columns)
    index = np.unravel_index(int(np.abs(change).argmax()), change.shape)
    route = arrow(trace.labels, tensor, tuple(int(i) for i in index))
    size = moved(float(change[index]), form(change))
    return named(name, f"biggest move: {route}  {size}", columns)


def arrow(labels: Any, tensor: Any, index: tuple[int, ...]) -> str:
    """Return where a cell stands, as "Night Ferry -> interest 4"."""
    words = []
    for name, size, i in zip(tensor.axes, tensor.shape, index, strict=True):
        axis = axis_of(labels, name, size)
        words.append(axis.titles[i] if axis.known else f"{name} {i + 1}")
    return " -> ".join(words)
