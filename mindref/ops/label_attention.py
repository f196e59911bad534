"""Label-aware attention: a weighted sum of interests, with the target item as the query.

Spec: specs/label_attention.md. Source: Li et al., CIKM 2019, section 3.4.
Differences: the power keeps the sign of the score; in the paper no score is negative. p = infinity
selects the interest with the largest score. No p overflows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import softmax
from mindref.shapes import Array, Bools, bind_axes, common_float_dtype, require_bool


class Saved(NamedTuple):
    """Both inputs (each enters the gradient of the other), the scores, and the weights.

    The derivative of the power needs the scores.
    """

    interests: Array  # (B, K, D) zero where inactive
    target: Array  # (B, D)
    scores: Array  # (B, K) v_k . e
    weights: softmax.Saved  # (B, K)
    power: float


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Saved]:
    """Return the user's vector (B, D) for a target item (B, D), from interests (B, K, D).

    active (B, K): true for the active interests of a user, at least one each. power p from 0 to
    infinity: 0 is the mean, infinity selects the interest with the largest score (lowest index on
    ties).
    Raises ShapeError if a shape, a dtype or the power is invalid.
    """
    check_inputs(interests, target, active, power)
    interests = np.where(active[..., None], interests, 0)  # label_attention-R4

    scores = np.einsum("bkd,bd->bk", interests, target)  # 1, label_attention-R1
    if np.isinf(power):
        gaps = None
        weights = one_hot_of_largest(scores, active)  # 2 and 3
        s3 = softmax.Saved(weights, 1)
    else:
        gaps = gaps_below_largest(scores, active, power)  # 2
        weights, s3 = softmax.forward(gaps, active, axis=1)  # 3, label_attention-R3
    out = np.einsum("bk,bkd->bd", weights, interests)  # 4, label_attention-R7
    return out, Saved(interests, target, scores, s3, power)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array]:
    """Return d_interests (B, K, D) and d_target (B, D) of the target as the query.

    If p is 0 or infinity, the weights are constant, so d_target is zero.
    """
    interests, target, scores, s3, power = saved
    d_weights = np.einsum("bd,bkd->bk", d_out, interests)  # 4
    d_interests = s3.out[..., None] * d_out[:, None, :]  # 4
    if power == 0 or np.isinf(power):  # label_attention-R10
        return d_interests, np.zeros_like(target)
    d_powered = softmax.backward(d_weights, s3)  # 3
    d_scores = signed_power_backward(d_powered, scores, power)  # 2
    d_interests += d_scores[..., None] * target[:, None, :]  # 1, label_attention-R8
    d_target = np.einsum("bk,bkd->bd", d_scores, interests)  # 1, label_attention-R9
    return d_interests, d_target


def gaps_below_largest(scores: Array, active: Bools, power: float) -> Array:
    """Return a - max a for a = sign(s) |s|^p, over the active interests, without overflow (B, K).

    Softmax depends only on differences. s and the largest score are divided by base, the larger of
    their absolute values, so each power is in [-1, 1]. The difference of the two powers is then
    multiplied by base^p; the product may be -infinity.
    """
    if power == 0:
        return np.zeros_like(scores)  # label_attention-R5: equal weights
    largest = np.max(np.where(active, scores, -np.inf), axis=1, keepdims=True)  # (B, 1)
    base = np.maximum(np.abs(scores), np.abs(largest))  # (B, K)
    divisor = np.where(base > 0, base, 1)
    # in [-2, 0]
    gap = signed_power(scores / divisor, power) - signed_power(largest / divisor, power)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = gap * base**power
    return np.where(gap == 0, 0, scaled).astype(scores.dtype)  # label_attention-R11: no 0 x inf


def signed_power(x: Array, power: float) -> Array:
    """Return sign(x) |x|^p, so that a larger score has a larger power."""
    with np.errstate(under="ignore"):
        return (np.sign(x) * np.abs(x) ** power).astype(x.dtype)  # label_attention-R2


def one_hot_of_largest(scores: Array, active: Bools) -> Array:
    """Return one at the largest active score, the lowest index on ties, zero elsewhere (B, K).

    If an active score of a user is not finite, all weights of the user are NaN.
    """
    best = np.argmax(np.where(active, scores, -np.inf), axis=1)  # label_attention-R6
    weights = (np.arange(scores.shape[1]) == best[:, None]).astype(scores.dtype)
    finite = (np.isfinite(scores) | ~active).all(axis=1, keepdims=True)  # (B, 1)
    return np.where(finite, weights, np.nan).astype(scores.dtype)  # label_attention-R17


def signed_power_backward(d_powered: Array, scores: Array, power: float) -> Array:
    """Return d_scores = d_powered p |s|^(p - 1).

    d_scores is zero where p |s|^(p - 1) or the product is infinite: at s = 0 for p < 1, and beyond
    the largest float. There the weights are step functions, as for p = infinity.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        slope = power * np.abs(scores) ** (power - 1)  # label_attention-R12
        d_scores = d_powered * slope
        infinite = np.isinf(slope) | np.isinf(d_scores)
        # label_attention-R13; NaN stays, R17
        d_scores = np.where(infinite, 0 * d_powered, d_scores)
    return d_scores.astype(scores.dtype)


def check_inputs(interests: Array, target: Array, active: Bools, power: float) -> None:
    """Raise ShapeError if the arguments of `forward` are invalid."""
    bind_axes(  # label_attention-R14
        "label_attention",
        interests=(interests, "BKD"),
        target=(target, "BD"),
        active=(active, "BK"),
    )
    common_float_dtype("label_attention", interests=interests, target=target)
    require_bool("label_attention", active=active)
    if not power >= 0:  # label_attention-R15; also NaN
        raise ShapeError(say("label_attention: power", "a number from 0 to infinity", power))
    if not active.any(axis=1).all():  # label_attention-R16
        none = say("label_attention: active", "an active interest for every user", "none")
        raise ShapeError(none)
