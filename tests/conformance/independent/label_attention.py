"""Spec: specs/label_attention.md."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError
from mindref.shapes import Array, Bools, Ints
from tests.conformance.independent.argument_checks import check_axes, check_floats, check_masks
from tests.conformance.independent.softmax import Softmax, SoftmaxSaved


class AttentionSaved(NamedTuple):
    interests: Array
    target: Array
    scores: Array
    softmax: SoftmaxSaved
    power: float
    active: Bools


class LabelAttention:
    """The vector of a user for one target: a weighted sum of the active interests."""

    def __init__(self, softmax: Softmax) -> None:
        self.softmax = softmax

    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, AttentionSaved]:
        self.check_inputs(interests, target, active, power)
        interests = np.where(active[:, :, None], interests, 0)
        scores = np.matmul(interests, target[:, :, None])[:, :, 0]
        if power == np.inf:
            weights = self.select_largest(scores, active)
            saved = SoftmaxSaved(weights, active, 1)
        elif power == 0:
            weights, saved = self.equal_weights(scores, active)
        else:
            logits = self.subtract_largest(scores, active, power)
            weights, saved = self.softmax.forward(logits, active, axis=1)
        out = np.matmul(weights[:, None, :], interests)[:, 0]
        return out, AttentionSaved(interests, target, scores, saved, power, active)

    def check_inputs(self, interests: Array, target: Array, active: Bools, power: float) -> None:
        arrays = {"interests": interests, "target": target}
        check_axes(
            "label_attention",
            interests=(interests, "BKD"),
            target=(target, "BD"),
            active=(active, "BK"),
        )
        check_floats("label_attention", **arrays)
        check_masks("label_attention", active=active)
        if not power >= 0:
            raise ShapeError(
                f"label_attention: power: expected a number from 0 to infinity, got {power}"
            )
        if not active.any(axis=1).all():
            raise ShapeError(
                "label_attention: active: expected an active interest for every user, got none"
            )

    def equal_weights(self, scores: Array, active: Bools) -> tuple[Array, SoftmaxSaved]:
        return self.softmax.forward(np.zeros(scores.shape, scores.dtype), active, axis=1)

    def select_largest(self, scores: Array, active: Bools) -> Array:
        """Return the weights of power infinity: one for the first largest score."""
        selected = self.index_largest(np.where(active, scores, -np.inf))
        weights = np.zeros(scores.shape, scores.dtype)
        np.put_along_axis(weights, selected[:, None], 1, axis=1)
        invalid = (~np.isfinite(scores) & active).any(axis=1)
        weights[invalid] = np.nan
        return weights

    def index_largest(self, scores: Array) -> Ints:
        return scores.argmax(axis=1)

    def subtract_largest(self, scores: Array, active: Bools, power: float) -> Array:
        """Return the signed power of each score minus that of the largest score."""
        with np.errstate(all="ignore"):
            p = scores.dtype.type(power)
            largest = np.where(active, scores, -np.inf).max(axis=1, keepdims=True)
            beta = np.maximum(np.abs(scores), np.abs(largest))
            divisor = np.where(beta == 0, 1, beta)
            bracket = self.raise_power(scores / divisor, p) - self.raise_power(largest / divisor, p)
            return np.where(bracket == 0, 0, bracket * beta**p).astype(scores.dtype)

    def raise_power(self, x: Array, p: Any) -> Array:
        return np.sign(x) * np.abs(x) ** p

    def backward(self, d_out: Array, saved: AttentionSaved) -> tuple[Array, Array]:
        interests, target, scores, of_softmax, power, _ = saved
        d_interests = of_softmax.weights[:, :, None] * d_out[:, None, :]
        if power == 0 or power == np.inf:
            return d_interests, np.zeros(target.shape, target.dtype)
        d_weights = np.einsum("bd,bkd->bk", d_out, interests)
        d_logits = self.softmax.backward(d_weights, of_softmax)
        d_scores = self.power_backward(d_logits, scores, power)
        d_interests = d_interests + d_scores[:, :, None] * target[:, None, :]
        return d_interests, np.matmul(d_scores[:, None, :], interests)[:, 0]

    def power_backward(self, d_logits: Array, scores: Array, power: float) -> Array:
        kind = scores.dtype.type
        with np.errstate(all="ignore"):
            slope = self.power_slope(scores, kind(power))
            d_scores = slope * d_logits
            blocked = ~np.isfinite(slope) | np.isinf(d_scores)
            return np.where(blocked, 0 * d_logits, d_scores).astype(scores.dtype)

    def power_slope(self, scores: Array, p: Any) -> Array:
        return np.abs(scores) ** (p - 1) * p
