"""The compiled loops of pooled_softmax over the rows of active interests, user by user.

Spec: specs/pooled_softmax.md. x (A, S) has one row for each active interest of the users of a
block; user b has the rows from starts[b] to starts[b + 1].
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import Number, jit
from mindref.shapes import Array, Ints

MEAN, SOFT, HARD = range(3)
"""Kinds of pooling: sharpness zero, finite, infinite."""


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
def add_target_gradients(
    target_slopes: Array, starts: Ints, rows: Array, target: Array, d_rows: Array, d_target: Array
) -> None:
    """Add the gradients through the products of rows (A, D) and targets (B, D) to both."""
    for b in range(target.shape[0]):
        for a in range(starts[b], starts[b + 1]):
            for d in range(target.shape[1]):
                d_rows[a, d] += target_slopes[a] * target[b, d]
                d_target[b, d] += target_slopes[a] * rows[a, d]
