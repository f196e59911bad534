"""Softmax over one axis, with a mask.

Spec: specs/softmax.md. Source: Sabour et al. 2017, eq. 3; Li et al., CIKM 2019, Algorithm 1.
Differs: what the mask leaves out takes no part at all; a slice with nothing left is all zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.shapes import Array, Bools, axis_within, boolean, same_float


class Saved(NamedTuple):
    """The output, of which the Jacobian is a function, and what the mask left out of it."""

    out: Array  # the shape of the logits
    axis: int
    mask: Bools | bool = True  # broadcasts to the logits


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Saved]:
    """Map logits to weights that sum to one over `axis` among the places where mask is true.

    logits any shape, float32 or float64; mask bool, broadcastable to it. A masked logit may be
    anything, NaN included. Returns the weights in the shape of the logits; a slice without a true
    place is zero. Raises ShapeError for types, a mask or an axis that do not fit.
    """
    check(logits, mask, axis)
    kept = np.where(mask, logits, -np.inf)  # 1, softmax-R2
    top = np.max(kept, axis=axis, keepdims=True, initial=-np.inf)  # 2, softmax-R6
    top = np.where(top == -np.inf, 0, top)  # 2, softmax-R4: an empty slice has no maximum
    # infinity less infinity is the NaN that numerics-R5 wants; -infinity has weight 0, numerics-R10
    with np.errstate(invalid="ignore", over="ignore"):
        raised = np.exp(kept - top)  # 3, softmax-R3: the largest is exp(0)
    total = np.sum(raised, axis=axis, keepdims=True)  # 4, softmax-R6
    out = raised / np.where(total == 0, 1, total)  # 5, softmax-R1, R4; a NaN stays, numerics-R5
    out = np.where(mask, out, 0).astype(logits.dtype, copy=False)  # numerics-R2
    return out, Saved(out, axis, mask)


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_logits = out (d_out - <out, d_out>); zero wherever the mask was false."""
    out, axis, mask = saved
    d_out = np.where(mask, d_out, 0)  # 1, softmax-R5, numerics-R4: 0 times NaN would be NaN
    inner = np.sum(out * d_out, axis=axis, keepdims=True)  # 5, 4
    d_logits = out * (d_out - inner)  # 3, 2, softmax-R5
    return np.where(mask, d_logits, 0)  # 1, softmax-R5: the same


def check(logits: Array, mask: Bools, axis: int) -> None:
    """Raise ShapeError for anything that `forward` cannot take."""
    same_float("softmax", logits=logits)
    boolean("softmax", mask=mask)
    axis_within("softmax", axis, logits.ndim)  # softmax-R7
    if mask.ndim > logits.ndim or any(
        size not in (1, full)
        for size, full in zip(mask.shape[::-1], logits.shape[::-1], strict=False)  # missing: 1
    ):
        fits = f"a shape that broadcasts to the logits' {logits.shape}"
        raise ShapeError(say("softmax: mask", fits, mask.shape))  # softmax-R8
