"""The rows of a step that fit a terminal window: padding and parameters folded, weights shaded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.lookup import select_main_tensor
from mindref.study.terminal.numbers_and_axes import get_axes, name_axis
from mindref.study.trace import Step, Tensor, Trace

ROWS = 8  # of a table without a window, unless `all`
BLOCKS = ("  ", "░░", "▒▒", "▓▓", "██")
"""A weight of zero, and weights below 1/4, 1/2, 3/4 and from 3/4 on."""

MANY, FEW = 14, 5  # rows for which source and checks, or other tables, are omitted

FOLDED = 32  # entries of an input from which on its table is folded


class Detail(NamedTuple):
    """How much of a step a window shows."""

    rows: int  # of each table
    source: bool = True
    checks: bool = True  # each check; otherwise how many hold
    tables: bool = True  # of every tensor; otherwise of the main tensor
    blocks: bool = False  # every block of columns; otherwise the first


def list_details() -> list[Detail]:
    """Return the details to try, most first: many rows matter more than source and checks."""
    options = ((True, True, True), (False, True, True), (False, False, True))
    details = [Detail(60, *option, blocks) for blocks in (True, False) for option in options]
    details += [Detail(MANY, *option) for option in options]
    details += [Detail(rows, False, False, True) for rows in range(MANY - 1, FEW - 1, -1)]
    return details + [Detail(rows, False, False, False) for rows in range(MANY, 0, -1)]


def select_padding(trace: Trace, axis_name: str, size: int) -> Any:
    """Return a mask (size,) of the padded positions of an axis."""
    mask = trace.values.get("mask") if axis_name == name_axis("behaviour") else None
    if mask is None or np.shape(mask) != (size,):
        return np.zeros(size, bool)
    return ~np.asarray(mask, bool)


def is_folded(trace: Trace, step: Step, tensor: Tensor) -> bool:
    """Return whether a window omits a table: parameters, and large inputs without interests."""
    if tensor is select_main_tensor(step) or len(tensor.axes) < 2:
        return False
    array = np.asarray(tensor.values)
    is_parameter = not any(axis.has_titles for axis in get_axes(trace, tensor))
    is_input = tensor.recipe["op"] == "input" and "interest" not in tensor.axes
    return array.dtype.kind == "f" and array.size > FOLDED and (is_parameter or is_input)


def shade_weights(tensor: Tensor, array: Any) -> list[list[str]] | None:
    """Return a block for each weight of a softmax (rows, columns); None for other numbers."""
    if tensor.recipe["op"] != "softmax":
        return None
    levels = np.where(array > 0, np.minimum(np.floor(np.nan_to_num(array) * 4), 3) + 1, 0)
    return [[BLOCKS[int(level)] for level in row] for row in levels]
