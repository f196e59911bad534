"""Compute interests from histories, without padding, in blocks of users.

Spec: specs/model.md, specs/mind_plus.md, specs/youtube_dnn.md. The result is that of the function
`interests` of the model family. Block boundaries depend only on array sizes. No two tasks write to
the same memory. There are two phases (thread_pool.py):

    1. prepare_batch   number the distinct items, then compute their vectors and votes
    2. user_blocks     compute routing and layers of each block of users
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.kernels._jit import jit
from mindref.kernels.contiguous import readonly_contiguous
from mindref.kernels.fused.additions import Additions, Behaviours, additions_of, routed_inputs
from mindref.kernels.fused.ages import drop_entries, multiply_factors, write_factors
from mindref.kernels.fused.checks import check_model_inputs
from mindref.kernels.fused.contexts import Contexts
from mindref.kernels.fused.layers import Layers
from mindref.kernels.fused.layout import copy_initial_logits, lay_out_batch
from mindref.kernels.fused.lookup import look_up_items, look_up_items_and_votes
from mindref.kernels.fused.thread_pool import Task
from mindref.kernels.fused.workspace import KernelWorkspace, block_slices
from mindref.kernels.matmul import matmul_into
from mindref.kernels.routing import RoutingValues
from mindref.kernels.routing_forward import route_users
from mindref.models import mind
from mindref.models.parameters import Catalogue
from mindref.ops.embedding import check_row_indices
from mindref.ops.routing import AXES
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, Ints

BLOCK_ITEMS = 1024
"""Number of distinct items in a block."""


class FusedForward:
    """Computes the forward pass from histories to interests."""

    def __init__(
        self,
        work: KernelWorkspace,
        params: Any,
        histories: mind.Histories,
        catalogue: Catalogue,
        config: Config,
        other_items: tuple[Ints, ...] = (),
        *,
        keep_iterations: bool = False,
        dropout_factors: Array | None = None,
    ) -> None:
        """Check the inputs. params: those of MIND, mind_plus or YouTube DNN.

        other_items: ids of further items that need vectors, such as targets. keep_iterations:
        if the gradient of routing needs the values of all iterations, keep these values.
        dropout_factors (B, L, D): of the vectors of behaviours, or None.
        """
        params, histories, config = routed_inputs(params, histories, config)
        self.work, self.params, self.catalogue, self.config = work, params, catalogue, config
        self.histories, self.other_items, self.dtype = histories, other_items, params.items.dtype
        self.additions: Additions = additions_of(params, config)
        self.key = check_model_inputs(work, params, histories, catalogue, config, dropout_factors)
        self.dropout_factors = dropout_factors
        if dropout_factors is not None:
            self.dropout_factors = dropout_factors.reshape(-1, dropout_factors.shape[2])
        self.bilinear = readonly_contiguous(params.bilinear)
        self.users, self.count = len(histories.mask), config.interests
        self.width = params.items.shape[1]
        self.dynamic = config.routing == "dynamic"
        several = self.dynamic and config.iterations > 1  # for 1 iteration, gradient "all" = "last"
        self.exact = several and config.routing_gradient == "all"
        self.kept_iterations = config.iterations if self.exact and keep_iterations else 1
        # for each block of items: whether each item i has one table row, row i, with weight 1
        self.identity_rows: list[bool] = []

    def run(self) -> tuple[Array, Bools]:
        """Return interests (B, K, D) and active (B, K), in new arrays."""
        self.work.run_phases([self.prepare_batch, self.user_blocks])
        return self.interests.copy(), self.layers.active.copy()

    def buffer(self, name: str, *shape: int) -> Array:
        """Return the buffer `name` in this shape, in the dtype of the parameters."""
        array: Array = self.work.array(name, *shape, dtype=self.dtype)
        return array

    # Phase 1

    def prepare_batch(self) -> Iterator[Task]:
        """Yield the two tasks of phase 1. Each of them submits more tasks."""
        yield self.lay_out_and_look_up
        yield self.prepare_users

    def lay_out_and_look_up(self) -> None:
        """Lay out the batch, then submit the lookups of the items of the batch."""
        self.lay_out()
        self.work.submit(self.lookup_tasks())

    def lay_out(self) -> None:
        """Number the distinct items, and allocate their vectors and votes."""
        rows = self.catalogue.rows
        self.layout = lay_out_batch(self.work, self.histories, self.other_items, len(rows))
        shape = (len(self.layout.items), rows.shape[1])
        self.item_rows = self.work.array("item_rows", *shape, dtype=rows.dtype)
        self.item_weights = self.buffer("item_weights", *shape)
        self.vectors = self.buffer("vectors", len(self.layout.items), self.width)
        behaviours, learned = len(self.layout.order), self.additions.learned_votes
        if self.dropout_factors is None:
            index, vectors = self.layout.item_index[:behaviours], self.vectors
            num_votes = self.layout.num_history_items
        else:
            index = self.work.array("behaviour_numbers", behaviours, dtype=np.int64)
            index[:] = np.arange(behaviours)
            vectors, num_votes = self.buffer("dropped", behaviours, self.width), behaviours
        votes = self.buffer("votes", num_votes, self.width) if learned else vectors
        self.behaviours = Behaviours(index, vectors, votes)

    def lookup_tasks(self) -> Iterator[Task]:
        """Yield one lookup for each block of items; a lookup needs only the layout."""
        for items in block_slices(len(self.layout.items), BLOCK_ITEMS):
            yield partial(self.look_up_block, items)

    def look_up_block(self, items: slice) -> None:
        """Write the vectors of a block of distinct items, and the votes of history items."""
        rows = self.item_rows[items]
        arguments = (
            *self.catalogue,
            self.layout.items[items],
            self.params.items,
            rows,
            self.item_weights[items],
            self.vectors[items],
        )
        if self.dropout_factors is None and self.additions.learned_votes:
            # only history items have votes, so the slice of votes may be shorter or empty
            votes = self.behaviours.votes[items]
            valid, identity = look_up_items_and_votes(*arguments, self.bilinear, votes)
        else:
            valid, identity = look_up_items(*arguments)
        self.require_valid(valid, rows)
        self.identity_rows.append(identity)

    def look_up_ids(self, ids: Ints, vectors: Array) -> None:
        """Write the vectors (M, D) of the items `ids` (M,); the layout is not used."""
        rows = np.empty((len(ids), self.catalogue.rows.shape[1]), self.catalogue.rows.dtype)
        weights = np.empty(rows.shape, self.dtype)
        valid, _ = look_up_items(*self.catalogue, ids, self.params.items, rows, weights, vectors)
        self.require_valid(valid, rows)

    def require_valid(self, valid: bool, rows: Ints) -> None:
        """If `valid` is false, raise a ShapeError that names a row outside the table."""
        if not valid:
            check_row_indices("embedding", rows, len(self.params.items))

    def prepare_users(self) -> None:
        """Prepare user features, buffers and initial logits. This task does not read the layout."""
        work, histories = self.work, self.histories
        looked_up = self.params.profile[histories.profile]  # (B, G, Q)
        reads_profile = self.additions.head != "none"  # mind_plus-R11
        self.profile_width = looked_up.shape[1] * looked_up.shape[2] if reads_profile else 0
        width = self.profile_width + self.additions.contexts * self.width
        self.user_inputs = self.buffer("user_inputs", self.users, width)
        if self.profile_width > 0:
            profile = looked_up.reshape(self.users, self.profile_width)
            self.user_inputs[:, : self.profile_width] = profile
        shape, residual = (self.users, self.count), self.additions.head == "residual"
        create = partial(Layers, work, self.params, shape, width, self.config, residual=residual)
        self.layers = copy(work.cached("layers", self.key, create))
        active_by_length = work.cached("active_by_length", self.key, self.active_by_length)
        behaviours = self.layers.start_batch(
            self.params.layers, histories.mask, active_by_length, self.user_inputs
        )
        self.prepare_factors(behaviours)
        self.interests = self.buffer("interests", self.users, self.count, self.width)
        self.routing_values = self.allocate_routing_values(behaviours)
        logits_dtype = histories.init_logits.dtype
        self.logits = work.array("logits", behaviours, self.count, dtype=logits_dtype)
        self.user_index = work.array("user_index", behaviours, dtype=np.int64)
        self.padded_rows = work.array("padded_rows", behaviours, dtype=np.int64)
        work.submit([self.copy_logits])

    def prepare_factors(self, behaviours: int) -> None:
        """Prepare the log weights of each age, or their exponentials; allocate the factors."""
        contexts, self.factors = self.additions.contexts, None
        self.contexts: Contexts | None = None
        self.interest_columns = 0
        if self.additions.positions is None:
            return
        logits, positions = self.additions.weights_are_logits, self.additions.positions
        by_age = positions.copy() if logits else np.exp(positions)  # (L, C)
        self.interest_columns = columns = by_age.shape[1] - contexts
        if columns > 0:
            self.by_age = np.ascontiguousarray(by_age[:, :columns])
            self.factors = None if logits else self.buffer("factors", behaviours, self.count)
        if contexts > 0:
            self.contexts = Contexts(self, behaviours, by_age[:, columns:])

    def active_by_length(self) -> Bools:
        """Return a mask (L + 1, K); row n: the active interests of a user with n behaviours."""
        return mind.active_after(np.arange(self.histories.mask.shape[1] + 1), self.config)

    def allocate_routing_values(self, behaviours: int) -> RoutingValues:
        """Return buffers for the values of the last `kept_iterations` iterations of routing."""
        shape = (self.kept_iterations, self.users, self.count)
        return RoutingValues(
            couplings=self.buffer("couplings", self.kept_iterations, behaviours, self.count),
            capsules=self.buffer("capsules", *shape, self.width),
            unit=self.buffer("unit", *shape, self.width),
            across=self.buffer("across", *shape),  # slope of squash orthogonal to z
            along=self.buffer("along", *shape),  # slope of squash along z
        )

    def copy_logits(self) -> None:
        """Write the initial logits and the user index of each behaviour."""
        histories = self.histories
        outputs = (self.logits, self.user_index, self.padded_rows)
        copy_initial_logits(histories.mask, histories.init_logits, *outputs)
        if not self.dynamic:
            self.logits[:] = 0  # model-R12

    # Phase 2

    def user_blocks(self) -> Iterator[Task]:
        """Yield one task for each block of users."""
        for users in block_slices(self.users, self.layers.block_users):
            yield partial(self.interests_of_block, users)

    def interests_of_block(self, users: slice) -> None:
        """Write the interests of a block of users, zero where inactive."""
        self.route_block(users)
        self.layers.forward(users, self.routing_values.capsules[-1], self.interests)

    def route_block(self, users: slice) -> None:
        """Run all iterations of routing for a block of users, and compute its contexts."""
        config, starts, active = self.config, self.layout.starts, self.layers.active
        first, stop, (rows, vectors, votes) = users.start, users.stop, self.behaviours
        if self.dropout_factors is not None:
            behaviours = slice(starts[first], starts[stop])
            used = (self.layout.item_index, self.vectors, self.dropout_factors, self.padded_rows)
            drop_entries(starts[first], starts[stop], *used, vectors)
            if self.additions.learned_votes:
                matmul_transposed(vectors[behaviours], self.bilinear, votes[behaviours])
        iterations = config.iterations if self.dynamic else 1
        options = (iterations, AXES[config.routing_axis] == 1, KINDS.index(config.squash))
        inputs = (starts, rows, votes, self.logits, active)
        if self.interest_columns > 0:  # mind_plus-R4, youtube_dnn-R2
            outputs = self.logits if self.factors is None else self.factors
            write_factors(first, stop, starts, self.by_age, active, outputs)
        if self.factors is None:
            route_users(first, stop, *inputs, *options, self.routing_values)
        else:
            route_users(first, stop, *inputs, *options, self.routing_values, self.factors)
            couplings = self.routing_values.couplings[-1]
            multiply_factors(starts[first], starts[stop], self.factors, couplings)
        if self.contexts is not None:
            self.contexts.route_block(users)


@jit
def matmul_transposed(a: Array, b: Array, out: Array) -> None:
    """Write a b^T (M, N) of a (M, I) and b (N, I)."""
    matmul_into(a, b.T, out)
