"""Twin of `mindref.ops.softmax`: out_a = exp(x_a - max x) / sum_a' exp(x_a' - max x) over an axis.

Spec: specs/softmax.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.kernels._jit import jit
from mindref.ops.softmax import Saved, check
from mindref.shapes import Array, Bools, fits


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Saved]:
    """Map logits to weights that sum to one over an axis; see `mindref.ops.softmax.forward`."""
    check(logits, mask, axis)
    mask = np.broadcast_to(mask, logits.shape)
    rows = last(logits, axis)
    weights = np.empty_like(rows)
    share(rows, last(mask, axis), weights)
    out = back(weights, logits, axis)
    return out, Saved(out, axis, mask)


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_logits, zero wherever the mask was false."""
    out, axis, mask = saved
    fits("softmax", d_out, out.shape)
    rows = last(out, axis)
    d_rows = np.empty_like(rows)
    allowed = last(np.broadcast_to(mask, out.shape), axis)
    share_backward(last(d_out, axis), rows, allowed, d_rows)
    return back(d_rows, out, axis)


def last(x: Any, axis: int) -> Any:
    """Return x with an axis as the last of two, contiguous."""
    moved = np.moveaxis(x, axis, -1)
    rows = moved.size // moved.shape[-1] if moved.shape[-1] else 0
    return np.ascontiguousarray(moved).reshape(rows, moved.shape[-1])


def back(rows: Array, like: Array, axis: int) -> Array:
    """Return rows in the shape of `like`, from which `last` made them."""
    shape = np.moveaxis(like, axis, -1).shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(shape), -1, axis))


@jit
def share(x: Array, mask: Bools, out: Array) -> None:
    """Write the softmax of each row (N, A) into out, zero where the mask is false."""
    for n in range(x.shape[0]):
        top = x.dtype.type(-np.inf)
        for a in range(x.shape[1]):
            if mask[n, a] and x[n, a] > top:
                top = x[n, a]
        if top == -np.inf:  # softmax-R4: nothing to weigh; or a NaN, which stays one below
            top = x.dtype.type(0)
        total = x.dtype.type(0)
        for a in range(x.shape[1]):
            out[n, a] = np.exp(x[n, a] - top) if mask[n, a] else 0  # softmax-R2, R3
            total += out[n, a]
        if total != 0:
            for a in range(x.shape[1]):
                out[n, a] = out[n, a] / total if mask[n, a] else 0  # softmax-R1


@jit
def share_backward(d_out: Array, out: Array, mask: Bools, d_x: Array) -> None:
    """Write out_a (d_out_a - sum_a' out_a' d_out_a') into d_x (N, A), zero outside the mask."""
    for n in range(out.shape[0]):
        inner = out.dtype.type(0)
        for a in range(out.shape[1]):
            if mask[n, a]:  # what comes back to a masked place may be NaN, softmax-R5
                inner += out[n, a] * d_out[n, a]
        for a in range(out.shape[1]):
            d_x[n, a] = out[n, a] * (d_out[n, a] - inner) if mask[n, a] else 0  # softmax-R5
