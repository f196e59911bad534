"""Compiled pass from capsules to pooled losses, and backward to capsules, for a block of users.

Spec: specs/pooled_softmax.md with sharpness 1, and specs/mind_plus.md. With sharpness 1, the
exponential of a score is the mean of the exponentials of its products. The softmax over the scores
of items is then one softmax over all pairs of item and active interest, without logarithms.

A block of users has several sub-blocks, whose products with all negatives stay in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels._jit import Number, jit, jit_inline
from mindref.kernels.fused.layers import (
    LayerBuffers,
    LayerGradients,
    UserBlockRows,
    layer_rows_backward,
    layer_rows_forward,
    select_active_rows,
)
from mindref.kernels.fused.user_block import (
    LossInputs,
    LossVectors,
    allocate_vectors,
    normalise_rows,
    normalise_rows_backward,
)
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.matmul import matmul_into
from mindref.kernels.pooled_softmax import add_pooled_target_terms
from mindref.kernels.routing import gather_rows
from mindref.kernels.sampled_softmax import (
    count_hits,
    exp_shifted,
    largest_logit,
    logits_from_products,
    mask_accidental_hits,
    scale_inplace_flush,
)
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
    products: Array  # (P, R, S) of the rows of a sub-block and all negatives, for P blocks
    d_negatives: Array  # (P, S, D) of a sub-block


class PooledNumbers(NamedTuple):
    """The options of the pooled loss."""

    temperature: Number
    scale: Number  # 1 / B
    num_interests: int  # K
    sub_users: int  # number of users of a sub-block
    normalise: bool  # vectors of length one


@jit
def pooled_forward_backward_block(
    block: UserBlockRows,
    layers: LayerBuffers,
    layer_gradients: LayerGradients,
    capsules: Array,
    inputs: LossInputs,
    outputs: PooledOutputs,
    d_negatives: Array,
    numbers: PooledNumbers,
) -> float:
    """Return the sum of losses of a block of users.

    Writes the gradients of layers and targets, and those of the negatives to d_negatives (S, D).
    """
    users, rows = slice(block.first, block.stop), slice(block.first_row, block.stop_row)
    interests, target = outputs.interests, outputs.target
    d_rows = layer_gradients.d_x[layers.depth]
    layer_rows_forward(block, layers, capsules)
    if numbers.normalise:
        normalise_rows(interests, block.first_row, block.stop_row)
    divide_rows(interests.used[rows], numbers.temperature, outputs.scaled[rows])
    gather_rows(inputs.item_vectors, inputs.target_index[users], target.vectors[users])
    if numbers.normalise:
        normalise_rows(target, block.first, block.stop)
    select_active_rows(block, layers.active_slots, numbers.num_interests, layer_gradients)
    loss, d_part = 0.0, outputs.d_negatives[block.number]
    d_negatives[:] = 0
    for first in range(block.first, block.stop, numbers.sub_users):
        stop = min(first + numbers.sub_users, block.stop)
        user_rows = layer_gradients.user_rows[first:stop]
        row, stop_row = user_rows[0, 0], user_rows[stop - first - 1, 1]
        scaled = outputs.scaled[row:stop_row]
        products = outputs.products[block.number][: stop_row - row]
        matmul_into(scaled, inputs.negatives.T, products)
        loss += sub_block_cross_entropy(
            user_rows,
            outputs.scaled,
            target.used[first:stop],
            inputs.target_index[first:stop],
            inputs.negative_index,
            inputs.target_log_expected[first:stop],
            inputs.negative_log_expected,
            numbers.scale,
            products,
            outputs.d_target_products,
        )
        matmul_into(products, inputs.negatives, d_rows[row:stop_row])
        matmul_into(products.T, scaled, d_part)  # pooled_softmax-R14
        for s in range(d_part.shape[0]):
            for d in range(d_part.shape[1]):
                d_negatives[s, d] += d_part[s, d]
    add_pooled_target_terms(
        layer_gradients.user_rows[users],
        outputs.d_target_products,
        outputs.scaled,
        target.used[users],
        d_rows,
        outputs.d_target[users],
    )
    divide_rows(d_rows[rows], numbers.temperature, d_rows[rows])
    if numbers.normalise:
        normalise_rows_backward(interests, block.first_row, block.stop_row, d_rows[rows])
        normalise_rows_backward(target, block.first, block.stop, outputs.d_target[users])
    layer_rows_backward(block, layers, layer_gradients, block.stop_row - block.first_row)
    return loss


@jit
def sub_block_cross_entropy(
    user_rows: Ints,
    rows: Array,
    target: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    scale: Number,
    products: Array,
    d_target_products: Array,
) -> float:
    """Return the sum of the losses; replace products (R, S) by their gradients.

    rows (A, D): user b has the rows from user_rows[b, 0] to user_rows[b, 1], divided by the
    temperature; row user_rows[0, 0] has the first products. Writes the gradients of the products
    of rows and targets to d_target_products (A,). The gradients are multiplied by `scale`.
    """
    zero, one, loss_sum = rows.dtype.type(0), rows.dtype.type(1), 0.0
    for b in range(target.shape[0]):
        first, stop = user_rows[b, 0], user_rows[b, 1]
        d_target = d_target_products[first:stop]
        inverse_count = one / rows.dtype.type(stop - first)
        target_logit, finite = target_score(rows[first:stop], target[b], inverse_count, d_target)
        target_logit -= target_log_expected[b]
        user_products = products[first - user_rows[0, 0] : stop - user_rows[0, 0]]
        hits = count_hits(target_ids[b], negative_ids)
        for a in range(stop - first):  # pooled_softmax-R6, R7
            row_finite = logits_from_products(negative_log_expected, one, user_products[a])
            finite = finite and row_finite
            if hits > 0:
                mask_accidental_hits(target_ids[b], negative_ids, user_products[a])
        logits = user_products.reshape(-1)
        top = largest_logit(logits)
        if not finite or not abs(target_logit) < np.inf:
            target_logit = rows.dtype.type(np.nan)  # pooled_softmax-R25
        if not abs(top) < np.inf:
            top = target_logit  # pooled_softmax-R13: no negative left
        gap = top - target_logit
        x = gap + np.log(exp_shifted(top, logits) * inverse_count)
        # log(1 + exp x), pooled_softmax-R6, R12
        loss = max(x, zero) + np.log1p(np.exp(-abs(x))) if x == x else x
        # pooled_softmax-R16: exp(product) / K' divided by the sum over all items
        total = scale_inplace_flush(logits, np.exp(gap - loss) * inverse_count * scale)
        for a in range(stop - first):
            d_target[a] *= -total  # pooled_softmax-R15
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


def pooled_numbers(config: Config, dtype: np.dtype[Any], users: int) -> PooledNumbers:
    """Return the numeric options of the loss of a batch of `users` users."""
    return PooledNumbers(
        temperature=dtype.type(config.temperature),
        scale=dtype.type(1 / users),
        num_interests=config.interests,
        sub_users=max(1, SUB_BLOCK_ROWS // config.interests),
        normalise=config.normalise,
    )


def allocate_products(
    work: KernelWorkspace, outputs: PooledOutputs, numbers: PooledNumbers, d_negatives: Array
) -> PooledOutputs:
    """Return the outputs with buffers for products. d_negatives (P, S, D): of P blocks."""
    rows, (blocks, negatives, _) = numbers.sub_users * numbers.num_interests, d_negatives.shape
    shape, dtype = (blocks, rows, negatives), d_negatives.dtype
    return outputs._replace(
        products=work.array("products", *shape, dtype=dtype),
        d_negatives=work.array("d_negatives_part", *d_negatives.shape, dtype=dtype),
    )


def allocate_pooled_outputs(
    work: KernelWorkspace, top: Array, users: int, blocks: int, *, normalise: bool
) -> PooledOutputs:
    """Return the buffers that do not depend on the number of negatives, others empty.

    top (B K, D): the buffer of the output of the last layer.
    """
    (rows, width), dtype = top.shape, top.dtype

    def buffer(name: str, *shape: int) -> Array:
        return work.array(name, *shape, dtype=dtype)

    interests = allocate_vectors(
        work, "row", (rows, width), dtype, normalise=normalise, vectors=top
    )
    return PooledOutputs(
        interests=interests,
        scaled=buffer("scaled_rows", rows, width),
        target=allocate_vectors(work, "target", (users, width), dtype, normalise=normalise),
        d_target_products=buffer("d_target_products", rows),
        d_target=buffer("d_target", users, width),
        products=np.empty((blocks, 0, 0), dtype),
        d_negatives=np.empty((blocks, 0, width), dtype),
    )
