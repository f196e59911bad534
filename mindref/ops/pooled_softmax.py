"""Softmax loss on the score used in serving: an item's inner products with the interests, pooled.

Spec: specs/pooled_softmax.md. Sources: Li et al., CIKM 2019, eq. 3 (the score is the maximum over
interests) and 10-11; Weston, Weiss and Yee 2013 (training on the maximum). Difference: the paper
computes one user vector by attention to the target and scores all negatives with this vector. Here
each item has its own score: its inner products with the active interests, pooled.
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
    """The values that `backward` reads. A slope is a derivative of the loss of one user."""

    interests: Array  # (B, K, D) normalised if `normalise` is true; zero where inactive
    active: Bools  # (B, K)
    target: Array  # (B, D) normalised if `normalise` is true
    negatives: Array  # (S, D) normalised if `normalise` is true
    units: tuple[squash.Saved | None, ...]  # of the normalised interests, target and negatives
    # (B, K) slope with respect to v_k . e / temperature for the target e; never above 0
    target_slopes: Array
    # (B, K, S) slope with respect to v_k . e / temperature, e a negative; 0 for an accidental hit
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

    active (B, K): true for the active interests; each user needs at least one. sharpness, from 0 to
    infinity, selects how the products of an item with the interests are pooled: 0 is the mean,
    infinity the maximum (on ties, the first), 1 is log-sum-exp minus the log of the number of
    active interests. Ids, log expected counts, temperature and normalise are those of
    sampled_softmax. Raises ShapeError if an argument is invalid.
    """
    check_loss_arrays(
        interests,
        active,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
    )
    check_loss_numbers(sharpness, temperature)
    temperature = float(temperature)  # numerics-R2: a NumPy number would decide the dtype
    interests = np.where(active[..., None], interests, 0)  # pooled_softmax-R4
    # 1: with `normalise`, divide each vector by its length (pooled_softmax-R11)
    (interests, interests_unit), (target, target_unit), (negatives, negatives_unit) = (
        to_unit_length(x, normalise=normalise) for x in (interests, target, negatives)
    )

    # 2: products / temperature (pooled_softmax-R10)
    users, count, width = interests.shape
    target_products = np.einsum("bkd,bd->bk", interests, target)[..., None]  # (B, K, 1)
    negative_products = (interests.reshape(users * count, width) @ negatives.T).reshape(
        users, count, len(negatives)
    )
    target_products /= temperature
    negative_products /= temperature
    # 3: pool target and negatives in the same way (pooled_softmax-R1, R17, R18)
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
    weights *= p[:, None, :]  # in place, because this array is the largest
    negative_probability = p.sum(axis=1)  # pooled_softmax-R15 (B,)
    return out, Saved(
        interests=interests,
        active=active,
        target=target,
        negatives=negatives,
        units=(interests_unit, target_unit, negatives_unit),
        target_slopes=-negative_probability[:, None] * target_weights[..., 0],
        negative_slopes=weights,
        temperature=temperature,
    )


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_interests (B, K, D), d_target (B, D), d_negatives (S, D): one row per negative."""
    interests, active, target, negatives, units, target_slopes, negative_slopes, temperature = saved
    users, count, width = interests.shape
    scale = d_out / users / temperature  # step 7: mean over the batch; step 2: temperature
    flat = negative_slopes.reshape(users * count, len(negatives))  # steps 6 to 3: done by forward

    # 2: the gradient of a product v . e is e with respect to v, and v with respect to e
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

    products (B, K, S), of interests and items, is overwritten by the weights. The weights are the
    derivative of the score with respect to the products: >= 0, with sum one over the interests. If
    a product is not finite, the score is NaN, because pooling could hide that product.
    """
    finite = np.isfinite(products).all(axis=1)  # pooled_softmax-R25 (B, S)
    info = np.finfo(products.dtype)
    inverse_count = (1 / active.sum(axis=1, keepdims=True)).astype(products.dtype)  # (B, 1)
    if sharpness < float(info.tiny):  # pooled_softmax-R2, R5: sharpness * product may underflow
        mean_weights = np.where(active, inverse_count, 0)  # (B, K)
        scores = np.einsum("bk,bks->bs", mean_weights, products)
        products[...] = mean_weights[..., None]
        return np.where(finite, scores, np.nan), products

    products[~active] = -np.inf  # pooled_softmax-R4: inactive products have weight 0
    if np.isinf(sharpness):
        best = np.argmax(products, axis=1)[:, None]  # pooled_softmax-R3 (B, 1, S)
        scores = np.take_along_axis(products, best, axis=1)[:, 0]
        products[...] = np.arange(active.shape[1])[:, None] == best
        return np.where(finite, scores, np.nan), products

    # a sharpness above the largest number of the dtype is reduced, because 0 * infinity is NaN
    sharpness = min(float(sharpness), float(info.max))
    largest = np.max(products, axis=1, keepdims=True)  # (B, 1, S)
    with np.errstate(over="ignore", invalid="ignore"):  # a gap of -inf has weight 0; NaN: see R25
        products -= largest
        products *= sharpness  # <= 0: pooled_softmax-R12
    # log(mean(exp(products))) would be inaccurate: a mean near 1 has a rounding error of 1 ULP, and
    # division by a small sharpness enlarges it. expm1 and log1p avoid it (pooled_softmax-R5).
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
    """Raise ShapeError if the sharpness or the temperature is invalid."""
    if not sharpness >= 0:  # pooled_softmax-R22; rejects NaN too
        raise ShapeError(say("pooled_softmax: sharpness", "a number from 0 to infinity", sharpness))
    if not 0 < temperature < np.inf:  # pooled_softmax-R21
        raise ShapeError(say("pooled_softmax: temperature", "a finite number above 0", temperature))
