"""The mark of the largest number of a row; the page has the same rule (page/script/table.js)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.study.recipes import recipe_inputs
from mindref.study.terminal.numbers_and_axes import Axis, select_active
from mindref.study.trace import Tensor, Trace

MARK, SIZE_MARK = " ^", " *"  # the largest number; of a gradient, the largest in size
NO_MARK = "  "
GRADIENTS = ("d_", "from_")  # prefixes of the names of gradients
EXPONENTIALS = ("softmax", "without_hits", "loss", "tail")  # operations on logits, as on the page


def is_gradient(tensor: Tensor) -> bool:
    """Return whether a tensor is a gradient, whose numbers are compared by magnitude."""
    return tensor.name.startswith(GRADIENTS)


def is_logit(trace: Trace, tensor: Tensor) -> bool:
    """Return whether a step computes a softmax of the tensor."""
    return any(
        output.recipe["op"] in EXPONENTIALS and tensor.name in recipe_inputs(output.recipe)
        for step in trace.steps
        for output in step.outputs
    )


def mark_tensor(trace: Trace, tensor: Tensor, array: Any, across: Axis) -> Any:
    """Return the marks of a table of a tensor. Logits have none, because a softmax follows."""
    if is_logit(trace, tensor):
        return np.zeros(array.shape, bool)
    return mark_largest(array, across, select_active(trace, across), is_gradient(tensor))


def mark_largest(array: Any, across: Axis, active: Any, by_magnitude: bool) -> Any:
    """Return a mask (rows, columns) of the largest active number of each row.

    Only an axis with titles has marks: coordinates of a vector are not comparable.
    """
    marks = np.zeros(array.shape, bool)
    if array.dtype.kind != "f" or not across.has_titles or active.sum() < 2:
        return marks
    sizes = np.abs(array) if by_magnitude else array
    sizes = np.where(np.isnan(array) | ~active, -np.inf, sizes)
    differ = sizes.max(axis=1) > sizes[:, active].min(axis=1)
    marks[np.arange(len(array))[differ], sizes.argmax(axis=1)[differ]] = True
    return marks


def append_marks(texts: list[list[str]], marks: Any, tensor: Tensor) -> list[list[str]]:
    """Return texts with a mark after the largest, and blanks of equal width after the others."""
    if not marks.any():
        return texts
    sign = SIZE_MARK if is_gradient(tensor) else MARK
    return [
        [text + (sign if mark else NO_MARK) for text, mark in zip(row, row_marks, strict=True)]
        for row, row_marks in zip(texts, marks, strict=True)
    ]
