"""The loops of pooled_softmax, compiled: over rows of active interests, user by user.

Spec: specs/pooled_softmax.md. x (A, S) has a row for each active interest of the users of a block;
those of user b are the rows from starts[b] to starts[b + 1].
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import Number, jit
from mindref.shapes import Array, Ints

MEAN, SOFT, HARD = range(3)
"""How scores are pooled: sharpness zero, between, infinite."""


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
    """Write the scores (B,) of the targets and the weights (A,) of the interests in them."""
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    for b in range(target.shape[0]):
        first, last, best = starts[b], starts[b + 1], starts[b]
        share, spoilt, mean = one / rows.dtype.type(last - first), zero, zero
        for a in range(first, last):
            product = zero
            for d in range(target.shape[1]):
                product += rows[a, d] * target[b, d]
            weights[a] = product / temperature  # pooled_softmax-R10
            spoilt += weights[a] * zero  # pooled_softmax-R25: NaN for what is not finite
            mean += weights[a] * share
            best = a if weights[a] > weights[best] else best
        top, below, total = weights[best], zero, zero
        for a in range(first, last):
            gap = sharpness * (weights[a] - top)
            below += np.expm1(gap) * share
            weights[a] = np.exp(gap)
            total += weights[a]
        scores[b] = mean if kind == MEAN else top
        if kind == SOFT:
            scores[b] += np.log1p(below) / sharpness
        scores[b] += spoilt
        for a in range(first, last):  # pooled_softmax-R16
            if kind == SOFT:
                weights[a] /= total
            elif kind == MEAN:
                weights[a] = share
            else:
                weights[a] = one if a == best else zero


@jit
def average(x: Array, starts: Ints, temperature: Number, scores: Array) -> None:
    """Write the mean (B, S) of the rows of each user over the temperature: pooled_softmax-R2."""
    one = x.dtype.type(1)
    for b in range(scores.shape[0]):
        share = one / x.dtype.type(starts[b + 1] - starts[b])
        scores[b] = 0
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                scores[b, s] += x[a, s] / temperature * share


@jit
def choose(x: Array, starts: Ints, temperature: Number, scores: Array, best: Array) -> None:
    """Write the largest (B, S) of the rows of each user, and its place: pooled_softmax-R3."""
    zero = x.dtype.type(0)
    for b in range(scores.shape[0]):
        first = starts[b]
        scores[b], best[b] = -np.inf, 0
        spoilt = zero
        for a in range(first, starts[b + 1]):
            place = x.dtype.type(a - first)
            for s in range(x.shape[1]):
                value = x[a, s] / temperature
                spoilt += value * zero
                best[b, s] = place if value > scores[b, s] else best[b, s]
                scores[b, s] = value if value > scores[b, s] else scores[b, s]
        for s in range(x.shape[1]):
            scores[b, s] += spoilt


@jit
def lower(x: Array, starts: Ints, temperature: Number, sharpness: Number, scores: Array) -> None:
    """Write the largest (B, S) of the rows of each user; x becomes what is below it, sharpened."""
    zero = x.dtype.type(0)
    for b in range(scores.shape[0]):
        spoilt = zero
        scores[b] = -np.inf
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                value = x[a, s] / temperature
                x[a, s] = value
                spoilt += value * zero  # pooled_softmax-R25: NaN for what is not finite
                scores[b, s] = value if value > scores[b, s] else scores[b, s]
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                x[a, s] = (x[a, s] - scores[b, s]) * sharpness  # pooled_softmax-R12
        for s in range(x.shape[1]):
            scores[b, s] += spoilt


@jit
def add_up(x: Array, starts: Ints, sums: Array) -> None:
    """Write the sums (B, S) of the rows of each user."""
    for b in range(sums.shape[0]):
        sums[b] = 0
        for a in range(starts[b], starts[b + 1]):
            for s in range(x.shape[1]):
                sums[b, s] += x[a, s]


@jit
def correct(
    scores: Array, at_target: Array, target_ids: Ints, negative_ids: Ints, logs: Array
) -> None:
    """Turn scores (B, S) into logits, -infinity for a hit; the target's is NaN if one is bad."""
    zero, minus_infinity = scores.dtype.type(0), scores.dtype.type(-np.inf)
    for b in range(scores.shape[0]):
        spoilt = at_target[b] * zero
        for s in range(scores.shape[1]):
            logit = scores[b, s] - logs[s]  # pooled_softmax-R6
            spoilt += logit * zero
            scores[b, s] = minus_infinity if negative_ids[s] == target_ids[b] else logit  # R7
        at_target[b] += spoilt  # pooled_softmax-R25


@jit
def spread(x: Array, starts: Ints, p: Array, aside: Array, kind: int) -> None:
    """Write the slopes into x (A, S): probabilities p (B, S) times weights, pooled_softmax-R16.

    Soft, x has exponentials and p is divided by their sums already.
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for b in range(p.shape[0]):
        first, last = starts[b], starts[b + 1]
        if kind == SOFT:
            for a in range(first, last):
                for s in range(x.shape[1]):
                    x[a, s] *= p[b, s]
        elif kind == MEAN:
            share = one / x.dtype.type(last - first)
            for a in range(first, last):
                for s in range(x.shape[1]):
                    x[a, s] = p[b, s] * share
        else:
            for a in range(first, last):
                place = x.dtype.type(a - first)
                for s in range(x.shape[1]):
                    x[a, s] = p[b, s] * (one if aside[b, s] == place else zero)


@jit
def exchange(
    at_target: Array, starts: Ints, rows: Array, target: Array, d_rows: Array, d_target: Array
) -> None:
    """Add what rows (A, D) and targets (B, D) get from one another by way of their products."""
    for b in range(target.shape[0]):
        for a in range(starts[b], starts[b + 1]):
            for d in range(target.shape[1]):
                d_rows[a, d] += at_target[a] * target[b, d]
                d_target[b, d] += at_target[a] * rows[a, d]
