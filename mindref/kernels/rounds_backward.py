"""The way back through the rounds of routing, compiled: the last round of a user first.

Spec: specs/routing.md, Backward. `route_backward` serves the operator with either gradient, and the
model with "all"; with "last" there is one round for it, and its weights are constant. The model
with "last" goes by `through_last`. Loops over interests go in fours, as in `rounds.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.kernels._jit import Number, jit
from mindref.kernels.ahead import AHEAD, fetch
from mindref.shapes import Array, Bools, Ints


@jit
def route_backward(
    first: int,
    stop: int,
    starts: Ints,
    rows: Ints,
    votes: Array,
    active: Bools,
    over_behaviours: bool,
    exact: bool,
    couplings: Array,
    capsules: Array,
    unit: Array,
    across: Array,
    along: Array,
    d_capsules: Array,
    d_votes: Array,
    d_logits: Array,
    factors: Array | None = None,
    d_log_weights: Any = None,
) -> None:
    """Write d_votes (N, D) and, if exact, d_logits (N, K) of the users from first to stop.

    Given factors (N, K), exp of log weights, adds to d_log_weights (N, K), too; None for both is
    compiled apart, without a trace of them.
    """
    count, width, last = active.shape[1], votes.shape[1], couplings.shape[0] - 1
    longest = 0
    for b in range(first, stop):
        longest = max(longest, starts[b + 1] - starts[b])
    d_own = np.empty((count, width), votes.dtype)  # of the capsules of a round
    d_sums, d_weights = np.empty_like(d_own), np.empty((longest, count), votes.dtype)
    counted = np.empty((0 if factors is None else longest, count), votes.dtype)
    for b in range(first, stop):
        some, size = slice(starts[b], starts[b + 1]), starts[b + 1] - starts[b]
        d_own[:] = d_capsules[b]
        d_votes[some] = 0
        d_logits[some] = 0
        for t in range(last, -1, -1):
            if t < last:  # logits' = logits + votes . capsules, routing-R8
                spread(d_logits[some], capsules[t, b], d_votes[some])
                gather_up(votes, rows[some], d_logits[some], d_own)
            for k in range(count):
                through_squash(unit[t, b, k], across[t, b, k], along[t, b, k], d_own[k], d_sums[k])
                if not active[b, k]:
                    d_sums[k] = 0  # routing-R28: an inactive interest sends nothing
            if factors is None:
                spread(couplings[t, some], d_sums, d_votes[some])
                if exact:
                    agree(votes, rows[some], d_sums, d_weights)
            else:
                weigh(couplings[t, some], factors[some], counted)
                spread(counted[:size], d_sums, d_votes[some])
                agree(votes, rows[some], d_sums, d_weights)
                through_factors(d_weights[:size], counted, factors[some], d_log_weights[some])
            if exact:
                through_softmax(
                    d_weights[:size], couplings[t, some], d_logits[some], over_behaviours
                )


@jit
def weigh(weights: Array, factors: Array, counted: Array) -> None:
    """Write weights times factors (N, K) into the first rows of counted."""
    for n in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            counted[n, k] = weights[n, k] * factors[n, k]


@jit
def through_factors(d_weights: Array, counted: Array, factors: Array, d_log_weights: Array) -> None:
    """Add counted times d_weights to d_log_weights (N, K), then scale d_weights by the factors."""
    for n in range(factors.shape[0]):
        for k in range(factors.shape[1]):
            if factors[n, k] == 0:  # routing-R34: so are those of inactive interests
                d_weights[n, k] = 0
            else:
                d_log_weights[n, k] += counted[n, k] * d_weights[n, k]  # routing-R35, R36
                d_weights[n, k] *= factors[n, k]


@jit
def spread(weights: Array, capsules: Array, d_votes: Array) -> None:
    """Add sum_k weights_nk capsules_kd to d_votes (N, D)."""
    count = capsules.shape[0]
    fours = count // 4 * 4
    for n in range(d_votes.shape[0]):
        for k in range(0, fours, 4):
            w, x, y, z = weights[n, k], weights[n, k + 1], weights[n, k + 2], weights[n, k + 3]
            for d in range(d_votes.shape[1]):
                two = w * capsules[k, d] + x * capsules[k + 1, d]
                d_votes[n, d] += two + y * capsules[k + 2, d] + z * capsules[k + 3, d]
        for k in range(fours, count):
            w = weights[n, k]
            for d in range(d_votes.shape[1]):
                d_votes[n, d] += w * capsules[k, d]


@jit
def gather_up(votes: Array, rows: Ints, weights: Array, sums: Array) -> None:
    """Write sum_n weights_nk votes_nd into sums (K, D)."""
    sums[:] = 0
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for k in range(sums.shape[0]):
            w = weights[n, k]
            for d in range(sums.shape[1]):
                sums[k, d] += w * vote[d]


@jit
def agree(votes: Array, rows: Ints, d_sums: Array, d_weights: Array) -> None:
    """Write the inner products of votes with d_sums (K, D) into d_weights (N, K)."""
    zero, count = votes.dtype.type(0), d_sums.shape[0]
    fours = count // 4 * 4
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for k in range(0, fours, 4):
            p, q, r, s = zero, zero, zero, zero
            for d in range(d_sums.shape[1]):
                p += vote[d] * d_sums[k, d]
                q += vote[d] * d_sums[k + 1, d]
                r += vote[d] * d_sums[k + 2, d]
                s += vote[d] * d_sums[k + 3, d]
            d_weights[n, k], d_weights[n, k + 1] = p, q
            d_weights[n, k + 2], d_weights[n, k + 3] = r, s
        for k in range(fours, count):
            p = zero
            for d in range(d_sums.shape[1]):
                p += vote[d] * d_sums[k, d]
            d_weights[n, k] = p


@jit
def through_squash(unit: Array, across: Number, along: Number, d_out: Array, d_x: Array) -> None:
    """Write across (d_out - i u) + along i u into d_x (D,), with i = u . d_out."""
    inner = unit.dtype.type(0)
    for d in range(unit.shape[0]):
        inner += unit[d] * d_out[d]
    for d in range(unit.shape[0]):
        side = inner * unit[d]
        d_x[d] = across * (d_out[d] - side) + along * side


@jit
def through_softmax(
    d_weights: Array, weights: Array, d_logits: Array, over_behaviours: bool
) -> None:
    """Add to d_logits (N, K) what comes through the softmax over either axis."""
    if over_behaviours:
        through_share_over_behaviours(d_weights, weights, d_logits)
    else:
        through_share(d_weights, weights, d_logits)


@jit
def through_share(d_weights: Array, weights: Array, d_logits: Array) -> None:
    """Add w_nk (d_w_nk - sum_j w_nj d_w_nj) to d_logits (N, K): routing-R11."""
    for n in range(weights.shape[0]):
        inner = weights.dtype.type(0)
        for k in range(weights.shape[1]):
            if weights[n, k] != 0:
                inner += weights[n, k] * d_weights[n, k]
        for k in range(weights.shape[1]):
            if weights[n, k] != 0:
                d_logits[n, k] += weights[n, k] * (d_weights[n, k] - inner)


@jit
def through_share_over_behaviours(d_weights: Array, weights: Array, d_logits: Array) -> None:
    """Add w_nk (d_w_nk - sum_m w_mk d_w_mk) to d_logits (N, K): routing-R9."""
    for k in range(weights.shape[1]):
        inner = weights.dtype.type(0)
        for n in range(weights.shape[0]):
            if weights[n, k] != 0:
                inner += weights[n, k] * d_weights[n, k]
        for n in range(weights.shape[0]):
            if weights[n, k] != 0:
                d_logits[n, k] += weights[n, k] * (d_weights[n, k] - inner)


@jit
def through_last(
    places: Ints,
    starts: Ints,
    rows: Ints,
    vectors: Array,
    weights: Array,
    unit: Array,
    across: Array,
    along: Array,
    d_capsules: Array,
    d_sums: Array,
    means: Array,
) -> None:
    """Write the gradients of sums of votes, and the same sums of behaviours themselves (M, D).

    With the weights held constant (routing-R12), for the capsules at places (M,) of (B, K), whose
    gradients are d_capsules (M, D or more).
    weights (N, K) are those of the last round, vectors[rows[n]] is behaviour n.
    """
    count = weights.shape[1]
    for m in range(places.shape[0]):
        b, k = places[m] // count, places[m] % count
        own = d_capsules[m, : unit.shape[2]]
        through_squash(unit[b, k], across[b, k], along[b, k], own, d_sums[m])
        means[m] = 0
        for n in range(starts[b], starts[b + 1]):
            if n + AHEAD < len(rows):
                fetch(vectors, rows[n + AHEAD])
            w, vector = weights[n, k], vectors[rows[n]]
            for d in range(means.shape[1]):
                means[m, d] += w * vector[d]
