"""Compiled softmax over an axis: out_a = exp(x_a - max x) / sum_a' exp(x_a' - max x).

Spec: specs/softmax.md.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from mindref.kernels._jit import jit
from mindref.ops.softmax import Saved, check_inputs
from mindref.shapes import Array, Bools, require_gradient_shape

Kind = TypeVar("Kind", Array, Bools)


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Saved]:
    """Return weights that sum to one over an axis; see `mindref.ops.softmax.forward`."""
    check_inputs(logits, mask, axis)
    mask = np.broadcast_to(mask, logits.shape)
    rows = rows_along_axis(logits, axis)
    weights = np.empty_like(rows)
    softmax_rows(rows, rows_along_axis(mask, axis), weights)
    out = restore_axis(weights, logits, axis)
    return out, Saved(out, axis, mask)


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_logits, zero wherever the mask was false."""
    out, axis, mask = saved
    require_gradient_shape("softmax", d_out, out.shape)
    rows = rows_along_axis(out, axis)
    d_rows = np.empty_like(rows)
    allowed: Bools = rows_along_axis(np.broadcast_to(mask, out.shape), axis)
    softmax_rows_backward(rows_along_axis(d_out, axis), rows, allowed, d_rows)
    return restore_axis(d_rows, out, axis)


def rows_along_axis(x: Kind, axis: int) -> Kind:
    """Return x as a contiguous matrix whose rows run along the axis."""
    moved = np.moveaxis(x, axis, -1)
    rows = moved.size // moved.shape[-1] if moved.shape[-1] else 0
    return np.ascontiguousarray(moved).reshape(rows, moved.shape[-1])


def restore_axis(rows: Array, like: Array, axis: int) -> Array:
    """Return the matrix of `rows_along_axis` in the shape of `like`."""
    shape = np.moveaxis(like, axis, -1).shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(shape), -1, axis))


@jit
def softmax_rows(x: Array, mask: Bools, out: Array) -> None:
    """Write the softmax of each row (N, A) into out, zero where the mask is false."""
    for n in range(x.shape[0]):
        top = x.dtype.type(-np.inf)
        for a in range(x.shape[1]):
            if mask[n, a] and x[n, a] > top:
                top = x[n, a]
        if top == -np.inf:  # softmax-R4: all masked, or only NaN, which stays NaN
            top = x.dtype.type(0)
        total = x.dtype.type(0)
        for a in range(x.shape[1]):
            out[n, a] = np.exp(x[n, a] - top) if mask[n, a] else 0  # softmax-R2, R3
            total += out[n, a]
        if total != 0:
            for a in range(x.shape[1]):
                out[n, a] = out[n, a] / total if mask[n, a] else 0  # softmax-R1


@jit
def softmax_rows_backward(d_out: Array, out: Array, mask: Bools, d_x: Array) -> None:
    """Write out_a (d_out_a - sum_a' out_a' d_out_a') into d_x (N, A), zero outside the mask."""
    for n in range(out.shape[0]):
        inner = out.dtype.type(0)
        for a in range(out.shape[1]):
            if mask[n, a]:  # d_out may be NaN where the mask is false, softmax-R5
                inner += out[n, a] * d_out[n, a]
        for a in range(out.shape[1]):
            d_x[n, a] = out[n, a] * (d_out[n, a] - inner) if mask[n, a] else 0  # softmax-R5
