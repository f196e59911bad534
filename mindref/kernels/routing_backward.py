"""The gradient of routing, compiled: the last iteration of a user first.

Spec: specs/routing.md, Backward. `route_users_backward` serves the operator with either gradient,
and the model with "all". With "last" it has one iteration, whose coupling weights are constant.
The model with "last" uses the last two functions. Loops over interests are unrolled by four, as
in routing_forward.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.kernels._jit import Number, jit
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.kernels.routing_forward import (
    RoutingBatch,
    RoutingOptions,
    RoutingValues,
    most_behaviours,
)
from mindref.shapes import Array, Ints

ALL_ITERATIONS, OVER_BEHAVIOURS = 0, 1
"""Values of gradient and axis in RoutingOptions; an import would not invalidate cached code."""


class RoutingGradients(NamedTuple):
    """The gradients of the inputs of routing, for each behaviour."""

    d_votes: Array  # (N, D)
    d_logits: Array  # (N, K) zero with gradient "last"
    d_log_weights: Array  # (N, K); (0, K) without log weights


class CapsuleBehaviours(NamedTuple):
    """M capsules, and the behaviours of their users with the constant weights of routing-R12."""

    slots: Ints  # (M,) b K + k for interest k of user b
    starts: Ints  # (B + 1,) as in `RoutingBatch`
    rows: Ints  # (N,) the item vector of behaviour n is vectors[rows[n]]
    vectors: Array
    weights: Array  # (N, K) coupling weights of the last iteration, times factors


@jit
def route_users_backward(
    first: int,
    stop: int,
    batch: RoutingBatch,
    options: RoutingOptions,
    values: RoutingValues,
    d_capsules: Array,
    gradients: RoutingGradients,
) -> None:
    """Write the gradients of users from `first` to `stop`, from d_capsules (B, K, D).

    d_log_weights must be zero before.
    """
    starts, rows, votes, _, active, factors = batch
    couplings, capsules, unit, across, along = values
    d_votes, d_logits, d_log_weights = gradients
    exact, has_factors = options.gradient == ALL_ITERATIONS, factors.shape[0] > 0
    count, width, last = active.shape[1], votes.shape[1], couplings.shape[0] - 1
    longest = most_behaviours(first, stop, starts)
    d_u = np.empty((count, width), votes.dtype)  # of the capsules of an iteration
    d_z, d_weights = np.empty_like(d_u), np.empty((longest, count), votes.dtype)
    scaled = np.empty((longest if has_factors else 0, count), votes.dtype)
    for b in range(first, stop):
        user, size = slice(starts[b], starts[b + 1]), starts[b + 1] - starts[b]
        d_u[:] = d_capsules[b]
        d_votes[user] = 0
        d_logits[user] = 0
        for t in range(last, -1, -1):
            if t < last:  # logits' = logits + votes . capsules, routing-R8
                add_weighted_capsules(d_logits[user], capsules[t, b], d_votes[user])
                sum_gathered_votes(votes, rows[user], d_logits[user], d_u)
            for k in range(count):
                squash_row_backward(unit[t, b, k], across[t, b, k], along[t, b, k], d_u[k], d_z[k])
                if not active[b, k]:
                    d_z[k] = 0  # routing-R28: an inactive interest sends nothing
            if has_factors:
                scale_couplings(couplings[t, user], factors[user], scaled)
                add_weighted_capsules(scaled[:size], d_z, d_votes[user])
                multiply_votes(votes, rows[user], d_z, d_weights)
                log_weights_backward(d_weights[:size], scaled, factors[user], d_log_weights[user])
            else:
                add_weighted_capsules(couplings[t, user], d_z, d_votes[user])
                if exact:
                    multiply_votes(votes, rows[user], d_z, d_weights)
            if exact and options.axis == OVER_BEHAVIOURS:
                softmax_over_behaviours_backward(
                    d_weights[:size], couplings[t, user], d_logits[user]
                )
            elif exact:
                softmax_over_interests_backward(
                    d_weights[:size], couplings[t, user], d_logits[user]
                )


@jit
def scale_couplings(weights: Array, factors: Array, scaled: Array) -> None:
    """Write weights times factors (N, K) into the first rows of scaled."""
    for n in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            scaled[n, k] = weights[n, k] * factors[n, k]


@jit
def log_weights_backward(
    d_weights: Array, scaled: Array, factors: Array, d_log_weights: Array
) -> None:
    """Add scaled times d_weights to d_log_weights (N, K), then multiply d_weights by factors."""
    for n in range(factors.shape[0]):
        for k in range(factors.shape[1]):
            if factors[n, k] == 0:  # routing-R34: also at inactive interests
                d_weights[n, k] = 0
            else:
                d_log_weights[n, k] += scaled[n, k] * d_weights[n, k]  # routing-R35, R36
                d_weights[n, k] *= factors[n, k]


@jit
def add_weighted_capsules(weights: Array, capsules: Array, d_votes: Array) -> None:
    """Add sum_k weights_nk capsules_kd to d_votes (N, D)."""
    count = capsules.shape[0]
    fours = count // 4 * 4
    for n in range(d_votes.shape[0]):
        for k in range(0, fours, 4):
            w0, w1, w2, w3 = weights[n, k], weights[n, k + 1], weights[n, k + 2], weights[n, k + 3]
            for d in range(d_votes.shape[1]):
                two = w0 * capsules[k, d] + w1 * capsules[k + 1, d]
                d_votes[n, d] += two + w2 * capsules[k + 2, d] + w3 * capsules[k + 3, d]
        for k in range(fours, count):
            w0 = weights[n, k]
            for d in range(d_votes.shape[1]):
                d_votes[n, d] += w0 * capsules[k, d]


@jit
def sum_gathered_votes(votes: Array, rows: Ints, weights: Array, sums: Array) -> None:
    """Write sum_n weights_nk votes_nd into sums (K, D)."""
    sums[:] = 0
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for k in range(sums.shape[0]):
            w = weights[n, k]
            for d in range(sums.shape[1]):
                sums[k, d] += w * vote[d]


@jit
def multiply_votes(votes: Array, rows: Ints, d_z: Array, d_weights: Array) -> None:
    """Write the inner products of votes with d_z (K, D) into d_weights (N, K)."""
    zero, count = votes.dtype.type(0), d_z.shape[0]
    fours = count // 4 * 4
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for k in range(0, fours, 4):
            p, q, r, s = zero, zero, zero, zero
            for d in range(d_z.shape[1]):
                p += vote[d] * d_z[k, d]
                q += vote[d] * d_z[k + 1, d]
                r += vote[d] * d_z[k + 2, d]
                s += vote[d] * d_z[k + 3, d]
            d_weights[n, k], d_weights[n, k + 1] = p, q
            d_weights[n, k + 2], d_weights[n, k + 3] = r, s
        for k in range(fours, count):
            p = zero
            for d in range(d_z.shape[1]):
                p += vote[d] * d_z[k, d]
            d_weights[n, k] = p


@jit
def squash_row_backward(
    unit: Array, across: Number, along: Number, d_out: Array, d_x: Array
) -> None:
    """Write across (d_out - i u) + along i u into d_x (D,), with i = u . d_out."""
    inner = unit.dtype.type(0)
    for d in range(unit.shape[0]):
        inner += unit[d] * d_out[d]
    for d in range(unit.shape[0]):
        parallel = inner * unit[d]
        d_x[d] = across * (d_out[d] - parallel) + along * parallel


@jit
def softmax_over_interests_backward(d_weights: Array, weights: Array, d_logits: Array) -> None:
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
def softmax_over_behaviours_backward(d_weights: Array, weights: Array, d_logits: Array) -> None:
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
def squash_capsules_backward(
    slots: Ints, unit: Array, across: Array, along: Array, d_capsules: Array, d_z: Array
) -> None:
    """Write d_z (M, D) of capsules from their gradients d_capsules (M, D).

    slots (M,): the capsules, as indices b K + k of (B, K).
    """
    count = unit.shape[1]
    for m in range(slots.shape[0]):
        b, k = slots[m] // count, slots[m] % count
        squash_row_backward(unit[b, k], across[b, k], along[b, k], d_capsules[m], d_z[m])


@jit
def sum_weighted_vectors(capsules: CapsuleBehaviours, item_sums: Array) -> None:
    """Write the weighted sums of item vectors, item_sums (M, D), of M capsules."""
    slots, starts, rows, vectors, weights = capsules
    count = weights.shape[1]
    for m in range(slots.shape[0]):
        b, k = slots[m] // count, slots[m] % count
        item_sums[m] = 0
        for n in range(starts[b], starts[b + 1]):
            if n + DISTANCE < len(rows):
                prefetch_row(vectors, rows[n + DISTANCE])
            w, vector = weights[n, k], vectors[rows[n]]
            for d in range(item_sums.shape[1]):
                item_sums[m, d] += w * vector[d]
