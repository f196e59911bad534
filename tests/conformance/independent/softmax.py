"""Spec: specs/softmax.md."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError
from mindref.shapes import Array, Bools
from tests.conformance.independent.argument_checks import check_floats, check_masks


class SoftmaxSaved(NamedTuple):
    weights: Array
    mask: Bools
    axis: int


class Softmax:
    """Softmax over one axis, over the entries where the mask is true."""

    def forward(self, logits: Array, mask: Bools, *, axis: int) -> tuple[Array, SoftmaxSaved]:
        self.check_inputs(logits, mask, axis)
        weights = self.normalise_logits(np.where(mask, logits, -np.inf), axis)
        weights = np.where(mask, weights, 0).astype(logits.dtype, copy=False)
        return weights, SoftmaxSaved(weights, mask, axis)

    def check_inputs(self, logits: Array, mask: Bools, axis: Any) -> None:
        check_floats("softmax", logits=logits)
        check_masks("softmax", mask=mask)
        is_integer = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
        if not is_integer or not -logits.ndim <= axis < logits.ndim:
            high = logits.ndim - 1
            raise ShapeError(
                f"softmax: axis: expected an axis from {-logits.ndim} to {high}, got {axis}"
            )
        try:
            fits = np.broadcast_shapes(mask.shape, logits.shape) == logits.shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"softmax: mask: expected a shape that broadcasts to the logits' {logits.shape},"
                f" got {mask.shape}"
            )

    def normalise_logits(self, masked: Array, axis: int) -> Array:
        """Return the weights. `masked` is minus infinity where the mask is false."""
        largest = masked.max(axis=axis, keepdims=True, initial=-np.inf)
        largest = np.where(largest == -np.inf, 0, largest)
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            powers = np.exp(masked - largest)
        total = powers.sum(axis=axis, keepdims=True)
        return powers / np.where(total == 0, 1, total)

    def backward(self, d_out: Array, saved: SoftmaxSaved) -> Array:
        weights, mask, axis = saved
        d_out = np.where(mask, d_out, 0)
        inner = (weights * d_out).sum(axis=axis, keepdims=True)
        return np.where(mask, weights * (d_out - inner), 0)
