"""Spec: specs/squash.md."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError
from mindref.shapes import Array
from tests.conformance.independent.argument_checks import check_floats


class SquashSaved(NamedTuple):
    unit: Array  # (..., D) the direction
    across: Array  # (..., 1) the slope across the direction
    along: Array  # (..., 1) the slope along the direction


class Squash:
    """Vectors with the same direction and the length n^2 / (1 + n^2)."""

    def forward(self, x: Array, *, kind: str = "squash") -> tuple[Array, SquashSaved]:
        check_floats("squash", x=x)
        if kind not in ("squash", "unit", "none"):
            raise ShapeError(f"squash: kind: expected squash or unit or none, got {kind}")
        if x.ndim == 0:
            raise ShapeError("squash: x: expected at least one axis, got a number")
        if kind == "none":
            ones = np.ones((*x.shape[:-1], 1), x.dtype)
            saved = SquashSaved(np.zeros(x.shape, x.dtype), ones, ones.copy())
            return np.array(x, order="C"), saved
        unit, norm = self.split_vectors(x)
        if kind == "unit":
            with np.errstate(divide="ignore", over="ignore"):
                across = np.minimum(1 / norm, np.finfo(x.dtype).max)
            across = np.where(norm == 0, 0, across).astype(x.dtype)
            return unit, SquashSaved(unit, across, np.zeros_like(across))
        lengths, across, along = self.compute_slopes(norm)
        return lengths * unit, SquashSaved(unit, across, along)

    def split_vectors(self, x: Array) -> tuple[Array, Array]:
        """Return the direction (..., D) and the norm (..., 1) of each vector."""
        largest = np.abs(x).max(axis=-1, keepdims=True, initial=0)
        with np.errstate(invalid="ignore", under="ignore"):
            scaled = x / np.where(largest == 0, 1, largest)
            length = np.sqrt(self.sum_squares(scaled))
        with np.errstate(over="ignore"):
            norm = largest * length
        return scaled / np.where(length == 0, 1, length), norm

    def sum_squares(self, x: Array) -> Array:
        return (x * x).sum(axis=-1, keepdims=True)

    def compute_slopes(self, norm: Array) -> tuple[Array, Array, Array]:
        """Return the length of the result, and its slopes across and along the direction."""
        short = norm <= 1
        with np.errstate(under="ignore"):
            ratio = np.where(short, norm, 1 / np.where(short, 1, norm))
            square = ratio * ratio
            length = np.where(short, square, 1) / (1 + square)
            across = ratio / (1 + square)
            along = np.where(short, 1, square) * 2 * ratio / ((1 + square) * (1 + square))
        return length, across, along

    def backward(self, d_out: Array, saved: SquashSaved) -> Array:
        unit, across, along = saved
        inner = (unit * d_out).sum(axis=-1, keepdims=True)
        return across * (d_out - inner * unit) + along * (inner * unit)
