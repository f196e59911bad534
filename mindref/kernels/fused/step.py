"""Compute the loss of a batch and all gradients, without padding, in blocks of users.

Spec: specs/model.md, specs/mind_plus.md, specs/youtube_dnn.md. The results are those of `loss` and
`backward` of the family. A phase is a list of tasks that starts after the previous phase:

    1. prepare_batch   number the items, look up their vectors, compute votes, allocate buffers
    2. user_blocks     for each block of users: routing, layers, attention, loss, and backward
                       through routing; then the gradients of negatives
    3. item_blocks     for each block of items: sum the gradients over all uses of each item

A training step replaces phase 3 by the phases of adam.py, which also update the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.kernels import embedding
from mindref.kernels.contiguous import readonly_contiguous
from mindref.kernels.fused.checks import check_loss_inputs
from mindref.kernels.fused.forward import BLOCK_ITEMS, FusedForward
from mindref.kernels.fused.item_gradients import item_gradients_of
from mindref.kernels.fused.item_reduction import BehaviourOrder, TargetTerms, sum_item_gradients
from mindref.kernels.fused.layer_kernels import UserBlockRows
from mindref.kernels.fused.layers import count_user_blocks, rows_with_gradient
from mindref.kernels.fused.layout import merge_negatives, sort_uses_by_item
from mindref.kernels.fused.pooled_block import (
    allocate_pooled_outputs,
    allocate_products,
    pooled_forward_backward_block,
    pooled_numbers,
)
from mindref.kernels.fused.thread_pool import Task
from mindref.kernels.fused.user_block import (
    LossInputs,
    LossNumbers,
    allocate_outputs,
    allocate_vectors,
    forward_backward_block,
    normalise_rows,
    normalise_rows_backward,
)
from mindref.kernels.fused.workspace import KernelWorkspace, block_slices
from mindref.kernels.matmul import matmul_transposed_into
from mindref.models import mind, mind_plus, youtube_dnn
from mindref.models.parameters import Catalogue, Gradients, Params, flatten, unflatten
from mindref.ops.embedding import RowGradient, Saved
from mindref.ops.squash import KINDS
from mindref.shapes import Array

GRADIENTS: dict[type[Any], type[Any]] = {
    Params: Gradients,
    mind_plus.Params: mind_plus.Gradients,
    youtube_dnn.Params: youtube_dnn.Gradients,
}


class FusedStep:
    """Computes the loss of a batch and all gradients."""

    def __init__(
        self,
        work: KernelWorkspace,
        params: Any,
        batch: mind.Batch,
        catalogue: Catalogue,
        config: Config,
        dropout_factors: Array | None = None,
    ) -> None:
        """Check the inputs, and store the options of the loss. See `FusedForward`."""
        check_loss_inputs(work, params, batch, config)
        items = (batch.target, batch.negatives)
        arguments = (work, params, batch.histories, catalogue, config, items)
        options: Any = {"keep_iterations": True, "dropout_factors": dropout_factors}
        self.forward = FusedForward(*arguments, **options)
        config = self.forward.config
        self.work, self.params, self.batch, self.config = work, params, batch, config
        self.users, self.width = len(batch.target), params.items.shape[1]
        self.dtype = params.items.dtype
        scale = 1 / self.users / config.temperature
        self.numbers = LossNumbers(
            power=float(config.effective_power),  # model-R14
            temperature=self.dtype.type(config.temperature),
            scale=self.dtype.type(scale),
        )
        self.unit_kind = KINDS.index("unit") if config.normalise else None
        self.pooled = self.forward.additions.pooled
        self.pooled_numbers = pooled_numbers(config, self.dtype, self.users)

    def loss_and_gradients(self) -> tuple[Any, Any]:
        """Return the loss and all gradients, in new arrays."""
        self.work.run_phases([self.prepare_batch, self.user_blocks, self.item_blocks])
        items, profile = self.item_gradient(), self.profile_gradient()
        # sum the parts of each gradient, one per block, in ascending order, into new arrays
        dense = {name: np.add.reduce(x, axis=0) for name, x in self.gradient_parts().items()}
        tables: dict[str, Any] = {"items": items, "profile": profile, **dense}
        for name, x in flatten(self.params).items():
            if name not in tables:  # without users or without elements
                tables[name] = np.zeros_like(x)
        return self.mean_loss(), unflatten(tables, GRADIENTS[type(self.params)])

    # Phase 1: layout, vectors of items, buffers

    def prepare_batch(self) -> Iterator[Task]:
        """Yield the two tasks of phase 1. Each of them submits more tasks."""
        yield self.lay_out_and_look_up
        yield self.prepare_users

    def lay_out_and_look_up(self) -> None:
        """Lay out the batch and submit lookups. The lookup of negatives submits further tasks."""
        self.forward.lay_out()
        layout = self.forward.layout
        behaviours = len(layout.order)
        self.target_index = layout.item_index[behaviours : behaviours + self.users]
        self.d_vectors = self.forward.buffer("d_vectors", *self.forward.vectors.shape)
        self.work.submit([self.merge_and_look_up_negatives, *self.forward.lookup_tasks()])

    def merge_and_look_up_negatives(self) -> None:
        """Merge equal negatives, allocate arrays, and submit lookups of the distinct negatives."""
        self.distinct = merge_negatives(self.work, self.batch, self.forward.layout)
        count, buffer = len(self.distinct.ids), self.forward.buffer
        self.negatives = allocate_vectors(
            self.work, "negatives", (count, self.width), self.dtype, normalise=self.config.normalise
        )
        if not self.pooled:
            self.products = buffer("products", self.users, count)
        self.d_negatives = buffer("d_negatives", count_user_blocks(self.users), count, self.width)
        blocks = block_slices(count, BLOCK_ITEMS)
        self.work.submit(partial(self.look_up_negatives, negatives) for negatives in blocks)

    def look_up_negatives(self, negatives: slice) -> None:
        """Write the vectors of a block of negatives, from the embedding table.

        `forward.vectors` cannot be read here, because other tasks of this phase write to it.
        """
        self.forward.look_up_ids(self.distinct.ids[negatives], self.negatives.vectors[negatives])
        if self.unit_kind is not None:
            normalise_rows(self.negatives, negatives.start, negatives.stop, self.unit_kind)

    def prepare_users(self) -> None:
        """Prepare users as in `FusedForward`; allocate outputs and layer gradients."""
        self.forward.prepare_users()
        forward, layers = self.forward, self.forward.layers
        create = partial(layers.allocate_gradients, self.work, self.params.layers)
        self.layer_gradients = self.work.cached("layer_gradients", forward.key, create)
        arguments: tuple[Any, ...] = (self.work, forward.interests)
        allocate: Any = allocate_outputs
        if self.pooled:
            top = layers.buffers.x[layers.buffers.depth]
            arguments = (self.work, top, self.users, layers.num_blocks)
            allocate = allocate_pooled_outputs
        create = partial(allocate, *arguments, normalise=self.config.normalise)
        self.outputs = self.work.cached("outputs", forward.key, create)
        self.d_user_inputs = self.layer_gradients.d_user_inputs
        self.losses = [0.0] * layers.num_blocks  # for each block, the sum over its users

    # Phase 2: forward to the losses and backward through routing, for each block of users

    def user_blocks(self) -> Iterator[Task]:
        """Yield one task for each block of users, and one that sorts behaviours for phase 3."""
        self.item_gradients = item_gradients_of(self.forward, self.layer_gradients)
        self.inputs = LossInputs(
            self.forward.vectors,
            self.target_index,
            self.distinct.item_index,
            readonly_contiguous(self.batch.target_log_expected),
            self.distinct.log_expected,
            self.negatives.used,
        )
        if self.pooled:
            buffers = (self.outputs, self.pooled_numbers, self.d_negatives)
            self.outputs = allocate_products(self.work, *buffers)
        for users in block_slices(self.users, self.forward.layers.block_users):
            yield partial(self.forward_backward_users, users)
        yield self.sort_uses

    def forward_backward_users(self, users: slice) -> None:
        """Compute the losses of a block of users, then run backward through layers and routing."""
        forward, layers = self.forward, self.forward.layers
        forward.route_block(users)
        block = layers.user_block(users)
        capsules = forward.routing_values.capsules[-1]
        count = (
            self.pooled_losses(block, capsules) if self.pooled else self.losses_of(block, capsules)
        )
        rows = rows_with_gradient(self.layer_gradients, block, count)
        self.item_gradients.backward_users(users, rows)
        if not self.pooled:
            self.work.submit([partial(self.backward_negatives, users)])

    def losses_of(self, block: UserBlockRows, capsules: Array) -> int:
        """Compute the losses of a block with label attention; return the rows with a gradient."""
        layers, options = self.forward.layers, (self.numbers, self.unit_kind)
        buffers = (layers.buffers, self.layer_gradients, capsules, layers.active)
        arrays = (self.inputs, self.outputs, self.products)
        self.losses[block.number], count = forward_backward_block(
            block, *buffers, *arrays, *options
        )
        return count

    def pooled_losses(self, block: UserBlockRows, capsules: Array) -> int:
        """Compute the pooled losses of a block; return the number of active interests."""
        arrays = (self.forward.layers.buffers, self.layer_gradients, capsules)
        outputs = (self.inputs, self.outputs, self.d_negatives[block.number])
        numbers = (self.pooled_numbers, self.unit_kind)
        self.losses[block.number] = pooled_forward_backward_block(
            block, *arrays, *outputs, *numbers
        )
        if self.unit_kind is not None:
            d = self.d_negatives[block.number]
            normalise_rows_backward(self.negatives, 0, len(d), self.unit_kind, d)
        return block.stop_row - block.first_row

    def backward_negatives(self, users: slice) -> None:
        """Write the part of the gradient of negatives that comes from a block of users."""
        d = self.d_negatives[self.forward.layers.block_number(users)]
        used = self.outputs.user.used[users]
        matmul_transposed_into(self.products[users], used, d)  # sampled_softmax-R11
        if self.unit_kind is not None:
            normalise_rows_backward(self.negatives, 0, len(d), self.unit_kind, d)

    def sort_uses(self) -> None:
        """Sort the behaviours by item; behaviours of the same item stay in ascending order."""
        layout = self.forward.layout
        sort_uses_by_item(layout.item_index[: len(layout.order)], layout.order, layout.bounds)

    # Phase 3: sums of gradients over all uses of an item

    def item_blocks(self) -> Iterator[Task]:
        """Yield one task for each block of items."""
        for items in block_slices(len(self.d_vectors), BLOCK_ITEMS):
            yield partial(self.sum_block_gradients, items)

    def sum_block_gradients(self, items: slice) -> None:
        """Write the gradients of a block of items, summed over all uses of each item."""
        sum_item_gradients(*self.gradient_terms(items))

    def gradient_terms(self, items: slice) -> tuple[Any, ...]:
        """Return the arguments of `sum_item_gradients` for a block of items.

        With `ViaCapsules` (item_gradients.py), CapsuleTerms are returned even if the block has no
        history items. Numba then compiles `sum_item_gradients` for only one type of terms.
        """
        forward, d_vectors = self.forward, self.d_vectors[items]
        layout = forward.layout
        remaining = layout.num_history_items - items.start
        num_history_items = min(len(d_vectors), max(0, remaining))
        terms: tuple[Any, Any] = (None, None)
        if num_history_items > 0 or not forward.exact:
            history_items = slice(items.start, items.start + num_history_items)
            d_history_items = d_vectors[:num_history_items]
            terms = self.item_gradients.backward_items(history_items, d_history_items)
        bounds = layout.bounds[items.start : items.start + num_history_items + 1]
        padded = (forward.user_index, forward.dropout_factors, forward.padded_rows)
        behaviours = BehaviourOrder(layout.order, bounds, *padded)
        target_terms = TargetTerms(
            self.outputs.d_target[None],
            self.target_index,
            self.d_negatives,
            self.distinct.item_index,
        )
        return behaviours, *terms, target_terms, num_history_items, items.start, d_vectors

    # Results

    def mean_loss(self) -> Any:
        """Return the mean loss of the batch. Phase 2 must be done."""
        return self.dtype.type(sum(self.losses) / self.users)  # sampled_softmax-R5

    def gradient_parts(self) -> dict[str, Array]:
        """Return the gradients of matrices and biases by name, as parts to sum: one per block."""
        parts = {}
        if self.forward.additions.learned_votes:
            parts["bilinear"] = self.item_gradients.d_bilinears
        if self.item_gradients.d_positions.size:
            shape = (self.forward.layers.num_blocks, *self.params.positions.shape)
            parts["positions"] = self.item_gradients.d_positions.reshape(shape)
        for i in range(len(self.params.layers)):
            parts[f"layers.{i}.weight"] = self.layer_gradients.d_weights[i]
            parts[f"layers.{i}.bias"] = self.layer_gradients.d_biases[i]
        return parts

    def profile_gradient(self) -> RowGradient:
        """Return the gradient of the table of user features. Phase 2 must be done."""
        rows = self.batch.histories.profile.reshape(-1, 1)
        width = self.params.profile.shape[1]
        if not rows.size:
            return RowGradient(rows[:, 0], np.zeros((0, width), self.dtype))
        ones = np.ones(rows.shape, self.dtype)
        d_rows = np.zeros((len(rows), width), self.dtype)
        if self.forward.profile_width > 0:  # otherwise no head reads the profile
            d_rows[:] = self.d_user_inputs[:, : self.forward.profile_width].reshape(d_rows.shape)
        return embedding.backward(d_rows, Saved(rows, ones, width))

    def item_gradient(self) -> RowGradient:
        """Return the gradient of the item table, rows ascending. Phase 3 must be done."""
        saved = Saved(self.forward.item_rows, self.forward.item_weights, self.width)
        return embedding.backward(self.d_vectors, saved)
