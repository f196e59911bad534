"""Spec: specs/label_attention.md. One user, one interest after another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array, Bools, Ints
from tests.conformance.correct import checks
from tests.conformance.correct.loops import softmax
from tests.conformance.correct.loops.sums import dot, weighted


class User(NamedTuple):
    interests: Array  # (K', D) the active ones
    chosen: Ints  # (K',) which they are
    target: Array  # (D,)
    scores: Array  # (K',)
    weights: Array  # (K',)


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Any]:
    checks.label_attention(interests, target, active, power)
    users = []
    out = np.zeros_like(target)
    for b in range(len(target)):
        chosen = np.flatnonzero(active[b])  # label_attention-R4
        mine = interests[b, chosen]
        scores = np.array([dot(v, target[b]) for v in mine], target.dtype)  # 1
        weights = attend(scores, target.dtype.type(power))
        out[b] = weighted(weights, mine, target[b])  # 4
        users.append(User(mine, chosen, target[b], scores, weights))
    return out, (users, interests.shape, target.dtype.type(power))


def attend(scores: Array, power: Any) -> Array:
    """Return the weights (K',) of one user's scores (K',)."""
    if power == 0:  # label_attention-R5
        return softmax.weights(np.zeros_like(scores))
    if not np.isfinite(scores).all():  # label_attention-R17
        return np.full_like(scores, np.nan)
    if power == np.inf:  # label_attention-R6: index of the first among equals
        best = list(scores).index(max(scores))
        return np.array([k == best for k in range(len(scores))], scores.dtype)
    top = max(scores)
    return softmax.weights(np.array([gap(s, top, power) for s in scores], scores.dtype))


def gap(score: Any, top: Any, power: Any) -> Any:
    """Return sign(s) |s|^p - sign(m) |m|^p for a score s and the largest one m."""
    base = max(abs(score), abs(top))
    if base == 0:
        return base
    apart = signed(score / base, power) - signed(top / base, power)
    with np.errstate(over="ignore"):
        return apart * base**power if apart != 0 else apart  # label_attention-R11


def signed(x: Any, power: Any) -> Any:
    """Return sign(x) |x|^p."""
    return np.copysign(abs(x) ** power, x)  # label_attention-R2


def backward(d_out: Array, saved: Any) -> tuple[Array, Array]:
    users, shape, power = saved
    d_interests, d_target = np.zeros(shape, d_out.dtype), np.zeros_like(d_out)
    for b, (mine, chosen, target, scores, weights) in enumerate(users):
        for k, w in zip(chosen, weights, strict=True):
            d_interests[b, k] = w * d_out[b]  # 4
        if power == 0 or power == np.inf:  # label_attention-R10
            continue
        d_weights = np.array([dot(d_out[b], v) for v in mine], d_out.dtype)  # 4
        d_powered = softmax.slope(weights, d_weights)  # 3
        pairs = zip(scores, d_powered, strict=True)
        d_scores = [through(s, d, power) for s, d in pairs]  # 2
        for k, d in zip(chosen, d_scores, strict=True):
            d_interests[b, k] += d * target  # 1, label_attention-R8
        d_target[b] = weighted(d_scores, mine, target)  # label_attention-R9
    return d_interests, d_target


def through(score: Any, d_powered: Any, power: Any) -> Any:
    """Return d_powered p |s|^(p - 1), zero where the slope or the product is infinite."""
    nil = type(d_powered)(0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        slope = power * abs(score) ** (power - 1)
        product = d_powered * slope
    if np.isnan(d_powered) or np.isnan(score):  # label_attention-R17
        return type(d_powered)(np.nan)
    return nil if np.isinf(slope) or np.isinf(product) else product  # label_attention-R12, R13
