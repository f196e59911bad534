"""Contexts of users: sums of all votes, weighted by age, and squashed; forward and backward.

Spec: specs/mind_plus.md, step 5. A context is the capsule of routing with one iteration, zero
logits and the factors exp(log weight) M, because the coupling weights are 1 / M (mind_plus-R7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mindref.kernels.fused.ages import multiply_factors, write_factors
from mindref.kernels.routing import RoutingValues
from mindref.kernels.routing_forward import route_users
from mindref.ops.squash import KINDS
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.kernels.fused.forward import FusedForward


class Contexts:
    """Buffers of the M contexts of each user."""

    def __init__(self, forward: FusedForward, behaviours: int, by_age: Array) -> None:
        """Allocate the buffers. by_age (L, M): exponentials of the log weights of each age."""
        self.forward, users, width = forward, forward.users, forward.width
        self.count = count = by_age.shape[1]
        buffer = forward.buffer
        self.by_age = by_age * by_age.dtype.type(count)
        self.values = RoutingValues(
            couplings=buffer("context_couplings", 1, behaviours, count),
            capsules=buffer("context_capsules", 1, users, count, width),
            unit=buffer("context_unit", 1, users, count, width),
            across=buffer("context_across", 1, users, count),
            along=buffer("context_along", 1, users, count),
        )
        self.factors = buffer("context_factors", behaviours, count)
        self.logits = buffer("context_logits", behaviours, count)
        self.active = forward.work.array("context_active", users, count, dtype=np.bool_)
        self.logits[:], self.active[:] = 0, True
        self.slots = forward.work.array("context_slots", users * count, dtype=np.int64)
        self.slots[:] = np.arange(users * count)
        self.user_rows = forward.work.array("context_rows", users, 2, dtype=np.int64)
        self.user_rows[:, 0] = np.arange(users) * count
        self.user_rows[:, 1] = self.user_rows[:, 0] + count

    def route_block(self, users: slice) -> None:
        """Write the contexts of a block of users to the inputs of the layers."""
        forward, starts = self.forward, self.forward.layout.starts
        first, stop, (rows, _, votes) = users.start, users.stop, forward.behaviours
        write_factors(first, stop, starts, self.by_age, self.active, self.factors)
        inputs = (starts, rows, votes, self.logits, self.active)
        options = (1, False, KINDS.index(forward.config.squash))
        route_users(first, stop, *inputs, *options, self.values, self.factors)
        multiply_factors(starts[first], starts[stop], self.factors, self.values.couplings[0])
        contexts = self.values.capsules[0, users].reshape(users.stop - users.start, -1)
        forward.user_inputs[users, forward.profile_width :] = contexts  # mind_plus-R9
