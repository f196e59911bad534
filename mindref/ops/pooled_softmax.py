"""Pooled softmax: the loss on the score that serving uses, pooled over the interests of a user.

Spec: specs/pooled_softmax.md. Source: Li et al., CIKM 2019, eq. 3 (the maximum over interests
scores an item) and eq. 10-11; Weston, Weiss and Yee 2013 train on that maximum. Differs from the
paper, which reads the interests with the target as a query and uses that vector for the negatives,
too: here each item, negatives included, is scored by the interests that suit it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import squash
from mindref.ops.sampled_softmax import finite, lose, through_unit, unit
from mindref.shapes import Array, Bools, Ints, bind, boolean, same_float


class Saved(NamedTuple):
    """Vectors, as each enters the gradient of the others, and the slopes of the losses."""

    interests: Array  # (B, K, D) as used: zeros in the inactive places, unit length if normalised
    active: Bools  # (B, K)
    target: Array  # (B, D) as used
    negatives: Array  # (S, D) as used
    units: tuple[squash.Saved | None, ...]  # of interests, target, negatives
    at_target: Array  # (B, K) slope of a user's loss by v_k . e_t / temperature: below or at zero
    at_negatives: Array  # (B, K, S) the same by v_k . e_s: above or at zero, zero for a hit
    temperature: float


def forward(
    interests: Array,
    active: Bools,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    sharpness: float,
    temperature: float = 1.0,
    normalise: bool = False,
) -> tuple[Array, Saved]:
    """Map interests (B, K, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    active (B, K) true for the interests that the user has, at least one each. sharpness in
    [0, infinity] says how an item's score is pooled over them: 0 is the mean, 1 log-sum-exp less
    a constant, infinity the largest (lowest index on ties). Ids, logs of expected counts,
    temperature and normalise as in sampled_softmax. Raises ShapeError for what does not fit.
    """
    logs = (target_log_expected, negative_log_expected)
    check_arrays(interests, active, target, negatives, target_ids, negative_ids, *logs)
    check_numbers(sharpness, temperature)
    interests = np.where(active[..., None], interests, 0)  # pooled_softmax-R4
    # 1: each vector by itself to length one, if asked for (pooled_softmax-R11)
    (interests, of_interests), (target, of_target), (negatives, of_negatives) = (
        unit(x, normalise) for x in (interests, target, negatives)
    )

    # 2: products over the temperature (pooled_softmax-R10)
    users, count, width = interests.shape
    to_target = np.einsum("bkd,bd->bk", interests, target)[..., None]  # (B, K, 1)
    to_negatives = (interests.reshape(users * count, width) @ negatives.T).reshape(
        users, count, len(negatives)
    )
    to_target /= temperature
    to_negatives /= temperature
    # 3: pooled, for target and negatives alike (pooled_softmax-R1, R17, R18)
    target_scores, target_weights = pool(to_target, active, sharpness)  # (B, 1), (B, K, 1)
    scores, weights = pool(to_negatives, active, sharpness)  # (B, S), (B, K, S)
    at_target = target_scores[:, 0] - target_log_expected  # 4, pooled_softmax-R6 (B,)
    at_negatives = scores - negative_log_expected  # 4, pooled_softmax-R6 (B, S)
    hits = negative_ids == target_ids[:, None]  # (B, S)
    usable = np.isfinite(at_target) & np.isfinite(at_negatives).all(axis=1)  # (B,)
    at_target = np.where(usable, at_target, np.nan)  # 5, pooled_softmax-R25
    at_negatives = np.where(hits, -np.inf, at_negatives)  # 5, pooled_softmax-R7

    losses, p = lose(at_target, at_negatives)  # 6 (B,), (B, S)
    out = losses.mean(dtype=interests.dtype)  # 7, pooled_softmax-R9
    weights *= p[:, None, :]  # in place: the largest array there is
    lack = p.sum(axis=1)  # pooled_softmax-R15 (B,)
    units = (of_interests, of_target, of_negatives)
    slopes = (-lack[:, None] * target_weights[..., 0], weights)
    return out, Saved(interests, active, target, negatives, units, *slopes, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_interests (B, K, D), d_target (B, D), d_negatives (S, D); repeats stay apart."""
    interests, active, target, negatives, units, at_target, at_negatives, temperature = saved
    users, count, width = interests.shape
    scale = d_out / users / temperature  # 7: mean over the batch; 2
    flat = at_negatives.reshape(users * count, len(negatives))  # 6 to 3 (B K, S)

    # 2: a product gives each of its two vectors the other one
    d_interests = (flat @ negatives).reshape(interests.shape)
    d_interests += at_target[..., None] * target[:, None, :]  # pooled_softmax-R16
    d_target = np.einsum("bk,bkd->bd", at_target, interests)
    d_negatives = flat.T @ interests.reshape(users * count, width)  # pooled_softmax-R14
    gradients: list[Array] = [d_interests, d_target, d_negatives]
    for d in gradients:
        d *= scale

    of_interests, of_target, of_negatives = (  # 1, pooled_softmax-R11
        through_unit(d, s) for d, s in zip(gradients, units, strict=True)
    )
    of_interests = np.where(active[..., None], of_interests, 0)  # pooled_softmax-R4
    return of_interests, of_target, of_negatives


def pool(products: Array, active: Bools, sharpness: float) -> tuple[Array, Array]:
    """Return scores (B, S) of items and the weights (B, K, S) of interests in each score.

    products (B, K, S) of interests and items, written over. Weights are above or at zero with sum
    one, and the derivative of the score by the products. An item with a product that is not finite
    has the score NaN: a largest or a weightless one would hide it.
    """
    known = np.isfinite(products).all(axis=1)  # pooled_softmax-R25 (B, S)
    info = np.finfo(products.dtype)
    share = (1 / active.sum(axis=1, keepdims=True)).astype(products.dtype)  # (B, 1)
    if sharpness < float(info.tiny):  # pooled_softmax-R2, R5: its products would lose their digits
        even = np.where(active, share, 0)  # (B, K)
        scores = np.einsum("bk,bks->bs", even, products)
        products[...] = even[..., None]
        return np.where(known, scores, np.nan), products

    products[~active] = -np.inf  # pooled_softmax-R4: weight 0, never the largest
    if np.isinf(sharpness):
        best = np.argmax(products, axis=1)[:, None]  # pooled_softmax-R3 (B, 1, S)
        scores = np.take_along_axis(products, best, axis=1)[:, 0]
        products[...] = np.arange(active.shape[1])[:, None] == best
        return np.where(known, scores, np.nan), products

    sharpness = min(float(sharpness), float(info.max))  # infinite in this type, 0 times it were NaN
    top = np.max(products, axis=1, keepdims=True)  # (B, 1, S)
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the floats is weight 0; NaN: R25
        products -= top
        products *= sharpness  # below or at zero: pooled_softmax-R12
    # the log of a mean of exponentials near 1 would be off by a rounding of 1, and dividing by a
    # small sharpness would make that large: pooled_softmax-R5
    below = np.expm1(products)
    below[~active] = 0
    scores = top[:, 0] + np.log1p(below.sum(axis=1) * share) / sharpness  # pooled_softmax-R1
    np.exp(products, out=products)
    products /= products.sum(axis=1, keepdims=True)  # pooled_softmax-R16
    return np.where(known, scores, np.nan), products


def check_arrays(
    interests: Array,
    active: Bools,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
) -> None:
    """Raise ShapeError for arrays that `forward` cannot take."""
    sizes = bind(  # pooled_softmax-R19
        "pooled_softmax",
        interests=(interests, "BKD"),
        active=(active, "BK"),
        target=(target, "BD"),
        negatives=(negatives, "SD"),
        target_ids=(target_ids, "B"),
        negative_ids=(negative_ids, "S"),
        target_log_expected=(target_log_expected, "B"),
        negative_log_expected=(negative_log_expected, "S"),
    )
    logs = {
        "target_log_expected": target_log_expected,
        "negative_log_expected": negative_log_expected,
    }
    vectors = {"interests": interests, "target": target, "negatives": negatives}
    same_float("pooled_softmax", **vectors, **logs)
    boolean("pooled_softmax", active=active)
    finite("pooled_softmax", **logs)  # pooled_softmax-R20
    if sizes["B"] == 0:  # pooled_softmax-R23
        raise ShapeError(say("pooled_softmax: interests", "at least one user", "none"))
    if not active.any(axis=1).all():  # pooled_softmax-R24
        none = say("pooled_softmax: active", "an active interest for every user", "none")
        raise ShapeError(none)


def check_numbers(sharpness: float, temperature: float) -> None:
    """Raise ShapeError for numbers that `forward` cannot take."""
    if not sharpness >= 0:  # pooled_softmax-R22; NaN, too, is refused
        raise ShapeError(say("pooled_softmax: sharpness", "a number from 0 to infinity", sharpness))
    if not 0 < temperature < np.inf:  # pooled_softmax-R21
        raise ShapeError(say("pooled_softmax: temperature", "a finite number above 0", temperature))
