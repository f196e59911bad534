"""Compiled pass from capsules to pooled losses, and backward to capsules, for a block of users.

Spec: specs/pooled_softmax.md with sharpness 1, and specs/mind_plus.md. With sharpness 1, the
exponential of a score is the mean of the exponentials of its products. The softmax over the scores
of items is then one softmax over all pairs of item and active interest, without logarithms.

A block of users has several sub-blocks, whose products with all negatives stay in the cache.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import Number, jit, jit_inline
from mindref.kernels.fused.forward import FusedForward
from mindref.kernels.fused.layers import (
    LayerBuffers,
    LayerGradients,
    UserBlockRows,
    layer_rows_backward,
    layer_rows_forward,
    select_rows,
)
from mindref.kernels.fused.user_block import (
    LossInputs,
    LossVectors,
    allocate_vectors,
    normalise_rows,
    normalise_rows_backward,
)
from mindref.kernels.matmul import matmul_into
from mindref.kernels.routing import gather_rows
from mindref.kernels.sampled_softmax import (
    count_hits,
    logits_from_products,
    loss_of_logits,
    mask_accidental_hits,
)
from mindref.process import background
from mindref.shapes import Array, Ints

SUB_BLOCK_ROWS = 128
"""Number of interests of a sub-block, if K divides it."""


class PooledOutputs(NamedTuple):
    """Buffers of the pooled loss. A row is an active interest: there are at most B K rows."""

    interests: LossVectors  # (B K, D); `vectors` is the output of the last layer
    scaled: Array  # (B K, D) `interests.used` divided by the temperature
    target: LossVectors  # (B, D)
    d_target_products: Array  # (B K,) gradients of the products of rows and their targets
    d_target: Array  # (B, D)


class NegativeBuffers(NamedTuple):
    """Buffers of a block of users for the products with S negatives."""

    products: Array  # (R, S) of the rows of a sub-block and the negatives, then their gradients
    d_sub_block: Array  # (S, D) gradients of the negatives from a sub-block
    d_negatives: Array  # (S, D) the sum over all sub-blocks of the block


class PooledNumbers(NamedTuple):
    """The options of the pooled loss."""

    temperature: Number
    scale: Number  # 1 / B
    sub_users: int  # number of users of a sub-block
    normalise: bool  # vectors of length one


class PooledLoss:
    """Losses of the pooled softmax. The methods are those of `LabelLoss`."""

    def __init__(self, forward: FusedForward, layer_gradients: LayerGradients) -> None:
        """Allocate the outputs; this does not require the layout of the batch."""
        self.forward, self.layer_gradients = forward, layer_gradients
        config, number = forward.config, forward.dtype.type
        self.numbers = PooledNumbers(
            temperature=number(config.temperature),
            scale=number(1 / forward.users),
            sub_users=max(1, SUB_BLOCK_ROWS // config.interests),
            normalise=config.normalise,
        )
        self.outputs = forward.work.cached("outputs", forward.key, self.allocate_outputs)
        self.d_target = self.outputs.d_target

    def allocate_outputs(self) -> PooledOutputs:
        """Return the buffers that do not depend on the number of negatives."""
        work, buffer, layers = self.forward.work, self.forward.buffer, self.forward.layers.buffers
        top, normalise = layers.x[layers.depth], self.numbers.normalise
        (rows, width), users = top.shape, self.forward.users
        return PooledOutputs(
            interests=allocate_vectors(work, "row", top, normalise=normalise),
            scaled=buffer("scaled_rows", rows, width),
            target=allocate_vectors(
                work, "target", buffer("target", users, width), normalise=normalise
            ),
            d_target_products=buffer("d_target_products", rows),
            d_target=buffer("d_target", users, width),
        )

    def set_inputs(self, inputs: LossInputs, d_negatives: Array) -> None:
        """Store the inputs; d_negatives (P, S, D): gradients of the negatives, of P blocks."""
        self.inputs, self.d_negatives = inputs, d_negatives
        blocks, negatives, _ = d_negatives.shape
        rows = self.numbers.sub_users * self.forward.count
        self.products = self.forward.buffer("products", blocks, rows, negatives)
        self.d_sub_blocks = self.forward.buffer("d_negatives_part", *d_negatives.shape)

    def forward_backward(self, block: UserBlockRows) -> tuple[float, int]:
        """Run `pooled_forward_backward_block`; every active interest has a gradient."""
        loss = pooled_forward_backward_block(*self.arguments(block))
        return loss, block.stop_row - block.first_row

    def request_compilation(self, block: UserBlockRows) -> None:
        """Compile `pooled_forward_backward_block` in the background."""
        background.request(pooled_forward_backward_block, partial(self.arguments, block))

    def arguments(self, block: UserBlockRows) -> tuple[Any, ...]:
        """Return the arguments of `pooled_forward_backward_block`."""
        buffers = self.products, self.d_sub_blocks, self.d_negatives
        return (
            block,
            self.forward.layers.buffers,
            self.layer_gradients,
            self.forward.routing_values.capsules[-1],
            self.inputs,
            self.outputs,
            NegativeBuffers(*(x[block.number] for x in buffers)),
            self.numbers,
        )

    def backward_negatives(self, block: UserBlockRows) -> None:
        """Do nothing: `forward_backward` wrote the gradients of the negatives."""


@jit
def pooled_forward_backward_block(
    block: UserBlockRows,
    layers: LayerBuffers,
    layer_gradients: LayerGradients,
    capsules: Array,
    inputs: LossInputs,
    outputs: PooledOutputs,
    negatives: NegativeBuffers,
    numbers: PooledNumbers,
) -> float:
    """Return the sum of losses of a block of users. Writes the gradients of all inputs.

    1. Compute interests and targets. 2. Compute losses and the gradients of all products, in
    sub-blocks. 3. Run the backward pass of step 1.
    """
    users, rows = slice(block.first, block.stop), slice(block.first_row, block.stop_row)
    target_vectors, target_used = outputs.target.vectors[users], outputs.target.used[users]
    d_rows, d_target = layer_gradients.d_x[layers.depth], outputs.d_target[users]

    # 1. Interests and targets
    layer_rows_forward(block, layers, capsules)
    gather_rows(inputs.item_vectors, inputs.target_index[users], target_vectors)
    if numbers.normalise:
        normalise_rows(outputs.interests, block.first_row, block.stop_row)
        normalise_rows(outputs.target, block.first, block.stop)
    used = outputs.interests.used[rows]
    divide_rows(used, numbers.temperature, outputs.scaled[rows])  # pooled_softmax-R10

    # 2. Losses and gradients; `select_rows` writes the rows of each user to `user_rows`
    num_rows = select_rows(block, layers.active_slots, layers.active, layer_gradients)
    loss = 0.0
    negatives.d_negatives[:] = 0
    for first in range(block.first, block.stop, numbers.sub_users):
        stop = min(first + numbers.sub_users, block.stop)
        user_rows = layer_gradients.user_rows[first:stop]
        first_row, stop_row = user_rows[0, 0], user_rows[-1, 1]
        scaled = outputs.scaled[first_row:stop_row]
        products = negatives.products[: stop_row - first_row]
        matmul_into(scaled, inputs.negatives.T, products)
        loss += replace_products(first, user_rows, inputs, outputs, numbers.scale, products)
        d_products = products
        matmul_into(d_products, inputs.negatives, d_rows[first_row:stop_row])
        matmul_into(d_products.T, scaled, negatives.d_sub_block)  # pooled_softmax-R14
        for s in range(negatives.d_negatives.shape[0]):
            for d in range(negatives.d_negatives.shape[1]):
                negatives.d_negatives[s, d] += negatives.d_sub_block[s, d]
    add_pooled_target_terms(
        layer_gradients.user_rows[users],
        outputs.d_target_products,
        outputs.scaled,
        target_used,
        d_rows,
        d_target,
    )

    # 3. Backward of step 1, in reverse order
    divide_rows(d_rows[rows], numbers.temperature, d_rows[rows])
    if numbers.normalise:
        normalise_rows_backward(outputs.target, block.first, block.stop, d_target)
        normalise_rows_backward(outputs.interests, block.first_row, block.stop_row, d_rows[rows])
    layer_rows_backward(block, layers, layer_gradients, num_rows)
    return loss


@jit
def replace_products(
    first: int,
    user_rows: Ints,
    inputs: LossInputs,
    outputs: PooledOutputs,
    scale: Number,
    products: Array,
) -> float:
    """Replace the products of a sub-block by their gradients; return the sum of its losses.

    first: number of its first user. user_rows (U, 2): start and stop of the rows of each user.
    products (R, S): of the rows and the negatives, then their gradients times `scale`. The
    gradients of the products of rows and targets are written to `outputs.d_target_products`.
    """
    one, loss_sum = products.dtype.type(1), 0.0
    for u in range(user_rows.shape[0]):
        user, first_row, stop_row = first + u, user_rows[u, 0], user_rows[u, 1]
        rows, target = outputs.scaled[first_row:stop_row], outputs.target.used[user]
        d_target = outputs.d_target_products[first_row:stop_row]  # first: weights of the rows
        inverse_count = one / products.dtype.type(stop_row - first_row)
        target_logit, finite = target_score(rows, target, inverse_count, d_target)
        target_logit -= inputs.target_log_expected[user]
        logits = products[first_row - user_rows[0, 0] : stop_row - user_rows[0, 0]]  # (K', S)
        target_id = inputs.target_index[user]  # indices instead of ids: each distinct item has one
        hits = count_hits(target_id, inputs.negative_index)
        for a in range(stop_row - first_row):  # pooled_softmax-R6, R7
            row_finite = logits_from_products(inputs.negative_log_expected, one, logits[a])
            finite = finite and row_finite
            if hits > 0:
                mask_accidental_hits(target_id, inputs.negative_index, logits[a])
        # pooled_softmax-R6, R12, R13, R16, R25: exp(logit) / K' divided by the sum over all items
        loss, negative_sum = loss_of_logits(
            target_logit, finite, logits.reshape(-1), inverse_count, scale
        )
        for a in range(stop_row - first_row):
            d_target[a] *= -negative_sum  # pooled_softmax-R15
        loss_sum += loss
    return loss_sum


@jit_inline
def target_score(
    rows: Array, target: Array, inverse_count: Number, weights: Array
) -> tuple[Number, bool]:
    """Return the score of a target, and whether all products of rows (K', D) with it are finite.

    Writes the weight of each row (K',) in the score: pooled_softmax-R16.
    """
    zero, finite = rows.dtype.type(0), True
    top, total = rows.dtype.type(-np.inf), rows.dtype.type(0)
    for a in range(rows.shape[0]):
        product = zero
        for d in range(rows.shape[1]):
            product += rows[a, d] * target[d]
        weights[a] = product
        finite = finite and bool(abs(product) < np.inf)
        top = product if product > top else top
    for a in range(rows.shape[0]):
        weights[a] = np.exp(weights[a] - top)
        total += weights[a]
    for a in range(rows.shape[0]):
        weights[a] /= total
    return top + np.log(total * inverse_count), finite  # pooled_softmax-R1


@jit_inline
def divide_rows(rows: Array, divisor: Number, out: Array) -> None:
    """Write rows (M, D) divided by a number to out."""
    for m in range(rows.shape[0]):
        for d in range(rows.shape[1]):
            out[m, d] = rows[m, d] / divisor


@jit
def add_pooled_target_terms(
    user_rows: Ints, d_products: Array, rows: Array, target: Array, d_rows: Array, d_target: Array
) -> None:
    """Add the gradients through the products of rows and targets to d_rows; write d_target."""
    for b in range(target.shape[0]):
        d_target[b] = 0
        for a in range(user_rows[b, 0], user_rows[b, 1]):
            for d in range(target.shape[1]):
                d_rows[a, d] += d_products[a] * target[b, d]
                d_target[b, d] += d_products[a] * rows[a, d]
