"""Compiled pooled softmax: the active interests are rows, one user after the other.

Spec: specs/pooled_softmax.md. Inactive interests are left out and cost nothing. After the matrix
products, users are processed in blocks that stay in the cache of a core. NumPy computes the
vectorised exponentials and logarithms of a block; compiled loops compute the rest. In the loops,
x (A, S) has one row for each active interest of the users of a block; user b has the rows from
starts[b] to starts[b + 1].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels import squash
from mindref.kernels._jit import Number, jit
from mindref.ops.pooled_softmax import check_loss_arrays, check_loss_numbers
from mindref.ops.squash import Saved as Squashed
from mindref.shapes import Array, Bools, Ints, require_gradient_shape

MEAN, SOFT, HARD = range(3)
"""Kinds of pooling: sharpness zero, finite, infinite."""
BLOCK_PRODUCTS = 1 << 18
"""Approximate number of products of a block of users: one MiB of float32."""


class PooledScores(NamedTuple):
    """Scores of a block of users, and the values from which the weights of its rows follow."""

    scores: Array  # (B, S) one score for each item; NaN for a user with a bad product
    # (B, S) the sum of the exponentials that replace the products, or the index of the largest
    # product, counted from the user's first row
    sums_or_indices: Array
    kind: int  # MEAN, SOFT or HARD


class Saved(NamedTuple):
    """The rows of the active interests, and the slopes of the losses along their products."""

    active: Bools  # (B, K)
    starts: Ints  # (B + 1,) where the rows of each user start
    rows: Array  # (A, D) active interests as used
    target: Array  # (B, D) as used
    negatives: Array  # (S, D) as used
    units: tuple[Squashed | None, ...]  # of rows, target, negatives
    target_slopes: Array  # (A,)
    negative_slopes: Array  # (A, S)
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
    """Return the loss () of active interests, target items and shared negatives."""
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
    number, users = interests.dtype.type, len(target)
    kind, beta = pooling_kind(sharpness, interests.dtype)
    starts = np.concatenate([[0], np.cumsum(active.sum(axis=1))])
    rows = interests[active]  # pooled_softmax-R4 (A, D)
    units: tuple[Squashed | None, ...] = (None, None, None)
    if normalise:
        squashed = [squash.forward(x, kind="unit") for x in (rows, target, negatives)]
        rows, target, negatives = (out for out, _ in squashed)
        units = tuple(saved for _, saved in squashed)

    target_logits, weights = np.empty(users, number), np.empty(len(rows), number)
    score_targets(
        rows, starts, target, number(temperature), kind, number(beta), weights, target_logits
    )
    target_logits -= target_log_expected  # pooled_softmax-R6
    slopes, losses = np.empty((len(rows), len(negatives)), number), np.empty(users, number)
    # one product: with one for each block, BLAS would pack the negatives again
    np.matmul(rows, negatives.T, out=slopes)
    step = max(1, BLOCK_PRODUCTS // max(1, active.shape[1] * len(negatives)))
    for first in range(0, users, step):
        block = slice(first, min(first + step, users))
        first_row, stop_row = starts[first], starts[block.stop]
        products, block_starts = (
            slopes[first_row:stop_row],
            starts[first : block.stop + 1] - first_row,
        )
        pooled = pool_scores(products, block_starts, number(temperature), kind, number(beta))
        correct_logits(
            pooled.scores,
            target_logits[block],
            target_ids[block],
            negative_ids,
            negative_log_expected,
        )
        losses[block], negative_probability = pooled_cross_entropy(
            products, block_starts, pooled, target_logits[block]
        )
        # pooled_softmax-R15
        weights[first_row:stop_row] *= np.repeat(-negative_probability, np.diff(block_starts))
    out = losses.mean(dtype=number)  # pooled_softmax-R9
    return out, Saved(
        active=active,
        starts=starts,
        rows=rows,
        target=target,
        negatives=negatives,
        units=units,
        target_slopes=weights,
        negative_slopes=slopes,
        temperature=temperature,
    )


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_interests (B, K, D), d_target (B, D), d_negatives (S, D)."""
    active, starts, rows, target, negatives, units, target_slopes, negative_slopes, temperature = (
        saved
    )
    require_gradient_shape("pooled_softmax", np.asarray(d_out), ())
    scale = rows.dtype.type(d_out / len(target) / temperature)
    d_rows, d_target = negative_slopes @ negatives, np.empty_like(target)
    user_rows = np.stack([starts[:-1], starts[1:]], axis=1)
    add_pooled_target_terms(user_rows, target_slopes, rows, target, d_rows, d_target)
    d_negatives = negative_slopes.T @ rows  # pooled_softmax-R14
    gradients = (d_rows * scale, d_target * scale, d_negatives * scale)
    d_active, d_target_vectors, d_negative_vectors = (
        d if saved_unit is None else squash.backward(d, saved_unit)  # pooled_softmax-R11
        for d, saved_unit in zip(gradients, units, strict=True)
    )
    d_interests = np.zeros((*active.shape, rows.shape[1]), rows.dtype)
    d_interests[active] = d_active  # pooled_softmax-R4
    return d_interests, d_target_vectors, d_negative_vectors


def pooling_kind(sharpness: float, dtype: np.dtype[Any]) -> tuple[int, float]:
    """Return the kind of pooling, and the sharpness in the range of the dtype."""
    info = np.finfo(dtype)
    if sharpness < float(info.tiny):  # pooled_softmax-R2
        return MEAN, 0.0
    if np.isinf(sharpness):  # pooled_softmax-R3
        return HARD, 0.0
    return SOFT, min(float(sharpness), float(info.max))


def pool_scores(
    x: Array, starts: Ints, temperature: Number, kind: int, sharpness: Number
) -> PooledScores:
    """Return the scores of products x (A, S); SOFT replaces x by exponentials."""
    scores = np.empty((len(starts) - 1, x.shape[1]), x.dtype)
    sums_or_indices = np.empty_like(scores)
    if kind == MEAN:
        mean_of_rows(x, starts, temperature, scores)
    elif kind == HARD:
        max_of_rows(x, starts, temperature, scores, sums_or_indices)
    else:
        shift_by_max(x, starts, temperature, sharpness, scores)
        inverse_count = (1 / np.diff(starts)).astype(x.dtype)[:, None]
        with np.errstate(invalid="ignore"):  # a NaN is possible here
            if sharpness < 1:  # pooled_softmax-R5: the log of a mean near 1 is inexact
                sum_of_rows(np.expm1(x), starts, sums_or_indices)
                logs = np.log1p(sums_or_indices * inverse_count)
            np.exp(x, out=x)
            sum_of_rows(x, starts, sums_or_indices)
            if sharpness >= 1:
                logs = np.log(sums_or_indices * inverse_count)
        scores += logs / sharpness  # pooled_softmax-R1
    return PooledScores(scores, sums_or_indices, kind)


def pooled_cross_entropy(
    x: Array, starts: Ints, pooled: PooledScores, target_logits: Array
) -> tuple[Array, Array]:
    """Return losses (B,) and the sums (B,) of the probabilities of negatives; x becomes slopes."""
    scores, sums_or_indices, kind = pooled
    with np.errstate(all="ignore"):
        largest = scores.max(axis=1, initial=-np.inf)
        # pooled_softmax-R13: no negative left
        largest = np.where(np.isfinite(largest), largest, target_logits)
        gap = largest - target_logits
        scores -= largest[:, None]
        p = np.exp(scores, out=scores)
        losses = np.logaddexp(0, gap + np.log(p.sum(axis=1)))  # pooled_softmax-R6, R8, R12
        p *= np.exp(gap - losses)[:, None]
        negative_probability = p.sum(axis=1)
        if kind == SOFT:  # pooled_softmax-R16: a weight is an exponential divided by the sum
            p /= sums_or_indices
    product_slopes(x, starts, p, sums_or_indices, kind)
    return losses, negative_probability


@jit
def score_targets(
    rows: Array,
    starts: Ints,
    target: Array,
    temperature: Number,
    kind: int,
    sharpness: Number,
    weights: Array,
    scores: Array,
) -> None:
    """Write the scores (B,) of the targets, and the weights (A,) of the interests in them."""
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    for b in range(target.shape[0]):
        first, last, best = starts[b], starts[b + 1], starts[b]
        inverse_count, nan_or_zero, mean = one / rows.dtype.type(last - first), zero, zero
        for a in range(first, last):
            product = zero
            for d in range(target.shape[1]):
                product += rows[a, d] * target[b, d]
            weights[a] = product / temperature  # pooled_softmax-R10
            nan_or_zero += weights[a] * zero  # pooled_softmax-R25: NaN if not finite
            mean += weights[a] * inverse_count
            best = a if weights[a] > weights[best] else best
        top, below, total = weights[best], zero, zero
        for a in range(first, last):
            gap = sharpness * (weights[a] - top)
            below += np.expm1(gap) * inverse_count
            weights[a] = np.exp(gap)
            total += weights[a]
        scores[b] = mean if kind == MEAN else top
        if kind == SOFT:
            scores[b] += np.log1p(below) / sharpness
        scores[b] += nan_or_zero
        for a in range(first, last):  # pooled_softmax-R16
            if kind == SOFT:
                weights[a] /= total
            elif kind == MEAN:
                weights[a] = inverse_count
            else:
                weights[a] = one if a == best else zero


@jit
def mean_of_rows(x: Array, starts: Ints, temperature: Number, scores: Array) -> None:
    """Write the mean (B, S) of the rows of each user over the temperature: pooled_softmax-R2."""
    one = x.dtype.type(1)
    for b in range(scores.shape[0]):
        inverse_count = one / x.dtype.type(starts[b + 1] - starts[b])
        scores[b] = 0
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                scores[b, s] += x[a, s] / temperature * inverse_count


@jit
def max_of_rows(x: Array, starts: Ints, temperature: Number, scores: Array, best: Array) -> None:
    """Write the largest (B, S) of the rows of each user, and its index: pooled_softmax-R3."""
    zero = x.dtype.type(0)
    for b in range(scores.shape[0]):
        first = starts[b]
        scores[b], best[b] = -np.inf, 0
        nan_or_zero = zero
        for a in range(first, starts[b + 1]):
            index = x.dtype.type(a - first)
            for s in range(x.shape[1]):
                value = x[a, s] / temperature
                nan_or_zero += value * zero
                best[b, s] = index if value > scores[b, s] else best[b, s]
                scores[b, s] = value if value > scores[b, s] else scores[b, s]
        for s in range(x.shape[1]):
            scores[b, s] += nan_or_zero


@jit
def shift_by_max(
    x: Array, starts: Ints, temperature: Number, sharpness: Number, scores: Array
) -> None:
    """Write the maximum (B, S) over the rows of each user; x becomes (x - maximum) sharpness."""
    zero = x.dtype.type(0)
    for b in range(scores.shape[0]):
        nan_or_zero = zero
        scores[b] = -np.inf
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                value = x[a, s] / temperature
                x[a, s] = value
                nan_or_zero += value * zero  # pooled_softmax-R25: NaN if not finite
                scores[b, s] = value if value > scores[b, s] else scores[b, s]
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                x[a, s] = (x[a, s] - scores[b, s]) * sharpness  # pooled_softmax-R12
        for s in range(x.shape[1]):
            scores[b, s] += nan_or_zero


@jit
def sum_of_rows(x: Array, starts: Ints, sums: Array) -> None:
    """Write the sums (B, S) over the rows of each user."""
    for b in range(sums.shape[0]):
        sums[b] = 0
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                sums[b, s] += x[a, s]


@jit
def correct_logits(
    scores: Array, target_logits: Array, target_ids: Ints, negative_ids: Ints, logs: Array
) -> None:
    """Turn scores (B, S) into logits, -infinity for a hit; a bad one makes target logits NaN."""
    zero, minus_infinity = scores.dtype.type(0), scores.dtype.type(-np.inf)
    for b in range(scores.shape[0]):
        nan_or_zero = target_logits[b] * zero
        for s in range(scores.shape[1]):
            logit = scores[b, s] - logs[s]  # pooled_softmax-R6
            nan_or_zero += logit * zero
            scores[b, s] = minus_infinity if negative_ids[s] == target_ids[b] else logit  # R7
        target_logits[b] += nan_or_zero  # pooled_softmax-R25


@jit
def product_slopes(x: Array, starts: Ints, p: Array, sums_or_indices: Array, kind: int) -> None:
    """Write slopes into x (A, S): probabilities p (B, S) times weights, pooled_softmax-R16.

    If kind is SOFT, x holds exponentials, and p is already divided by their sums.
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for b in range(p.shape[0]):
        first, last = starts[b], starts[b + 1]
        if kind == SOFT:
            for a in range(first, last):
                for s in range(x.shape[1]):
                    x[a, s] *= p[b, s]
        elif kind == MEAN:
            inverse_count = one / x.dtype.type(last - first)
            for a in range(first, last):
                for s in range(x.shape[1]):
                    x[a, s] = p[b, s] * inverse_count
        else:
            for a in range(first, last):
                index = x.dtype.type(a - first)
                for s in range(x.shape[1]):
                    x[a, s] = p[b, s] * (one if sums_or_indices[b, s] == index else zero)


@jit
def add_pooled_target_terms(
    user_rows: Ints, d_products: Array, rows: Array, target: Array, d_rows: Array, d_target: Array
) -> None:
    """Add the gradients through the products of rows and targets to d_rows; write d_target."""
    for b in range(target.shape[0]):
        d_target[b] = 0
        for a in range(user_rows[b, 0], user_rows[b, 1]):
            for d in range(target.shape[1]):
                d_rows[a, d] += d_products[a] * target[b, d]
                d_target[b, d] += d_products[a] * rows[a, d]
