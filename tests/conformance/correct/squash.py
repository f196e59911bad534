"""Spec: specs/squash.md. Scaled by a power of two; J = c 1 + (s - c) a a', c across, s along."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import squash as reference
from mindref.shapes import Array
from tests.conformance.correct.sums import total


def check_inputs(x: Any, *, kind: str = "squash") -> None:
    reference.check_inputs(x, kind)


def forward(x: Array, *, kind: str = "squash") -> tuple[Array, Any]:
    if kind == "none":
        return x.copy(), None
    unit, n = polar(x)
    if kind == "unit":  # squash-R6
        return unit, (unit, inverse(n), np.zeros_like(n))
    gain, across, along = lengths(n)
    return unit * gain, (unit, across, along)


def backward(d_out: Array, saved: Any) -> Array:
    if saved is None:
        return d_out.copy()
    unit, across, along = saved
    inner = total(unit * d_out, -1, keepdims=True)
    return across * d_out + (along - across) * inner * unit  # squash-R2


def polar(x: Array) -> tuple[Array, Array]:
    """Return direction (..., D), NaN where x is not finite, and length (..., 1)."""
    largest = np.max(np.abs(x), axis=-1, keepdims=True, initial=0)
    usable = np.isfinite(largest)
    _, exponent = np.frexp(np.where(usable, largest, 1))
    scaled = np.ldexp(np.where(usable, x, np.nan), -exponent).astype(x.dtype)  # exact: squash-R4
    length = np.sqrt(total(scaled * scaled, -1, keepdims=True))
    with np.errstate(over="ignore"):  # a length beyond the floats is provided for
        n = np.ldexp(length, exponent)
    return scaled / np.where(length == 0, 1, length), n  # squash-R3


def lengths(n: Array) -> tuple[Array, Array, Array]:
    """Return n^2 / (1 + n^2) and the slopes across and along, without overflow."""
    with np.errstate(over="ignore", divide="ignore"):
        divisor = 1 + n * n
        inside = n <= 1
        gain = np.where(inside, n * n / np.where(inside, divisor, 1), 1 - 1 / divisor)
        across = np.where(inside, n / np.where(inside, divisor, 1), 1 / (n + 1 / n))
        far = 2 * (across * across / np.where(inside, 1, n))
    return gain, across, np.where(inside, 2 * n / np.where(inside, divisor * divisor, 1), far)


def inverse(n: Array) -> Array:
    """Return 1 / n, zero at zero, at most the largest float."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(n == 0, 0, np.minimum(1 / n, np.finfo(n.dtype).max)).astype(n.dtype)
