"""Twin of `mindref.ops.label_attention`: out_d = sum_k w_k v_kd, w = softmax_k sign(s_k) |s_k|^p.

Spec: specs/label_attention.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.kernels._jit import Number, jit, jit_within
from mindref.ops import softmax
from mindref.ops.label_attention import Saved, check
from mindref.shapes import Array, Bools, fits


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Saved]:
    """Map interests (B, K, D) and a target (B, D) to the user's vector for that item (B, D)."""
    check(interests, target, active, power)
    own = np.ascontiguousarray(interests).copy()  # zeroed where inactive: label_attention-R4
    scores = np.empty(own.shape[:2], own.dtype)
    weights, out = np.empty_like(scores), np.empty(target.shape, own.dtype)
    attend(own, target, active, float(power), scores, weights, out)
    return out, Saved(own, target, scores, softmax.Saved(weights, 1), power)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array]:
    """Return d_interests (B, K, D) and d_target (B, D), the target's part as the query."""
    interests, target, scores, s3, power = saved
    fits("label_attention", d_out, target.shape)
    d_interests, d_target = np.empty_like(interests), np.zeros(target.shape, interests.dtype)
    attend_backward(d_out, interests, target, scores, s3.out, float(power), d_interests, d_target)
    return d_interests, d_target


@jit
def attend(
    interests: Array,
    target: Array,
    active: Bools,
    power: float,
    scores: Array,
    weights: Array,
    out: Array,
) -> None:
    """Write scores and weights (B, K) and out (B, D); zero inactive interests in place."""
    users, count, width = interests.shape
    for b in range(users):
        best, known = score_all(interests[b], target[b], active[b], scores[b])
        total = weigh(scores[b], active[b], best, known, power, weights[b])
        for d in range(width):
            out[b, d] = 0
        for k in range(count):
            if total != 0:
                weights[b, k] /= total
            for d in range(width):
                out[b, d] += weights[b, k] * interests[b, k, d]  # label_attention-R7


@jit_within
def score_all(interests: Array, target: Array, active: Bools, scores: Array) -> tuple[int, Any]:
    """Write scores (K,); return the best active interest and whether all scores are finite."""
    known: Any = True
    best = -1
    for k in range(interests.shape[0]):
        if not active[k]:
            interests[k] = 0
        score = scores.dtype.type(0)
        for d in range(interests.shape[1]):
            score += interests[k, d] * target[d]  # label_attention-R1
        scores[k] = score
        if active[k]:
            known = known and abs(score) < np.inf
            if best < 0 or score > scores[best]:
                best = k  # label_attention-R6: the first of equals
    return best, known


@jit_within
def weigh(
    scores: Array, active: Bools, best: int, known: bool, power: float, weights: Array
) -> Number:
    """Write what scores weigh before they are divided by their sum, and return that (K,)."""
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    total = zero
    for k in range(scores.shape[0]):
        weights[k] = zero
        if not active[k]:
            continue
        if power == np.inf:
            weights[k] = (one if k == best else zero) if known else np.nan  # R17
        elif power == 0:
            weights[k] = one  # label_attention-R5
        else:
            gap = gap_of(scores[k], scores[best], scores.dtype.type(power))
            weights[k] = np.exp(gap)  # label_attention-R3: the best has gap 0
        total += weights[k]
    return total


@jit_within
def gap_of(s: Number, top: Number, p: Number) -> Number:
    """Return sign(s) |s|^p less the same of the best score, without overflow in between."""
    if s != s or top != top:
        return s + top  # a NaN stays
    base = max(abs(s), abs(top))
    if base == 0:
        return base
    mine = abs(s / base) ** p if s >= 0 else -(abs(s / base) ** p)  # label_attention-R2
    its = abs(top / base) ** p if top >= 0 else -(abs(top / base) ** p)
    gap = mine - its
    return gap * base**p if gap != 0 else gap  # label_attention-R11


@jit
def attend_backward(
    d_out: Array,
    interests: Array,
    target: Array,
    scores: Array,
    weights: Array,
    power: float,
    d_interests: Array,
    d_target: Array,
) -> None:
    """Write d_interests (B, K, D), and add to d_target (B, D) what it gets as the query."""
    still = power == 0 or power == np.inf  # label_attention-R10: weights do not move
    d_weights = np.empty(interests.shape[1], scores.dtype)
    d_query = np.empty(interests.shape[2], scores.dtype)
    for b in range(interests.shape[0]):
        for k in range(interests.shape[1]):
            for d in range(interests.shape[2]):
                d_interests[b, k, d] = weights[b, k] * d_out[b, d]
        if not still:
            through_weights(d_out[b], interests[b], weights[b], d_weights)
            through_scores(d_weights, scores[b], power)
            d_query[:] = 0
            for k in range(interests.shape[1]):
                for d in range(interests.shape[2]):
                    d_interests[b, k, d] += d_weights[k] * target[b, d]  # label_attention-R8
                    d_query[d] += d_weights[k] * interests[b, k, d]  # label_attention-R9
            for d in range(interests.shape[2]):
                d_target[b, d] += d_query[d]


@jit_within
def through_weights(d_out: Array, interests: Array, weights: Array, d_powered: Array) -> None:
    """Write the gradient of the powered scores (K,): that of a softmax."""
    inner = d_out.dtype.type(0)
    for k in range(interests.shape[0]):
        total = d_out.dtype.type(0)
        for d in range(interests.shape[1]):
            total += d_out[d] * interests[k, d]
        d_powered[k] = total
        inner += weights[k] * total
    for k in range(interests.shape[0]):
        d_powered[k] = weights[k] * (d_powered[k] - inner)


@jit_within
def through_scores(d_scores: Array, scores: Array, power: float) -> None:
    """Turn the gradient of the powered scores (K,) into that of the scores, in place."""
    zero, one, p = scores.dtype.type(0), scores.dtype.type(1), scores.dtype.type(power)
    for k in range(scores.shape[0]):
        slope = p * abs(scores[k]) ** (p - one)  # label_attention-R12
        d_score = d_scores[k] * slope
        if abs(slope) == np.inf or abs(d_score) == np.inf:
            d_score = zero * d_scores[k]  # label_attention-R13
        d_scores[k] = d_score
