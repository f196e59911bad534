"""Pooled softmax: the loss of the serving score, which pools over the interests of a user.

Spec: specs/pooled_softmax.md. Source: Li et al., CIKM 2019, eq. 3 (the maximum over interests
scores an item) and eq. 10-11; Weston, Weiss and Yee 2013 train on that maximum. Difference: the
paper attends to the interests with the target as the query, and scores the negatives with the same
user vector. Here the score of every item pools its own products with the active interests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import squash
from mindref.ops.sampled_softmax import (
    cross_entropy,
    require_finite_logs,
    to_unit_length,
    to_unit_length_backward,
)
from mindref.shapes import Array, Bools, Ints, bind_axes, common_float_dtype, require_bool


class Saved(NamedTuple):
    """The vectors (each enters the gradients of the others), and the slopes of the losses."""

    interests: Array  # (B, K, D) after normalisation, if any; zero where inactive
    active: Bools  # (B, K)
    target: Array  # (B, D) after normalisation, if any
    negatives: Array  # (S, D) after normalisation, if any
    units: tuple[squash.Saved | None, ...]  # of interests, target, negatives
    # derivatives of each user's loss
    target_slopes: Array  # (B, K) with respect to v_k . e_t / temperature; never positive
    # (B, K, S) with respect to v_k . e_s / temperature; never negative, zero for an accidental hit
    negative_slopes: Array
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
    """Return the mean loss () of interests (B, K, D), targets (B, D) and shared negatives (S, D).

    active (B, K): true for the interests of the user, at least one each. sharpness in
    [0, infinity]: how an item's score pools over interests. 0 is the mean, 1 log-sum-exp minus a
    constant, infinity the largest (lowest index on ties). Ids, log expected counts, temperature and
    normalise have the same meaning as in sampled_softmax. Raises ShapeError if an argument is
    invalid.
    """
    logs = (target_log_expected, negative_log_expected)
    check_loss_arrays(interests, active, target, negatives, target_ids, negative_ids, *logs)
    check_loss_numbers(sharpness, temperature)
    interests = np.where(active[..., None], interests, 0)  # pooled_softmax-R4
    # 1: each vector to length one, if `normalise` (pooled_softmax-R11)
    (interests, interests_unit), (target, target_unit), (negatives, negatives_unit) = (
        to_unit_length(x, normalise) for x in (interests, target, negatives)
    )

    # 2: products / temperature (pooled_softmax-R10)
    users, count, width = interests.shape
    target_products = np.einsum("bkd,bd->bk", interests, target)[..., None]  # (B, K, 1)
    negative_products = (interests.reshape(users * count, width) @ negatives.T).reshape(
        users, count, len(negatives)
    )
    target_products /= temperature
    negative_products /= temperature
    # 3: pooled, for target and negatives alike (pooled_softmax-R1, R17, R18)
    # (B, 1), (B, K, 1)
    target_scores, target_weights = pool_scores(target_products, active, sharpness)
    scores, weights = pool_scores(negative_products, active, sharpness)  # (B, S), (B, K, S)
    target_logits = target_scores[:, 0] - target_log_expected  # 4, pooled_softmax-R6 (B,)
    negative_logits = scores - negative_log_expected  # 4, pooled_softmax-R6 (B, S)
    hits = negative_ids == target_ids[:, None]  # (B, S)
    usable = np.isfinite(target_logits) & np.isfinite(negative_logits).all(axis=1)  # (B,)
    target_logits = np.where(usable, target_logits, np.nan)  # 5, pooled_softmax-R25
    negative_logits = np.where(hits, -np.inf, negative_logits)  # 5, pooled_softmax-R7

    losses, p = cross_entropy(target_logits, negative_logits)  # 6 (B,), (B, S)
    out = losses.mean(dtype=interests.dtype)  # 7, pooled_softmax-R9
    weights *= p[:, None, :]  # in place: the largest array
    negative_probability = p.sum(axis=1)  # pooled_softmax-R15 (B,)
    units = (interests_unit, target_unit, negatives_unit)
    slopes = (-negative_probability[:, None] * target_weights[..., 0], weights)
    return out, Saved(interests, active, target, negatives, units, *slopes, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_interests (B, K, D), d_target (B, D), d_negatives (S, D); a row per negative."""
    interests, active, target, negatives, units, target_slopes, negative_slopes, temperature = saved
    users, count, width = interests.shape
    scale = d_out / users / temperature  # 7: mean over the batch; 2: the temperature
    flat = negative_slopes.reshape(users * count, len(negatives))  # steps 6 to 3, (B K, S)

    # 2: the gradient of each factor of a product is the other factor
    d_interests = (flat @ negatives).reshape(interests.shape)
    d_interests += target_slopes[..., None] * target[:, None, :]  # pooled_softmax-R16
    d_target = np.einsum("bk,bkd->bd", target_slopes, interests)
    d_negatives = flat.T @ interests.reshape(users * count, width)  # pooled_softmax-R14
    gradients: list[Array] = [d_interests, d_target, d_negatives]
    for d in gradients:
        d *= scale

    d_interest_vectors, d_target_vectors, d_negative_vectors = (  # 1, pooled_softmax-R11
        to_unit_length_backward(d, s) for d, s in zip(gradients, units, strict=True)
    )
    d_interest_vectors = np.where(active[..., None], d_interest_vectors, 0)  # pooled_softmax-R4
    return d_interest_vectors, d_target_vectors, d_negative_vectors


def pool_scores(products: Array, active: Bools, sharpness: float) -> tuple[Array, Array]:
    """Return scores (B, S) of items and the weights (B, K, S) of interests in each score.

    products (B, K, S) of interests and items are overwritten by the weights. The weights are not
    negative and sum to one; they are the derivative of the score with respect to the products. An
    item with a product that is not finite has the score NaN: pooling could hide that product.
    """
    finite = np.isfinite(products).all(axis=1)  # pooled_softmax-R25 (B, S)
    info = np.finfo(products.dtype)
    inverse_count = (1 / active.sum(axis=1, keepdims=True)).astype(products.dtype)  # (B, 1)
    if sharpness < float(info.tiny):  # pooled_softmax-R2, R5: products with it would underflow
        mean_weights = np.where(active, inverse_count, 0)  # (B, K)
        scores = np.einsum("bk,bks->bs", mean_weights, products)
        products[...] = mean_weights[..., None]
        return np.where(finite, scores, np.nan), products

    products[~active] = -np.inf  # pooled_softmax-R4: weight 0, never the largest
    if np.isinf(sharpness):
        best = np.argmax(products, axis=1)[:, None]  # pooled_softmax-R3 (B, 1, S)
        scores = np.take_along_axis(products, best, axis=1)[:, 0]
        products[...] = np.arange(active.shape[1])[:, None] == best
        return np.where(finite, scores, np.nan), products

    # sharpness past the largest float32 would become infinite, and 0 times infinity is NaN
    sharpness = min(float(sharpness), float(info.max))
    largest = np.max(products, axis=1, keepdims=True)  # (B, 1, S)
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite gap gives weight 0; NaN: R25
        products -= largest
        products *= sharpness  # <= 0: pooled_softmax-R12
    # the log of a mean near 1 has a rounding error of 1 ULP of 1, and the division by a small
    # sharpness would make the error large: pooled_softmax-R5
    shifted_sums = np.expm1(products)
    shifted_sums[~active] = 0
    # pooled_softmax-R1
    scores = largest[:, 0] + np.log1p(shifted_sums.sum(axis=1) * inverse_count) / sharpness
    np.exp(products, out=products)
    products /= products.sum(axis=1, keepdims=True)  # pooled_softmax-R16
    return np.where(finite, scores, np.nan), products


def check_loss_arrays(
    interests: Array,
    active: Bools,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
) -> None:
    """Raise ShapeError if the arrays of `forward` are invalid."""
    sizes = bind_axes(  # pooled_softmax-R19
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
    common_float_dtype("pooled_softmax", **vectors, **logs)
    require_bool("pooled_softmax", active=active)
    require_finite_logs("pooled_softmax", **logs)  # pooled_softmax-R20
    if sizes["B"] == 0:  # pooled_softmax-R23
        raise ShapeError(say("pooled_softmax: interests", "at least one user", "none"))
    if not active.any(axis=1).all():  # pooled_softmax-R24
        none = say("pooled_softmax: active", "an active interest for every user", "none")
        raise ShapeError(none)


def check_loss_numbers(sharpness: float, temperature: float) -> None:
    """Raise ShapeError if the numbers of `forward` are invalid."""
    if not sharpness >= 0:  # pooled_softmax-R22; also NaN
        raise ShapeError(say("pooled_softmax: sharpness", "a number from 0 to infinity", sharpness))
    if not 0 < temperature < np.inf:  # pooled_softmax-R21
        raise ShapeError(say("pooled_softmax: temperature", "a finite number above 0", temperature))
