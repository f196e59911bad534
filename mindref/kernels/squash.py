"""Compiled squash: out_d = x_d n / (1 + n^2), with n the length of x.

Spec: specs/squash.md.
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import Number, jit
from mindref.ops.squash import KINDS, Saved, check_inputs
from mindref.shapes import Array, require_gradient_shape


def forward(x: Array, *, kind: str = "squash") -> tuple[Array, Saved]:
    """Return vectors (..., D) of the same direction as x with lengths below one."""
    check_inputs(x, kind)
    rows = np.ascontiguousarray(x).reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    out, unit = np.empty_like(rows), np.empty_like(rows)
    across, along = np.empty(len(rows), x.dtype), np.empty(len(rows), x.dtype)
    squash_rows(rows, KINDS.index(kind), out, unit, across, along)
    column = (*x.shape[:-1], 1)
    saved = Saved(unit.reshape(x.shape), across.reshape(column), along.reshape(column))
    return out.reshape(x.shape), saved


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_x (..., D)."""
    require_gradient_shape("squash", d_out, saved.unit.shape)
    unit = saved.unit.reshape(saved.across.size, saved.unit.shape[-1])
    d_rows = np.ascontiguousarray(d_out).reshape(unit.shape)
    d_x = np.empty_like(unit)
    squash_rows_backward(d_rows, unit, saved.across.reshape(-1), saved.along.reshape(-1), d_x)
    return d_x.reshape(saved.unit.shape)


@jit
def squash_rows(x: Array, kind: int, out: Array, unit: Array, across: Array, along: Array) -> None:
    """Write out and directions (N, D), and slopes (N,), of x (N, D); kind is an index in KINDS."""
    for n in range(x.shape[0]):
        across[n], along[n] = squash_row(x[n], kind, out[n], unit[n])


@jit
def squash_rows_backward(
    d_out: Array, unit: Array, across: Array, along: Array, d_x: Array
) -> None:
    """Write across (d_out_d - i u_d) + along i u_d into d_x, with i = sum_d u_d d_out_d."""
    for n in range(unit.shape[0]):
        inner = unit.dtype.type(0)
        for d in range(unit.shape[1]):
            inner += unit[n, d] * d_out[n, d]
        for d in range(unit.shape[1]):
            parallel = inner * unit[n, d]
            d_x[n, d] = across[n] * (d_out[n, d] - parallel) + along[n] * parallel  # squash-R2, R3


@jit
def squash_row_backward(
    unit: Array, across: Number, along: Number, d_out: Array, d_x: Array
) -> None:
    """Write across (d_out - i u) + along i u into d_x (D,), with i = u . d_out.

    The compiler may order this sum otherwise than that of `squash_rows_backward`.
    """
    inner = unit.dtype.type(0)
    for d in range(unit.shape[0]):
        inner += unit[d] * d_out[d]
    for d in range(unit.shape[0]):
        parallel = inner * unit[d]
        d_x[d] = across * (d_out[d] - parallel) + along * parallel


@jit
def squash_gain(norm: Number, one: Number) -> tuple[Number, Number, Number]:
    """Return the length of the squashed vector, and the slopes across and along the vector."""
    inside = not norm > 1
    r = norm if inside else one / norm
    factor = one / (one + r * r)
    gain, along = (r * r * factor, one) if inside else (factor, r * r)  # squash-R1
    return gain, r * factor, (one + one) * r * factor * factor * along


@jit
def squash_row(x: Array, kind: int, out: Array, unit: Array) -> tuple[Number, Number]:
    """Write squash and direction of a vector x (D,); return the slopes across and along it."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    if kind == 2:  # squash-R7
        for d in range(x.shape[0]):
            out[d], unit[d] = x[d], zero
        return one, one
    scale, length = scaled_length(x)
    norm = scale * length
    gain, across, along = squash_gain(norm, one)
    if kind == 1:  # squash-R6
        gain, along = one, zero
        across = min(one / norm, np.finfo(x.dtype).max) if norm != 0 else zero
    for d in range(x.shape[0]):
        unit[d] = x[d] / scale  # squash-R4: in [-1, 1]
        unit[d] = unit[d] / length if length != 0 else unit[d]
        out[d] = unit[d] * gain
    return across, along


@jit
def scaled_length(x: Array) -> tuple[Number, Number]:
    """Return the largest absolute value of x (D,), or 1, and the length of x divided by it."""
    largest, square = x.dtype.type(0), x.dtype.type(0)
    for d in range(x.shape[0]):
        largest = max(largest, abs(x[d]))
    scale = largest if largest != 0 else x.dtype.type(1)  # squash-R4
    for d in range(x.shape[0]):
        ratio = x[d] / scale
        square += ratio * ratio
    return scale, np.sqrt(square)
