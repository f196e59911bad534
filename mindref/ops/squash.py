"""Squash maps the length of a vector to [0, 1) and keeps the direction of the vector.

Spec: specs/squash.md. Source: Sabour et al. 2017, eq. 1; Li et al., CIKM 2019, eq. 7.
Difference: no epsilon, because the formula x n / (1 + n^2), with n = |x|, does not divide by n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.shapes import Array, common_float_dtype

KINDS = ("squash", "unit", "none")  # values of the option `kind` of `forward`


class Saved(NamedTuple):
    """The values that `backward` reads: direction and slopes, all finite if x is finite."""

    unit: Array  # (..., D) x / |x|; zero if x is zero, or for the kind "none"
    across: Array  # (..., 1) new length / old length: the slope orthogonal to x
    along: Array  # (..., 1) derivative of the new length with respect to the old: slope along x


def forward(x: Array, *, kind: str = "squash") -> tuple[Array, Saved]:
    """Return the squashed vectors of x (..., D), float32 or float64.

    kind="squash" returns x |x| / (1 + |x|^2); "unit" returns x / |x|; "none" returns a copy of x.
    Each kind maps zero to zero. Raises ShapeError for another kind or dtype, and for an array
    without an axis.
    """
    check_inputs(x, kind)
    if kind == "none":  # squash-R7
        ones = np.ones((*x.shape[:-1], 1), x.dtype)
        return x.copy(), Saved(np.zeros_like(x), ones, ones)  # backend-R12
    unit, norm = direction_and_length(x)  # 1
    if kind == "unit":  # squash-R6
        return unit, Saved(unit, bounded_reciprocal(norm), np.zeros_like(norm))
    # 2: r = min(n, 1 / n), n the norm. If n > 1, 1 / (1 + r^2) is n^2 / (1 + n^2), no overflow
    inside = norm <= 1
    r = np.where(inside, norm, 1 / np.where(inside, 1, norm))  # squash-R4: 1 / inf is 0
    gain = np.where(inside, r * r, 1) / (1 + r * r)  # 3: new length, squash-R1, R5
    across = r / (1 + r * r)  # new length / old length: n / (1 + n^2) = r / (1 + r^2)
    along = 2 * across / (1 + r * r) * np.where(inside, 1, r * r)  # 2 n / (1 + n^2)^2
    return unit * gain, Saved(unit, across, along)  # 4


def backward(d_out: Array, saved: Saved) -> Array:
    """Return d_x (..., D): the parts of d_out orthogonal to x and along x, each times its slope."""
    unit, across, along = saved
    inner = np.sum(unit * d_out, axis=-1, keepdims=True)
    return across * (d_out - inner * unit) + along * inner * unit  # 4 to 1, squash-R2, R3


def check_inputs(x: Array, kind: str) -> None:
    """Raise ShapeError if the arguments of `forward` are invalid."""
    common_float_dtype("squash", x=x)
    if kind not in KINDS:
        raise ShapeError(say("squash: kind", " or ".join(KINDS), kind))  # squash-R8
    if x.ndim == 0:
        raise ShapeError(say("squash: x", "at least one axis", "a number"))  # squash-R9


def direction_and_length(x: Array) -> tuple[Array, Array]:
    """Return the direction (..., D) and the length (..., 1) of x; a length may be infinite."""
    largest = np.max(np.abs(x), axis=-1, keepdims=True, initial=0)  # (..., 1)
    with np.errstate(invalid="ignore"):  # infinity / infinity is NaN, as numerics-R5 requires
        scaled = x / np.where(largest == 0, 1, largest)  # squash-R4, numerics-R16
    length = np.sqrt(np.sum(scaled * scaled, axis=-1, keepdims=True))  # in [1, sqrt D]; 0 if x is 0
    with np.errstate(over="ignore"):  # numerics-R10: an infinite length is allowed
        norm = largest * length  # squash-R5: no epsilon
    return scaled / np.where(length == 0, 1, length), norm  # squash-R3: zero stays zero


def bounded_reciprocal(norm: Array) -> Array:
    """Return 1 / norm, at most the largest number of the dtype. If norm is zero, return zero."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.minimum(1 / norm, np.finfo(norm.dtype).max)
    return np.where(norm == 0, 0, inverse)
