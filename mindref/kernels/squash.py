"""Twin of `mindref.ops.squash`: out_d = x_d n / (1 + n^2), with n the length of x.

Spec: specs/squash.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.kernels._jit import jit
from mindref.ops.squash import KINDS, Saved, check
from mindref.shapes import Array, fits


def forward(x: Array, *, kind: str = "squash") -> tuple[Array, Saved]:
    """Map capsules (..., D) to the same directions with lengths below one."""
    check(x, kind)
    rows = np.ascontiguousarray(x).reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    out, unit = np.empty_like(rows), np.empty_like(rows)
    across, along = np.empty(len(rows), x.dtype), np.empty(len(rows), x.dtype)
    shorten(rows, KINDS.index(kind), out, unit, across, along)
    column = (*x.shape[:-1], 1)
    saved = Saved(unit.reshape(x.shape), across.reshape(column), along.reshape(column))
    return out.reshape(x.shape), saved


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_x (..., D)."""
    fits("squash", d_out, saved.unit.shape)
    unit = saved.unit.reshape(saved.across.size, saved.unit.shape[-1])
    d_rows = np.ascontiguousarray(d_out).reshape(unit.shape)
    d_x: Any = np.empty_like(unit)
    shorten_backward(d_rows, unit, saved.across.reshape(-1), saved.along.reshape(-1), d_x)
    return d_x.reshape(saved.unit.shape)


@jit
def shorten(x: Array, kind: int, out: Array, unit: Array, across: Array, along: Array) -> None:
    """Write out, directions (N, D) and slopes (N,) of capsules (N, D); kind is a place in KINDS."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for n in range(x.shape[0]):
        if kind == 2:  # squash-R7
            for d in range(x.shape[1]):
                out[n, d], unit[n, d] = x[n, d], zero
            across[n], along[n] = one, one
            continue
        largest = zero
        for d in range(x.shape[1]):
            size = abs(x[n, d])
            if size > largest or size != size:
                largest = size
        scale = largest if largest != 0 else one
        square = zero
        for d in range(x.shape[1]):
            unit[n, d] = x[n, d] / scale  # squash-R4: in [-1, 1]
            square += unit[n, d] * unit[n, d]
        length = np.sqrt(square)
        norm = largest * length
        gain = one
        if kind == 1:  # squash-R6
            across[n] = min(one / norm, np.finfo(x.dtype).max) if norm != 0 else zero
            along[n] = zero
        else:
            inside = not norm > 1
            r = norm if inside else one / norm
            bent = one / (one + r * r)
            gain = r * r * bent if inside else bent  # squash-R1
            across[n] = r * bent
            along[n] = (r * bent + r * bent) * bent * (one if inside else r * r)
        for d in range(x.shape[1]):
            unit[n, d] = unit[n, d] / length if length != 0 else unit[n, d]
            out[n, d] = unit[n, d] * gain


@jit
def shorten_backward(d_out: Array, unit: Array, across: Array, along: Array, d_x: Array) -> None:
    """Write across (d_out_d - i u_d) + along i u_d into d_x, with i = sum_d u_d d_out_d."""
    for n in range(unit.shape[0]):
        inner = unit.dtype.type(0)
        for d in range(unit.shape[1]):
            inner += unit[n, d] * d_out[n, d]
        for d in range(unit.shape[1]):
            side = inner * unit[n, d]
            d_x[n, d] = across[n] * (d_out[n, d] - side) + along[n] * side  # squash-R2, R3
