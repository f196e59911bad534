"""Spec: specs/label_attention.md. Powers themselves are subtracted; infinite ones by comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import label_attention as reference
from mindref.shapes import Array, Bools
from tests.conformance.correct import softmax
from tests.conformance.correct.sums import contract


def check_inputs(*arrays: Any, power: float) -> None:
    reference.check_inputs(*arrays, power)


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Any]:
    power = float(power)
    interests = np.where(active[:, :, None], interests, 0).astype(target.dtype)
    scores = contract("bkd,bd->bk", interests, target)  # 1
    if power == np.inf:
        weights, of_softmax = first_of_largest(scores, active), None
    else:
        gaps = np.zeros_like(scores) if power == 0 else apart(scores, active, power)
        weights, of_softmax = softmax.forward(gaps, active, axis=1)  # 3
    out = contract("bk,bkd->bd", weights, interests)  # 4
    return out, (interests, target, active, scores, weights, of_softmax, power)


def apart(scores: Array, active: Bools, power: float) -> Array:
    """Return a - max a for a = sign(s) |s|^p; where both are infinite, 0 if the scores are equal.

    Overflow is the limit of label_attention-R11: what is below the largest has no weight.
    """
    top = np.max(np.where(active, scores, -np.inf), axis=1, keepdims=True)
    lost = active & ~np.isfinite(scores)
    with np.errstate(over="ignore", invalid="ignore"):
        a, m = (np.sign(x) * np.abs(x) ** power for x in (scores, top))
        gap = np.where(scores == top, 0, np.where(np.isinf(a) | np.isinf(m), -np.inf, a - m))
    gap = np.where(lost.any(axis=1, keepdims=True), np.nan, gap)  # label_attention-R17
    return gap.astype(scores.dtype)


def first_of_largest(scores: Array, active: Bools) -> Array:
    """Return one at the first of the largest active scores; NaN where one is not finite."""
    top = np.max(np.where(active, scores, -np.inf), axis=1, keepdims=True)
    largest = active & (scores == top)
    first = largest & (np.cumsum(largest, axis=1) == 1)  # label_attention-R6
    lost = (active & ~np.isfinite(scores)).any(axis=1, keepdims=True)
    return np.where(active & lost, np.nan, first).astype(scores.dtype)


def backward(d_out: Array, saved: Any) -> tuple[Array, Array]:
    interests, target, active, scores, weights, of_softmax, power = saved
    d_values = weights[:, :, None] * d_out[:, None, :]  # 4
    if power == 0 or power == np.inf:  # label_attention-R10
        return d_values, np.zeros_like(target)
    d_powered = softmax.backward(contract("bd,bkd->bk", d_out, interests), of_softmax)  # 3
    d_scores = np.where(active, through_power(d_powered, scores, power), 0).astype(
        target.dtype
    )  # 2
    d_keys = d_scores[:, :, None] * target[:, None, :]  # 1
    return d_keys + d_values, contract("bk,bkd->bd", d_scores, interests)


def through_power(d_powered: Array, scores: Array, power: float) -> Array:
    """Return d_powered p |s|^(p - 1), zero where the slope or the product is not finite."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        slope = np.abs(scores) ** (power - 1) * power
        product = slope * d_powered
    step = ~np.isfinite(slope) | np.isinf(product)  # label_attention-R12, R13
    return np.where(step & ~np.isnan(d_powered), 0, product)
