"""Compute interests from histories, without padding, in blocks of users.

Spec: specs/model.md, specs/mind_plus.md, specs/youtube_dnn.md. The result is that of the function
`interests` of the model family. Block boundaries depend only on array sizes. No two tasks write to
the same memory. There are two phases (workspace.py):

    1. prepare_batch   number the distinct items, then compute their vectors and votes
    2. user_blocks     compute routing and layers of each block of users
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from mindref.kernels.contiguous import readonly_contiguous
from mindref.kernels.embedding import look_up_items
from mindref.kernels.fused.additions import (
    Behaviours,
    ModelInputs,
    additions_of,
    routed_inputs,
)
from mindref.kernels.fused.ages import Contexts, drop_entries, multiply_factors, write_factors
from mindref.kernels.fused.checks import check_model_inputs
from mindref.kernels.fused.layers import Layers
from mindref.kernels.fused.layout import copy_initial_logits, lay_out_batch
from mindref.kernels.fused.workspace import KernelWorkspace, Task, block_slices
from mindref.kernels.matmul import matmul_into
from mindref.kernels.routing import (
    RoutingBatch,
    allocate_values,
    route_users,
    routing_options,
)
from mindref.models import mind
from mindref.ops.embedding import check_row_indices
from mindref.shapes import Array, Bools, Ints

BLOCK_ITEMS = 1024
"""Number of distinct items in a block."""


class FusedForward:
    """Computes the forward pass from histories to interests."""

    def __init__(
        self,
        work: KernelWorkspace,
        inputs: ModelInputs,
        other_items: tuple[Ints, ...] = (),
        *,
        keep_iterations: bool = False,
    ) -> None:
        """Check the inputs.

        other_items: ids of further items that need vectors, such as targets. keep_iterations:
        if the gradient of routing needs the values of all iterations, keep these values.
        """
        # YouTube DNN becomes the settings of mind_plus that compute the same
        routed, factors = routed_inputs(inputs), inputs.dropout_factors
        self.key = check_model_inputs(work, routed, inputs.catalogue, factors)
        params, histories, config = routed
        self.work, self.params, self.histories, self.config = work, params, histories, config
        self.catalogue, self.other_items = inputs.catalogue, other_items
        self.dtype, self.width = params.items.dtype, params.items.shape[1]
        self.users, self.count = len(histories.mask), config.interests
        self.additions = additions_of(params, config)
        self.bilinear = readonly_contiguous(params.bilinear)
        # (B L, D): a row for each entry of the padded histories
        self.dropout_factors = None if factors is None else factors.reshape(-1, factors.shape[2])

        iterations = config.iterations if config.routing == "dynamic" else 1
        self.routing_options = routing_options(
            iterations=iterations,
            gradient=config.routing_gradient,
            axis=config.routing_axis,
            kind=config.squash,
        )
        # with one iteration, the gradients "all" and "last" are equal
        self.exact = iterations > 1 and config.routing_gradient == "all"
        self.kept_iterations = iterations if self.exact and keep_iterations else 1
        # for each block of items: whether each item i has one table row, row i, with weight 1
        self.identity_rows: list[bool] = []

    def run(self) -> tuple[Array, Bools]:
        """Return interests (B, K, D) and active (B, K), in new arrays."""
        self.work.run_phases([self.prepare_batch, self.user_blocks])
        return self.interests.copy(), self.layers.active.copy()

    def buffer(self, name: str, *shape: int) -> Array:
        """Return the buffer `name` in this shape, in the dtype of the parameters."""
        return self.work.array(name, *shape, dtype=self.dtype)

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
        rows, vectors = self.item_rows[items], self.vectors[items]
        valid, identity = look_up_items(
            *self.catalogue,
            self.layout.items[items],
            self.params.items,
            rows,
            self.item_weights[items],
            vectors,
        )
        self.require_valid(valid, rows)
        if self.dropout_factors is None and self.additions.learned_votes:
            # only history items have votes, so the slice of votes may be shorter or empty
            votes = self.behaviours.votes[items]
            matmul_into(vectors[: len(votes)], self.bilinear.T, votes)  # routing-R1
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
        allocated = work.cached("layers", self.key, self.allocate_layers)
        self.layers = allocated.with_parameters(self.params.layers)
        self.user_inputs = self.layers.buffers.user_inputs
        if self.profile_width > 0:
            profile = looked_up.reshape(self.users, self.profile_width)
            self.user_inputs[:, : self.profile_width] = profile
        active_by_length = work.cached("active_by_length", self.key, self.active_by_length)
        behaviours = self.layers.find_active(histories.mask, active_by_length)
        self.prepare_factors(behaviours)
        self.interests = self.buffer("interests", self.users, self.count, self.width)
        self.routing_values = allocate_values(
            self.kept_iterations, (behaviours, self.users, self.count, self.width), self.buffer
        )
        logits_dtype = histories.init_logits.dtype
        self.logits = work.array("logits", behaviours, self.count, dtype=logits_dtype)
        self.user_index = work.array("user_index", behaviours, dtype=np.int64)
        self.padded_rows = work.array("padded_rows", behaviours, dtype=np.int64)
        work.submit([self.copy_logits])

    def allocate_layers(self) -> Layers:
        """Return the buffers of the layers. A layer may read the profile and contexts."""
        return Layers(
            self.work,
            self.params,
            self.config,
            users=self.users,
            input_width=self.profile_width + self.additions.contexts * self.width,
            residual=self.additions.head == "residual",
        )

    def prepare_factors(self, behaviours: int) -> None:
        """Prepare the weights of each age, of interests and of contexts; allocate the factors."""
        self.factors = np.empty((0, self.count), self.dtype)  # none: routing multiplies by nothing
        self.contexts: Contexts | None = None
        self.interest_columns = 0  # the first columns of the log weights; those of contexts follow
        log_weights, contexts = self.additions.positions, self.additions.contexts
        if log_weights is None:
            return
        are_logits = self.additions.weights_are_logits
        by_age = log_weights.copy() if are_logits else np.exp(log_weights)  # (L, C)
        self.interest_columns = columns = by_age.shape[1] - contexts
        if columns > 0:
            self.by_age = np.ascontiguousarray(by_age[:, :columns])
            if not are_logits:
                self.factors = self.buffer("factors", behaviours, self.count)
        if contexts > 0:
            self.contexts = Contexts(
                self.work, self.users, behaviours, self.width, by_age[:, columns:]
            )

    def active_by_length(self) -> Bools:
        """Return a mask (L + 1, K); row n: the active interests of a user with n behaviours."""
        return mind.active_after(np.arange(self.histories.mask.shape[1] + 1), self.config)

    def copy_logits(self) -> None:
        """Write the initial logits and the user index of each behaviour."""
        copy_initial_logits(
            self.histories.mask,
            self.histories.init_logits,
            self.logits,
            self.user_index,
            self.padded_rows,
        )
        if self.config.routing != "dynamic":
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
        starts, behaviours, active = self.layout.starts, self.behaviours, self.layers.active
        first, stop = users.start, users.stop
        if self.dropout_factors is not None:
            self.drop_block(slice(starts[first], starts[stop]))
        if self.interest_columns > 0:  # mind_plus-R4, youtube_dnn-R2
            # in YouTube DNN, the log weights replace the initial logits
            written = self.logits if self.additions.weights_are_logits else self.factors
            write_factors(first, stop, starts, self.by_age, active, written)
        route_users(first, stop, self.routing_batch(), self.routing_options, self.routing_values)
        if len(self.factors) > 0:  # not in MIND and YouTube DNN
            couplings = self.routing_values.couplings[-1]
            multiply_factors(starts[first], starts[stop], self.factors, couplings)
        if self.contexts is not None:
            # they are inputs of the layers, after the profile: mind_plus-R9
            contexts = self.user_inputs[:, self.profile_width :]
            self.contexts.route_block(users, starts, behaviours, self.config.squash, contexts)

    def drop_block(self, behaviours: slice) -> None:
        """Write the vectors of a block of behaviours, times the factors of dropout, and votes."""
        assert self.dropout_factors is not None
        _, vectors, votes = self.behaviours
        drop_entries(
            behaviours.start,
            behaviours.stop,
            self.layout.item_index,
            self.vectors,
            self.dropout_factors,
            self.padded_rows,
            vectors,
        )
        if self.additions.learned_votes:
            matmul_into(vectors[behaviours], self.bilinear.T, votes[behaviours])

    def routing_batch(self) -> RoutingBatch:
        """Return the inputs of routing for all users of the batch."""
        return RoutingBatch(
            starts=self.layout.starts,
            rows=self.behaviours.rows,
            votes=self.behaviours.votes,
            logits=self.logits,
            active=self.layers.active,
            factors=self.factors,
        )
