"""Compiled pooled softmax: the active interests are rows, one user after the other.

Spec: specs/pooled_softmax.md. Inactive interests are left out and cost nothing. After the matrix
products, users are processed in blocks that stay in the cache of a core. NumPy computes the
vectorised exponentials and logarithms of a block; `pooled_softmax_loops.py` has the compiled loops
between them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels import pooled_softmax_loops, squash
from mindref.kernels._jit import Number
from mindref.kernels.pooled_softmax_loops import HARD, MEAN, SOFT
from mindref.ops.pooled_softmax import check_loss_arrays, check_loss_numbers
from mindref.ops.squash import Saved as Squashed
from mindref.shapes import Array, Bools, Ints, require_gradient_shape

BLOCK_PRODUCTS = 1 << 18
"""Approximate number of products of a block of users: one MiB of float32."""


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
    logs = (target_log_expected, negative_log_expected)
    check_loss_arrays(interests, active, target, negatives, target_ids, negative_ids, *logs)
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
    pooled_softmax_loops.score_targets(
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
        ids = (target_ids[block], negative_ids)
        losses[block], negative_probability = pooled_cross_entropy(
            products, block_starts, *pooled, target_logits[block], *ids, logs[1], kind
        )
        # pooled_softmax-R15
        weights[first_row:stop_row] *= np.repeat(-negative_probability, np.diff(block_starts))
    out = losses.mean(dtype=number)  # pooled_softmax-R9
    vectors = (rows, target, negatives, units)
    return out, Saved(active, starts, *vectors, weights, slopes, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_interests (B, K, D), d_target (B, D), d_negatives (S, D)."""
    active, starts, rows, target, negatives, units, target_slopes, negative_slopes, temperature = (
        saved
    )
    require_gradient_shape("pooled_softmax", np.asarray(d_out), ())
    scale = rows.dtype.type(d_out / len(target) / temperature)
    d_rows, d_target = negative_slopes @ negatives, np.zeros_like(target)
    pooled_softmax_loops.add_target_gradients(target_slopes, starts, rows, target, d_rows, d_target)
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
) -> tuple[Array, Array]:
    """Return scores (B, S) of products x (A, S); the row of a user with a bad product is NaN.

    The second result (B, S) is needed for the weights: the sum of the exponentials that replace x,
    or the index of the largest product, counted from the user's first row.
    """
    scores = np.empty((len(starts) - 1, x.shape[1]), x.dtype)
    sums_or_indices = np.empty_like(scores)
    if kind == MEAN:
        pooled_softmax_loops.mean_of_rows(x, starts, temperature, scores)
    elif kind == HARD:
        pooled_softmax_loops.max_of_rows(x, starts, temperature, scores, sums_or_indices)
    else:
        pooled_softmax_loops.shift_by_max(x, starts, temperature, sharpness, scores)
        inverse_count = (1 / np.diff(starts)).astype(x.dtype)[:, None]
        with np.errstate(invalid="ignore"):  # a NaN is possible here
            if sharpness < 1:  # pooled_softmax-R5: the log of a mean near 1 is inexact
                pooled_softmax_loops.sum_of_rows(np.expm1(x), starts, sums_or_indices)
                logs = np.log1p(sums_or_indices * inverse_count)
            np.exp(x, out=x)
            pooled_softmax_loops.sum_of_rows(x, starts, sums_or_indices)
            if sharpness >= 1:
                logs = np.log(sums_or_indices * inverse_count)
        scores += logs / sharpness  # pooled_softmax-R1
    return scores, sums_or_indices


def pooled_cross_entropy(
    x: Array,
    starts: Ints,
    scores: Array,
    sums_or_indices: Array,
    target_logits: Array,
    target_ids: Ints,
    negative_ids: Ints,
    negative_log_expected: Array,
    kind: int,
) -> tuple[Array, Array]:
    """Return losses (B,) and the sums (B,) of the probabilities of negatives; x becomes slopes."""
    pooled_softmax_loops.correct_logits(
        scores, target_logits, target_ids, negative_ids, negative_log_expected
    )
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
    pooled_softmax_loops.product_slopes(x, starts, p, sums_or_indices, kind)
    return losses, negative_probability
