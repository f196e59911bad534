"""Label-aware attention: the target item is the query for a weighted sum of a user's interests.

Spec: specs/label_attention.md. Source: Li et al., CIKM 2019, section 3.4.
Differences: the power p keeps the sign of a score; the paper does not mention negative scores.
p = infinity selects the interest with the largest score. Finite scores give finite weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import softmax
from mindref.shapes import Array, Bools, bind_axes, common_float_dtype, require_bool


class Saved(NamedTuple):
    """The values that `backward` reads: the inputs, the scores, the weights and the power.

    The derivative of sign(s) |s|^p is computed from the scores s.
    """

    interests: Array  # (B, K, D) zero where inactive
    target: Array  # (B, D)
    scores: Array  # (B, K) v_k . e
    weights: softmax.Saved  # (B, K)
    power: float


def forward(interests: Array, target: Array, active: Bools, *, power: float) -> tuple[Array, Saved]:
    """Return one user vector for each target (B, D): a weighted sum of interests (B, K, D).

    active (B, K): true for the active interests; each user needs at least one. power: the exponent
    p from 0 to infinity. p = 0 takes the mean of the interests. p = infinity selects the interest
    with the largest score; on ties, the first.
    Raises ShapeError if a shape, a dtype or the power is invalid.
    """
    check_inputs(interests, target, active, power)
    power = float(power)  # numerics-R2: a NumPy number would decide the dtype
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
    """Return d_interests (B, K, D), and d_target (B, D), the gradient through the weights.

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
    """Return a - max a (B, K), with a = sign(s) |s|^p of scores s; max over active interests.

    Softmax needs only differences of powers. To prevent overflow, s and the largest score are
    divided by base, the larger of their absolute values. Both powers are then in [-1, 1]. Their
    difference is multiplied by base^p; the product may be -infinity.
    """
    if power == 0:
        return np.zeros_like(scores)  # label_attention-R5: zeros give equal weights
    largest = np.max(np.where(active, scores, -np.inf), axis=1, keepdims=True)  # (B, 1)
    base = np.maximum(np.abs(scores), np.abs(largest))  # (B, K)
    divisor = np.where(base > 0, base, 1)
    # the gap of an active interest is in [-2, 0]
    gap = signed_power(scores / divisor, power) - signed_power(largest / divisor, power)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = gap * base**power
    return np.where(gap == 0, 0, scaled).astype(scores.dtype)  # label_attention-R11: 0 * inf is NaN


def signed_power(x: Array, power: float) -> Array:
    """Return sign(x) |x|^p, which increases with x for p > 0."""
    with np.errstate(over="ignore", under="ignore"):  # a power beyond the dtype is infinite
        return (np.sign(x) * np.abs(x) ** power).astype(x.dtype)  # label_attention-R2


def one_hot_of_largest(scores: Array, active: Bools) -> Array:
    """Return weights (B, K): 1 for the largest active score (on ties, the first), otherwise 0.

    If an active score of a user is not finite, all weights of the user are NaN.
    """
    best = np.argmax(np.where(active, scores, -np.inf), axis=1)  # label_attention-R6
    weights = (np.arange(scores.shape[1]) == best[:, None]).astype(scores.dtype)
    finite = (np.isfinite(scores) | ~active).all(axis=1, keepdims=True)  # (B, 1)
    return np.where(finite, weights, np.nan).astype(scores.dtype)  # label_attention-R17


def signed_power_backward(d_powered: Array, scores: Array, power: float) -> Array:
    """Return d_scores = d_powered p |s|^(p - 1), the gradient with respect to scores s.

    If the slope p |s|^(p - 1) or the product is not finite (s = 0 and p < 1, or overflow), d_scores
    is zero. The weights are then treated as constant in this score, as for p = infinity.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        slope = power * np.abs(scores) ** (power - 1)  # label_attention-R12
        d_scores = d_powered * slope
        # a power beyond the dtype is infinite; its slope is infinity * 0, a NaN, if |s| < 1
        infinite = ~np.isfinite(slope) | np.isinf(d_scores)
        # label_attention-R13; 0 * d_powered keeps a NaN, R17
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
    if not power >= 0:  # label_attention-R15; rejects NaN too
        raise ShapeError(say("label_attention: power", "a number from 0 to infinity", power))
    if not active.any(axis=1).all():  # label_attention-R16
        none = say("label_attention: active", "an active interest for every user", "none")
        raise ShapeError(none)
