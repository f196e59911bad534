"""Log weights of behaviours by age, dropout of behaviours, and contexts of users.

Spec: specs/mind_plus.md, steps 1, 3 and 5. The age of a behaviour is the number of later behaviours
of its user. `factors` are exponentials of log weights, with which routing multiplies coupling
weights. In YouTube DNN, log weights are the routing logits (specs/youtube_dnn.md, step 2).

A context is a sum of all votes, weighted by age, and squashed: the capsule of routing with one
iteration, zero logits and the factors exp(log weight) M, because the coupling weights are 1 / M
(mind_plus-R7). The backward pass of contexts is in item_gradients.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.fused.additions import Behaviours
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.routing import (
    CapsuleBehaviours,
    RoutingBatch,
    allocate_values,
    route_users,
    routing_options,
)
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
    inner product of the vote S e and d_z, which is that of e and d_z S (routing-R35). If log
    weights are logits, the mean is subtracted from e (youtube_dnn-R9).
    """
    slots, starts, rows, vectors, weights = capsules
    d_positions, first_column, is_shared, means = gradients
    count, zero = weights.shape[1], weights.dtype.type(0)
    for m in range(len(slots)):
        b, k = slots[m] // count, slots[m] % count
        column = first_column if is_shared else first_column + k
        mean_product = zero
        if means.shape[0] > 0:  # log weights are logits
            for d in range(means.shape[2]):
                mean_product += means[b, k, d] * d_projected[m, d]
        for n in range(starts[b], starts[b + 1]):
            if weights[n, k] != 0:  # routing-R34: a weight of zero has no gradient
                vector, inner = vectors[rows[n]], zero
                for d in range(vector.shape[0]):
                    inner += vector[d] * d_projected[m, d]
                inner -= mean_product  # youtube_dnn-R9; zero if log weights are not logits
                age = starts[b + 1] - 1 - n  # mind_plus-R1
                d_positions[age, column] += weights[n, k] * inner


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


class Contexts:
    """Buffers of the M contexts of each user."""

    def __init__(
        self, work: KernelWorkspace, users: int, behaviours: int, width: int, by_age: Array
    ) -> None:
        """Allocate the buffers. by_age (L, M): exponentials of the log weights of each age."""
        dtype, self.count = by_age.dtype, by_age.shape[1]

        def buffer(name: str, *shape: int) -> Array:
            return work.array(f"context_{name}", *shape, dtype=dtype)

        self.by_age = by_age * dtype.type(self.count)
        self.values = allocate_values(1, (behaviours, users, self.count, width), buffer)
        self.factors = buffer("factors", behaviours, self.count)
        self.logits = buffer("logits", behaviours, self.count)
        self.active = work.array("context_active", users, self.count, dtype=np.bool_)
        self.logits[:], self.active[:] = 0, True
        self.slots = work.array("context_slots", users * self.count, dtype=np.int64)
        self.slots[:] = np.arange(users * self.count)
        self.user_rows = work.array("context_rows", users, 2, dtype=np.int64)
        self.user_rows[:, 0] = np.arange(users) * self.count
        self.user_rows[:, 1] = self.user_rows[:, 0] + self.count

    def route_block(
        self, users: slice, starts: Ints, behaviours: Behaviours, squash: str, out: Array
    ) -> None:
        """Write the contexts of a block of users to the rows of these users in out (B, M D)."""
        first, stop = users.start, users.stop
        write_factors(first, stop, starts, self.by_age, self.active, self.factors)
        batch = RoutingBatch(
            starts=starts,
            rows=behaviours.rows,
            votes=behaviours.votes,
            logits=self.logits,
            active=self.active,
            factors=self.factors,
        )
        options = routing_options(iterations=1, gradient="last", axis="interests", kind=squash)
        route_users(first, stop, batch, options, self.values)
        multiply_factors(starts[first], starts[stop], self.factors, self.values.couplings[0])
        out[users] = self.values.capsules[0, users].reshape(stop - first, out.shape[1])
