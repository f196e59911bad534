"""The compiled step: the loss of a batch and all gradients, without padding, in blocks of users.

Spec: specs/model.md, specs/mind_plus.md, specs/youtube_dnn.md. The results are those of `loss` and
`backward` of the family. A phase is a list of tasks that starts after the previous phase. The
mathematics of a task is a compiled function:

    1. prepare_batch   number the distinct items        layout.enumerate_items, merge_duplicates
                       vectors of items, and votes S e  embedding.look_up_items
    2. user_blocks     for each block of users:
                       routing                          kernels/routing.route_users
                       layers, attention, loss, and
                       backward to the capsules         user_block.forward_backward_block, or
                                                        pooled_block.pooled_forward_backward_block
                       backward through routing         item_gradients.ViaCapsules or ViaVotes
                       gradients of negatives           LabelLoss.backward_negatives
    3. item_blocks     for each block of items: sums of
                       gradients over all uses          item_gradients.sum_item_gradients

A training step (adam.py) replaces phase 3 by phases that also update the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from mindref.config import Config
from mindref.kernels import embedding
from mindref.kernels._jit import Number
from mindref.kernels.contiguous import readonly_contiguous
from mindref.kernels.fused.additions import FusedParams, ModelInputs
from mindref.kernels.fused.checks import check_loss_inputs
from mindref.kernels.fused.forward import BLOCK_ITEMS, FusedForward
from mindref.kernels.fused.item_gradients import (
    BehaviourOrder,
    ItemTerms,
    TargetTerms,
    item_gradients_of,
    no_capsule_terms,
    sum_item_gradients,
)
from mindref.kernels.fused.layers import UserBlockRows, count_user_blocks, rows_with_gradient
from mindref.kernels.fused.layout import merge_negatives, sort_uses_by_item
from mindref.kernels.fused.pooled_block import PooledLoss
from mindref.kernels.fused.user_block import (
    LabelLoss,
    LossInputs,
    LossVectors,
    allocate_vectors,
    normalise_rows,
    normalise_rows_backward,
)
from mindref.kernels.fused.workspace import KernelWorkspace, Task, block_slices
from mindref.models import mind, mind_plus, youtube_dnn
from mindref.models.parameters import Catalogue, Gradients, Params, flatten, unflatten
from mindref.ops.embedding import RowGradient, Saved
from mindref.process import background
from mindref.shapes import Array

FusedGradients = Gradients | mind_plus.Gradients | youtube_dnn.Gradients
GRADIENTS: dict[type[FusedParams], type[FusedGradients]] = {
    Params: Gradients,
    mind_plus.Params: mind_plus.Gradients,
    youtube_dnn.Params: youtube_dnn.Gradients,
}


class FusedStep:
    """Computes the loss of a batch and all gradients."""

    def __init__(
        self,
        work: KernelWorkspace,
        params: FusedParams,
        batch: mind.Batch,
        catalogue: Catalogue,
        config: Config,
        dropout_factors: Array | None = None,
    ) -> None:
        """Check the inputs, and store the options of the loss. See `FusedForward`."""
        check_loss_inputs(work, params.items, batch, config)
        self.forward = FusedForward(
            work,
            ModelInputs(params, batch.histories, catalogue, config, dropout_factors),
            other_items=(batch.target, batch.negatives),
            keep_iterations=True,
        )
        self.work, self.params, self.batch = work, params, batch
        self.users, self.width = len(batch.target), params.items.shape[1]
        self.config, self.dtype = self.forward.config, params.items.dtype
        self.no_terms = no_capsule_terms(self.dtype)

    def loss_and_gradients(self) -> tuple[Number, FusedGradients]:
        """Return the loss and all gradients, in new arrays."""
        self.work.run_phases([self.prepare_batch, self.user_blocks, self.item_blocks])
        items, profile = self.item_gradient(), self.profile_gradient()
        # sum the parts of each gradient, one per block, in ascending order, into new arrays
        dense = {name: np.add.reduce(x, axis=0) for name, x in self.gradient_parts().items()}
        tables = {"items": items, "profile": profile, **dense}
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
        vectors = buffer("negatives", count, self.width)
        self.negatives = allocate_vectors(
            self.work, "negatives", vectors, normalise=self.config.normalise
        )
        self.d_negatives = buffer("d_negatives", count_user_blocks(self.users), count, self.width)
        blocks = block_slices(count, BLOCK_ITEMS)
        self.work.submit(partial(self.look_up_negatives, negatives) for negatives in blocks)

    def look_up_negatives(self, negatives: slice) -> None:
        """Write the vectors of a block of negatives, from the embedding table.

        `forward.vectors` cannot be read here, because other tasks of this phase write to it.
        """
        block = LossVectors(*(x[negatives] for x in self.negatives))
        self.forward.look_up_ids(self.distinct.ids[negatives], block.vectors)
        if self.config.normalise:
            normalise_rows(block, 0, len(block.vectors))

    def prepare_users(self) -> None:
        """Prepare users as in `FusedForward`; allocate the arrays of the loss and of backward."""
        self.forward.prepare_users()
        forward, layers = self.forward, self.forward.layers
        self.layer_gradients = self.work.cached(
            "layer_gradients", forward.key, partial(layers.allocate_gradients, self.work)
        )
        loss = PooledLoss if forward.additions.pooled else LabelLoss
        self.loss: LabelLoss | PooledLoss = loss(forward, self.layer_gradients)
        self.losses = [0.0] * layers.num_blocks  # for each block, the sum over its users
        if background.current:
            self.request_compilation()

    def request_compilation(self) -> None:
        """Compile the function of the losses in the background, before its inputs are known.

        The inputs have the types of those that `user_blocks` sets, but only one row.
        """
        index, vectors = np.zeros(1, np.int64), np.zeros((1, self.width), self.dtype)
        inputs = LossInputs(
            item_vectors=vectors,
            target_index=index,
            negative_index=index,
            target_log_expected=readonly_contiguous(self.batch.target_log_expected),
            negative_log_expected=np.zeros(1, self.batch.negative_log_expected.dtype),
            negatives=vectors,
        )
        blocks = self.forward.layers.num_blocks
        self.loss.set_inputs(inputs, np.zeros((blocks, *vectors.shape), self.dtype))
        self.loss.request_compilation(self.forward.layers.user_block(slice(0, self.users)))

    # Phase 2: forward to the losses and backward through routing, for each block of users

    def user_blocks(self) -> Iterator[Task]:
        """Yield one task for each block of users, and one that sorts behaviours for phase 3."""
        self.item_gradients = item_gradients_of(self.forward, self.layer_gradients)
        inputs = LossInputs(
            item_vectors=self.forward.vectors,
            target_index=self.target_index,
            negative_index=self.distinct.item_index,
            target_log_expected=readonly_contiguous(self.batch.target_log_expected),
            negative_log_expected=self.distinct.log_expected,
            negatives=self.negatives.used,
        )
        self.loss.set_inputs(inputs, self.d_negatives)
        for users in block_slices(self.users, self.forward.layers.block_users):
            yield partial(self.forward_backward_users, users)
        yield self.sort_uses

    def forward_backward_users(self, users: slice) -> None:
        """Compute the losses of a block of users, then run backward through layers and routing."""
        self.forward.route_block(users)
        block = self.forward.layers.user_block(users)
        self.losses[block.number], num_rows = self.loss.forward_backward(block)
        rows = rows_with_gradient(self.layer_gradients, block, num_rows)
        self.item_gradients.backward_users(users, rows)
        self.work.submit([partial(self.backward_negatives, block)])

    def backward_negatives(self, block: UserBlockRows) -> None:
        """Write the part of the gradient of negatives that comes from a block of users."""
        self.loss.backward_negatives(block)
        if self.config.normalise:
            d_negatives = self.d_negatives[block.number]
            normalise_rows_backward(self.negatives, 0, len(d_negatives), d_negatives)

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
        factors = self.forward.dropout_factors
        sum_item_gradients(self.item_terms(items), factors, self.d_vectors[items])

    def item_terms(self, items: slice) -> ItemTerms:
        """Return all terms of the gradients of a block of items.

        Rows of history items in `d_vectors` receive the gradients through votes, or zero.
        """
        forward, layout = self.forward, self.forward.layout
        first, stop = items.start, min(items.stop, layout.num_history_items)
        num_history_items = max(0, stop - first)
        interests = contexts = self.no_terms
        if num_history_items > 0:
            history_items = slice(first, stop)
            interests, contexts = self.item_gradients.backward_items(
                history_items, self.d_vectors[history_items]
            )
        behaviours = BehaviourOrder(
            order=layout.order,
            bounds=layout.bounds[first : first + num_history_items + 1],
            user_index=forward.user_index,
            padded_rows=forward.padded_rows,
        )
        targets = TargetTerms(
            d_target=self.loss.d_target[None],
            target_index=self.target_index,
            d_negatives=self.d_negatives,
            negative_index=self.distinct.item_index,
        )
        return ItemTerms(behaviours, interests, contexts, targets, num_history_items, first)

    # Results

    def mean_loss(self) -> Number:
        """Return the mean loss of the batch. Phase 2 must be done."""
        return self.dtype.type(sum(self.losses) / self.users)  # sampled_softmax-R5

    def gradient_parts(self) -> dict[str, Array]:
        """Return the gradients of matrices and biases by name, as parts to sum: one per block."""
        parts = {}
        if self.forward.additions.learned_votes:
            parts["bilinear"] = self.item_gradients.d_bilinears
        if self.item_gradients.d_positions.size:
            positions = flatten(self.params)["positions"]
            shape = (self.forward.layers.num_blocks, *positions.shape)
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
            d_profile = self.layer_gradients.d_user_inputs[:, : self.forward.profile_width]
            d_rows[:] = d_profile.reshape(d_rows.shape)
        return embedding.backward(d_rows, Saved(rows, ones, width))

    def item_gradient(self) -> RowGradient:
        """Return the gradient of the item table, rows ascending. Phase 3 must be done."""
        saved = Saved(self.forward.item_rows, self.forward.item_weights, self.width)
        return embedding.backward(self.d_vectors, saved)
