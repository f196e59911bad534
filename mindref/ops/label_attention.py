"""Label-aware attention: the interests of a user, read with the target item as the query.

Spec: specs/label_attention.md. Source: Li et al., CIKM 2019, section 3.4.
Differs: the power keeps the sign of the score (the paper never meets a negative one), p = infinity
is the argmax of the score itself, and no p overflows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import softmax
from mindref.record import Record
from mindref.shapes import Array, Bools, bind, boolean, same_float


class Saved(NamedTuple):
    """Both inputs, as each enters the other's gradient; scores for the slope of the power."""

    interests: Array  # (B, K, D) with zeros in the inactive places
    target: Array  # (B, D)
    scores: Array  # (B, K) v_k . e
    weights: softmax.Saved  # (B, K)
    power: float


def forward(
    interests: Array, target: Array, active: Bools, *, power: float, record: Record | None = None
) -> tuple[Array, Saved]:
    """Map interests (B, K, D) and a target item (B, D) to the user's vector for that item (B, D).

    active (B, K) true for the interests that the user has, at least one each; power p in
    [0, infinity]: 0 is the mean, infinity takes the interest with the largest score (lowest index
    on ties). Raises ShapeError for shapes, types or a power that do not fit.
    """
    check(interests, target, active, power)
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
    if record is not None:
        record("forward", scores=scores, gaps=gaps, weights=weights, out=out)
    return out, Saved(interests, target, scores, s3, power)


def backward(d_out: Array, saved: Saved, *, record: Record | None = None) -> tuple[Array, Array]:
    """Return d_interests (B, K, D) and d_target (B, D), the target's part as the query.

    With p = 0 or infinity the weights do not move and d_target is zero.
    """
    interests, target, scores, s3, power = saved
    d_weights = np.einsum("bd,bkd->bk", d_out, interests)  # 4
    d_interests = s3.out[..., None] * d_out[:, None, :]  # 4
    if record is not None:
        record("d_out", d_weights=d_weights, d_interests=d_interests)
    if power == 0 or np.isinf(power):  # label_attention-R10
        return d_interests, np.zeros_like(target)
    d_powered = softmax.backward(d_weights, s3)  # 3
    d_scores = through_power(d_powered, scores, power)  # 2
    d_interests += d_scores[..., None] * target[:, None, :]  # 1, label_attention-R8
    d_target = np.einsum("bk,bkd->bd", d_scores, interests)  # 1, label_attention-R9
    if record is not None:
        record("d_gaps", d_gaps=d_powered, d_scores=d_scores)
        record("d_scores", d_interests=d_interests, d_target=d_target)
    return d_interests, d_target


def gaps_below_largest(scores: Array, active: Bools, power: float) -> Array:
    """Return a - max a for a = sign(s) |s|^p, over the active places, without overflow (B, K).

    Softmax sees only differences. Both terms are divided by the larger base before the power, so
    each stays in [-1, 1]; only their difference is scaled back, and that may be -infinity.
    """
    if power == 0:
        return np.zeros_like(scores)  # label_attention-R5: every active interest alike, sign or not
    top = np.max(np.where(active, scores, -np.inf), axis=1, keepdims=True)  # (B, 1)
    base = np.maximum(np.abs(scores), np.abs(top))  # (B, K)
    safe = np.where(base > 0, base, 1)
    gap = signed_power(scores / safe, power) - signed_power(top / safe, power)  # in [-2, 0]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = gap * base**power
    return np.where(gap == 0, 0, scaled).astype(scores.dtype)  # label_attention-R11: no 0 x inf


def signed_power(x: Array, power: float) -> Array:
    """Return sign(x) |x|^p, so that a worse score never becomes a better one."""
    with np.errstate(under="ignore"):
        return (np.sign(x) * np.abs(x) ** power).astype(x.dtype)  # label_attention-R2


def one_hot_of_largest(scores: Array, active: Bools) -> Array:
    """Return one at the largest active score, the lowest index on ties, zero elsewhere (B, K).

    NaN where an active score is not finite: then nothing says which is the largest.
    """
    best = np.argmax(np.where(active, scores, -np.inf), axis=1)  # label_attention-R6
    weights = (np.arange(scores.shape[1]) == best[:, None]).astype(scores.dtype)
    known = (np.isfinite(scores) | ~active).all(axis=1, keepdims=True)  # (B, 1)
    return np.where(known, weights, np.nan).astype(scores.dtype)  # label_attention-R17


def through_power(d_powered: Array, scores: Array, power: float) -> Array:
    """Return d_scores = d_powered p |s|^(p - 1).

    Zero where the slope is infinite: at s = 0 for p < 1, and where it leaves the floats, which is
    where the weights have become steps, as they are everywhere for p = infinity.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        slope = power * np.abs(scores) ** (power - 1)  # label_attention-R12
        d_scores = d_powered * slope
        beyond = np.isinf(slope) | np.isinf(d_scores)
        d_scores = np.where(beyond, 0 * d_powered, d_scores)  # label_attention-R13; NaN stays, R17
    return d_scores.astype(scores.dtype)


def check(interests: Array, target: Array, active: Bools, power: float) -> None:
    """Raise ShapeError for anything that `forward` cannot take."""
    bind(  # label_attention-R14
        "label_attention",
        interests=(interests, "BKD"),
        target=(target, "BD"),
        active=(active, "BK"),
    )
    same_float("label_attention", interests=interests, target=target)
    boolean("label_attention", active=active)
    if not power >= 0:  # label_attention-R15; NaN, too, is refused
        raise ShapeError(say("label_attention: power", "a number from 0 to infinity", power))
    if not active.any(axis=1).all():  # label_attention-R16
        none = say("label_attention: active", "an active interest for every user", "none")
        raise ShapeError(none)
