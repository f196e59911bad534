"""Softmax over one axis, with a mask.

Spec: specs/softmax.md. Source: Sabour et al. 2017, eq. 3; Li et al., CIKM 2019, Algorithm 1.
Difference: elements where the mask is false have no influence, and their weights are zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.shapes import Array, Bools, common_float_dtype, require_axis, require_bool


class Saved(NamedTuple):
    """The values that `backward` reads. The Jacobian of softmax depends only on its output."""

    out: Array  # of the shape of the logits
    axis: int
    mask: Bools | bool = True  # broadcasts to the logits


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Saved]:
    """Return weights that sum to one along `axis`, over the elements where the mask is true.

    logits: any shape, float32 or float64. mask: bool, broadcastable to the logits. Where the mask
    is false, a logit may have any value, NaN included, and its weight is zero. The weights have the
    shape of the logits. Raises ShapeError if the dtype, the mask or the axis is invalid.
    """
    check_inputs(logits, mask, axis)
    masked = np.where(mask, logits, -np.inf)  # 1, softmax-R2
    largest = np.max(masked, axis=axis, keepdims=True, initial=-np.inf)  # 2, softmax-R6
    # 2, softmax-R4: if the mask is false for a whole slice, its maximum is -infinity
    largest = np.where(largest == -np.inf, 0, largest)
    # numerics-R5: infinity - infinity must be NaN; numerics-R10: a logit -infinity has weight 0
    with np.errstate(invalid="ignore", over="ignore"):
        exponentials = np.exp(masked - largest)  # 3, softmax-R3: the largest result is exp(0)
    total = np.sum(exponentials, axis=axis, keepdims=True)  # 4, softmax-R6
    out = exponentials / np.where(
        total == 0, 1, total
    )  # 5, softmax-R1, R4; a NaN stays, numerics-R5
    out = np.where(mask, out, 0).astype(logits.dtype, copy=False)  # numerics-R2
    return out, Saved(out, axis, mask)


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_logits = out * (d_out - <out, d_out>). Where the mask is false, it is zero."""
    out, axis, mask = saved
    d_out = np.where(mask, d_out, 0)  # 1, softmax-R5, numerics-R4: 0 times NaN would be NaN
    inner = np.sum(out * d_out, axis=axis, keepdims=True)  # 5, 4
    d_logits = out * (d_out - inner)  # 3, 2, softmax-R5
    return np.where(mask, d_logits, 0)  # 1, softmax-R5: 0 times NaN would be NaN


def check_inputs(logits: Array, mask: Bools, axis: int) -> None:
    """Raise ShapeError if the arguments of `forward` are invalid."""
    common_float_dtype("softmax", logits=logits)
    require_bool("softmax", mask=mask)
    require_axis("softmax", axis, logits.ndim)  # softmax-R7
    if mask.ndim > logits.ndim or any(
        size not in (1, logit_size)
        for size, logit_size in zip(
            mask.shape[::-1], logits.shape[::-1], strict=False
        )  # a missing axis counts as size 1
    ):
        expected = f"a shape that broadcasts to the logits' {logits.shape}"
        raise ShapeError(say("softmax: mask", expected, mask.shape))  # softmax-R8
