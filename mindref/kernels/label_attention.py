"""Compiled label-aware attention: out_d = sum_k w_k v_kd, w = softmax_k sign(s_k) |s_k|^p.

Spec: specs/label_attention.md.
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import Number, jit, jit_inline
from mindref.kernels.contiguous import writable_contiguous
from mindref.ops import softmax
from mindref.ops.label_attention import Saved, check_inputs
from mindref.shapes import Array, Bools, require_gradient_shape


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Saved]:
    """Return the user's vector (B, D) for a target (B, D), from interests (B, K, D)."""
    check_inputs(interests, target, active, power)
    zeroed = np.ascontiguousarray(interests).copy()  # zero where inactive: label_attention-R4
    scores = np.empty(zeroed.shape[:2], zeroed.dtype)
    weights, out = np.empty_like(scores), np.empty(target.shape, zeroed.dtype)
    query, active = writable_contiguous(target), writable_contiguous(active)
    attend_batch(zeroed, query, active, float(power), scores, weights, out)
    return out, Saved(zeroed, query, scores, softmax.Saved(weights, 1), power)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array]:
    """Return d_interests (B, K, D), and d_target (B, D), the gradient through the weights."""
    interests, target, scores, s3, power = saved
    require_gradient_shape("label_attention", d_out, target.shape)
    d_interests, d_target = np.empty_like(interests), np.zeros(target.shape, interests.dtype)
    attend_batch_backward(
        writable_contiguous(d_out),
        interests,
        target,
        scores,
        s3.out,
        float(power),
        d_interests,
        d_target,
    )
    return d_interests, d_target


@jit
def attend_batch(
    interests: Array,
    target: Array,
    active: Bools,
    power: float,
    scores: Array,
    weights: Array,
    out: Array,
) -> None:
    """Write scores and weights (B, K) and out (B, D); set inactive interests to zero in place."""
    users, count, width = interests.shape
    for b in range(users):
        best, finite = score_interests(interests[b], target[b], active[b], scores[b])
        total = weigh_interests(scores[b], active[b], best, finite, power, weights[b])
        for d in range(width):
            out[b, d] = 0
        for k in range(count):
            if total != 0:
                weights[b, k] /= total
            for d in range(width):
                out[b, d] += weights[b, k] * interests[b, k, d]  # label_attention-R7


@jit_inline
def score_interests(
    interests: Array, target: Array, active: Bools, scores: Array
) -> tuple[int, bool]:
    """Write scores (K,); return the best active interest and whether all scores are finite."""
    finite = True
    best = -1
    for k in range(interests.shape[0]):
        if not active[k]:
            interests[k] = 0
        score = scores.dtype.type(0)
        for d in range(interests.shape[1]):
            score += interests[k, d] * target[d]  # label_attention-R1
        scores[k] = score
        if active[k]:
            finite = finite and bool(abs(score) < np.inf)
            if best < 0 or score > scores[best]:
                best = k  # label_attention-R6: the first of equals
    return best, finite


@jit_inline
def weigh_interests(
    scores: Array, active: Bools, best: int, finite: bool, power: float, weights: Array
) -> Number:
    """Write weights (K,) before their division by the sum; return the sum."""
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    total = zero
    for k in range(scores.shape[0]):
        weights[k] = zero
        if not active[k]:
            continue
        if power == np.inf:
            weights[k] = (one if k == best else zero) if finite else np.nan  # R17
        elif power == 0:
            weights[k] = one  # label_attention-R5
        else:
            gap = powered_gap(scores[k], scores[best], scores.dtype.type(power))
            weights[k] = np.exp(gap)  # label_attention-R3: the best has gap 0
        total += weights[k]
    return total


@jit_inline
def powered_gap(s: Number, top: Number, p: Number) -> Number:
    """Return sign(s) |s|^p minus the same of the best score, without intermediate overflow."""
    if s != s or top != top:
        return s + top  # a NaN stays
    base = max(abs(s), abs(top))
    if base == 0:
        return base
    powered_s = abs(s / base) ** p if s >= 0 else -(abs(s / base) ** p)  # label_attention-R2
    powered_top = abs(top / base) ** p if top >= 0 else -(abs(top / base) ** p)
    gap = powered_s - powered_top
    return gap * base**p if gap != 0 else gap  # label_attention-R11


@jit
def attend_batch_backward(
    d_out: Array,
    interests: Array,
    target: Array,
    scores: Array,
    weights: Array,
    power: float,
    d_interests: Array,
    d_target: Array,
) -> None:
    """Write d_interests (B, K, D), and add the gradient of the query to d_target (B, D)."""
    constant = power == 0 or power == np.inf  # label_attention-R10: constant weights
    d_weights = np.empty(interests.shape[1], scores.dtype)
    d_query = np.empty(interests.shape[2], scores.dtype)
    for b in range(interests.shape[0]):
        for k in range(interests.shape[1]):
            for d in range(interests.shape[2]):
                d_interests[b, k, d] = weights[b, k] * d_out[b, d]
        if not constant:
            softmax_weights_backward(d_out[b], interests[b], weights[b], d_weights)
            signed_power_backward(d_weights, scores[b], power)
            d_query[:] = 0
            for k in range(interests.shape[1]):
                for d in range(interests.shape[2]):
                    d_interests[b, k, d] += d_weights[k] * target[b, d]  # label_attention-R8
                    d_query[d] += d_weights[k] * interests[b, k, d]  # label_attention-R9
            for d in range(interests.shape[2]):
                d_target[b, d] += d_query[d]


@jit_inline
def softmax_weights_backward(
    d_out: Array, interests: Array, weights: Array, d_powered: Array
) -> None:
    """Write the gradient of the powered scores (K,), through the softmax."""
    inner = d_out.dtype.type(0)
    for k in range(interests.shape[0]):
        total = d_out.dtype.type(0)
        for d in range(interests.shape[1]):
            total += d_out[d] * interests[k, d]
        d_powered[k] = total
        inner += weights[k] * total
    for k in range(interests.shape[0]):
        d_powered[k] = weights[k] * (d_powered[k] - inner)


@jit_inline
def signed_power_backward(d_scores: Array, scores: Array, power: float) -> None:
    """Replace the gradient of the powered scores (K,) by that of the scores, in place."""
    zero, one, p = scores.dtype.type(0), scores.dtype.type(1), scores.dtype.type(power)
    for k in range(scores.shape[0]):
        slope = p * abs(scores[k]) ** (p - one)  # label_attention-R12
        d_score = d_scores[k] * slope
        if not abs(slope) < np.inf or abs(d_score) == np.inf:
            d_score = zero * d_scores[k]  # label_attention-R13
        d_scores[k] = d_score
