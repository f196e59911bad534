"""Compiled log weights of behaviours by age, and dropout of behaviours, for a block of users.

Spec: specs/mind_plus.md, steps 1 and 3. The age of a behaviour is the number of later behaviours of
its user. `factors` are exponentials of log weights, with which routing multiplies coupling weights.
In YouTube DNN, log weights are the routing logits (specs/youtube_dnn.md, step 2).
"""

from __future__ import annotations

from typing import NamedTuple

from mindref.kernels._jit import jit
from mindref.kernels.routing_backward import CapsuleBehaviours
from mindref.shapes import Array, Bools, Ints


class LogWeightGradients(NamedTuple):
    """The gradients of log weights to which capsules contribute, and the columns of capsules."""

    d_positions: Array  # (L, C) of each age
    first_column: int  # of the first interest or context
    is_shared: bool  # whether all interests use the first column; else each has a column
    # (B, K, D) capsules that are means of item vectors, if log weights are logits; else (0, K, D)
    means: Array


@jit
def write_factors(
    first: int, stop: int, starts: Ints, by_age: Array, active: Bools, factors: Array
) -> None:
    """Write the factors (N, K) of the behaviours of the users from `first` to `stop`.

    by_age (L, C): the exponentials of the log weights of each age; C is K, or 1 if all interests
    share a column. A factor is zero at an inactive interest (routing-R34). In YouTube DNN, by_age
    and factors are the log weights.
    """
    zero, count = by_age.dtype.type(0), factors.shape[1]
    shared = by_age.shape[1] < count
    for b in range(first, stop):
        for n in range(starts[b], starts[b + 1]):
            row = by_age[starts[b + 1] - 1 - n]  # mind_plus-R1
            for k in range(count):
                factors[n, k] = row[0 if shared else k] if active[b, k] else zero


@jit
def multiply_factors(start: int, stop: int, factors: Array, couplings: Array) -> None:
    """Multiply the coupling weights (N, K) of the behaviours from `start` to `stop` by factors."""
    for n in range(start, stop):
        for k in range(factors.shape[1]):
            couplings[n, k] *= factors[n, k]


@jit
def add_log_weight_gradients(
    capsules: CapsuleBehaviours, d_projected: Array, gradients: LogWeightGradients
) -> None:
    """Add the gradients of the log weights of M capsules to `gradients.d_positions`.

    d_projected (M, D): d_z S of each capsule. The gradient of a log weight is the weight times the
    inner product of vote and d_z (routing-R35). If log weights are logits, the mean is subtracted
    from the vote (youtube_dnn-R9).
    """
    slots, starts, rows, vectors, weights = capsules
    d_positions, first_column, is_shared, means = gradients
    count, zero = weights.shape[1], weights.dtype.type(0)
    for m in range(len(slots)):
        b, k = slots[m] // count, slots[m] % count
        column, mean_product = first_column if is_shared else first_column + k, zero
        if means.shape[0] > 0:
            for d in range(means.shape[2]):
                mean_product += means[b, k, d] * d_projected[m, d]
        for n in range(starts[b], starts[b + 1]):
            if weights[n, k] != 0:  # routing-R34: a weight of zero has no gradient
                vector, inner = vectors[rows[n]], zero
                for d in range(vector.shape[0]):
                    inner += vector[d] * d_projected[m, d]
                inner -= mean_product  # youtube_dnn-R9; zero if log weights are not logits
                d_positions[starts[b + 1] - 1 - n, column] += weights[n, k] * inner


@jit
def drop_entries(
    start: int,
    stop: int,
    item_index: Ints,
    vectors: Array,
    factors: Array,
    padded_rows: Ints,
    out: Array,
) -> None:
    """Write to out (N, D) the item vectors of the behaviours from `start` to `stop`, times factors.

    factors (B L, D): those of dropout. padded_rows (N,): the row b L + l of each behaviour.
    """
    for n in range(start, stop):
        vector, factor = vectors[item_index[n]], factors[padded_rows[n]]
        for d in range(out.shape[1]):
            out[n, d] = vector[d] * factor[d]
