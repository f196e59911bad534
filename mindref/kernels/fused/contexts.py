"""Contexts of users: sums of all votes, weighted by age, and squashed; forward and backward.

Spec: specs/mind_plus.md, step 5. A context is the capsule of routing with one iteration, zero
logits and the factors exp(log weight) M, because the coupling weights are 1 / M (mind_plus-R7).
The backward pass is in item_gradients.py.
"""

from __future__ import annotations

import numpy as np

from mindref.kernels.fused.additions import Behaviours
from mindref.kernels.fused.ages import multiply_factors, write_factors
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.routing_forward import (
    RoutingBatch,
    allocate_values,
    route_users,
    routing_options,
)
from mindref.shapes import Array, Ints


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
