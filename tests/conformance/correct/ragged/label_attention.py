"""Spec: specs/label_attention.md. Active interests of one user; differences of powers by expm1."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Bools
from tests.conformance.correct.ragged.softmax import segment_weights
from tests.conformance.correct.reversed_order.label_attention import through_power


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Any]:
    power = float(power)
    out = np.zeros_like(target)
    users: list[tuple[Array, ...]] = []  # active interests, their indices, scores, weights
    for b, query in enumerate(target):
        chosen = np.flatnonzero(active[b])
        active_interests = interests[b, chosen]
        scores = np.dot(active_interests, query)  # 1
        weights = attend(scores, power)
        out[b] = np.dot(weights, active_interests)  # 4
        users.append((active_interests, chosen, scores, weights))
    return out, (users, target, interests.shape, power)


def attend(scores: Array, power: float) -> Array:
    """Return the weights (K',) of one user's scores (K',)."""
    if power == 0:  # label_attention-R5
        return np.full_like(scores, 1) / len(scores)
    if not np.isfinite(scores).all():  # label_attention-R17
        return np.full_like(scores, np.nan)
    if power == np.inf:  # label_attention-R6
        return np.eye(len(scores), dtype=scores.dtype)[np.argmax(scores)]
    together = np.zeros(len(scores), np.int64)
    return segment_weights(below_largest(scores, power), together, 1)


def below_largest(scores: Array, power: float) -> Array:
    """Return sign(s) |s|^p - sign(m) |m|^p for the largest score m.

    Of one sign, with x the larger size and y the smaller, the powers lie x^p (1 - (y / x)^p) apart,
    and 1 - (y / x)^p = -expm1(p log(y / x)). Of two signs they lie x^p + y^p apart.
    """
    top = np.max(scores)
    size, most = np.abs(scores), abs(top)
    larger, smaller = np.maximum(size, most), np.minimum(size, most)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        near = np.log1p(-(larger - smaller) / larger)
        alike = larger**power * np.expm1(power * near)
        opposed = -(larger**power) - smaller**power
    gap = np.where(np.sign(scores) * np.sign(top) < 0, opposed, alike)
    return np.where(scores == top, 0, gap).astype(scores.dtype)  # label_attention-R11


def backward(d_out: Array, saved: Any) -> tuple[Array, Array]:
    users, target, shape, power = saved
    d_interests, d_target = np.zeros(shape, d_out.dtype), np.zeros_like(target)
    for b, (active_interests, chosen, scores, weights) in enumerate(users):
        d_interests[b, chosen] = np.outer(weights, d_out[b])  # 4
        if power == 0 or power == np.inf:  # label_attention-R10
            continue
        jacobian = np.diag(weights) - np.outer(weights, weights)
        d_powered = np.dot(jacobian, np.dot(active_interests, d_out[b]))  # 3
        d_scores = through_power(d_powered, scores, power)  # 2
        d_interests[b, chosen] += np.outer(d_scores, target[b])  # 1
        d_target[b] = np.dot(d_scores, active_interests)
    return d_interests, d_target
