"""Compute interests from histories, without padding, in blocks of users.

Spec: specs/model.md. The result is that of `mindref.models.mind.interests`. Block boundaries depend
only on array sizes. No two tasks write to the same memory. There are two phases (thread_pool.py):

    1. prepare_batch   number the distinct items, then compute their vectors and votes
    2. user_blocks     compute routing and layers of each block of users
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import partial

import numpy as np

from mindref.config import Config
from mindref.kernels.fused.checks import check_model_inputs
from mindref.kernels.fused.layers import Layers
from mindref.kernels.fused.layout import copy_initial_logits, lay_out_batch
from mindref.kernels.fused.lookup import look_up_items, look_up_items_and_votes
from mindref.kernels.fused.thread_pool import Task
from mindref.kernels.fused.workspace import KernelWorkspace, block_slices
from mindref.kernels.matmul import readonly_contiguous
from mindref.kernels.routing import RoutingValues
from mindref.kernels.routing_forward import route_users
from mindref.models import mind
from mindref.models.parameters import Catalogue, Params
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
        params: Params,
        histories: mind.Histories,
        catalogue: Catalogue,
        config: Config,
        other_items: tuple[Ints, ...] = (),
        *,
        keep_iterations: bool = False,
    ) -> None:
        """Check the inputs.

        other_items: ids of further items that need vectors, such as targets. keep_iterations:
        if the gradient of routing needs the values of all iterations, keep these values.
        """
        self.work, self.params, self.catalogue, self.config = work, params, catalogue, config
        self.histories, self.other_items, self.dtype = histories, other_items, params.items.dtype
        self.key = check_model_inputs(work, params, histories, catalogue, config)
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
        self.votes = self.buffer("votes", self.layout.num_history_items, self.width)

    def lookup_tasks(self) -> Iterator[Task]:
        """Yield one lookup for each block of items; a lookup needs only the layout."""
        for items in block_slices(len(self.layout.items), BLOCK_ITEMS):
            yield partial(self.look_up_block, items)

    def look_up_block(self, items: slice) -> None:
        """Write the vectors of a block of distinct items, and the votes of history items."""
        # only history items have votes, so the slice of votes may be shorter or empty
        rows, votes = self.item_rows[items], self.votes[items]
        valid, identity = look_up_items_and_votes(
            *self.catalogue,
            self.layout.items[items],
            self.params.items,
            rows,
            self.item_weights[items],
            self.vectors[items],
            self.bilinear,
            votes,
        )
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
        width = looked_up.shape[1] * looked_up.shape[2]
        profile = readonly_contiguous(looked_up.reshape(self.users, width))
        shape = (self.users, self.count)
        create = partial(Layers, work, self.params, shape, width, self.config)
        self.layers = copy(work.cached("layers", self.key, create))
        active_by_length = work.cached("active_by_length", self.key, self.active_by_length)
        behaviours = self.layers.start_batch(
            self.params.layers, histories.mask, active_by_length, profile
        )
        self.interests = self.buffer("interests", self.users, self.count, self.width)
        self.routing_values = self.allocate_routing_values(behaviours)
        logits_dtype = histories.init_logits.dtype
        self.logits = work.array("logits", behaviours, self.count, dtype=logits_dtype)
        self.user_index = work.array("user_index", behaviours, dtype=np.int64)
        work.submit([self.copy_logits])

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
        copy_initial_logits(histories.mask, histories.init_logits, self.logits, self.user_index)
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
        """Run all iterations of routing for a block of users."""
        config, layout = self.config, self.layout
        iterations = config.iterations if self.dynamic else 1
        options = (iterations, AXES[config.routing_axis] == 1, KINDS.index(config.squash))
        inputs = (layout.starts, layout.item_index, self.votes, self.logits, self.layers.active)
        route_users(users.start, users.stop, *inputs, *options, self.routing_values)
