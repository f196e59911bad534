"""Compiled pass from capsules to losses, and backward to capsules, for a block of users.

Spec: specs/model.md: steps 4 to 6 of the interests, steps 2, 4 and 5 of the loss, and Backward. All
steps, matrix products included, run in one compiled call. With several short calls, two threads
would wait for each other's Python code.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import Number, jit
from mindref.kernels.fused.forward import FusedForward
from mindref.kernels.fused.layers import (
    LayerBuffers,
    LayerGradients,
    UserBlockRows,
    block_layers_backward,
    block_layers_forward,
)
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.label_attention import attend_batch, attend_batch_backward
from mindref.kernels.matmul import matmul_into
from mindref.kernels.routing import gather_rows
from mindref.kernels.sampled_softmax import add_target_terms, cross_entropy
from mindref.kernels.squash import squash_row, squash_rows_backward
from mindref.process import background
from mindref.shapes import Array, Ints


class LossVectors(NamedTuple):
    """Vectors of users, interests, targets or negatives."""

    vectors: Array  # (M, D)
    used: Array  # (M, D) in the loss: unit vectors if `normalise` is true; otherwise `vectors`
    unit: Array  # (M, D) a copy of `used` that only backward reads
    across: Array  # (M,) slope of x / |x| orthogonal to vector x, used only with `normalise`
    along: Array  # (M,) slope of x / |x| along vector x, used only with `normalise`


class LossInputs(NamedTuple):
    """The inputs of the loss that are the same for all blocks of users."""

    item_vectors: Array  # (M, D) of the distinct items
    target_index: Ints  # (B,) row of each target in item_vectors
    negative_index: Ints  # (S,) row of each negative in item_vectors
    target_log_expected: Array  # (B,)
    negative_log_expected: Array  # (S,)
    negatives: Array  # (S, D) unit vectors if `normalise` is true


class BlockOutputs(NamedTuple):
    """Arrays with a row for each user; each block of users writes the rows of its users."""

    interests: Array  # (B, K, D)
    scores: Array  # (B, K)
    weights: Array  # (B, K) weights of label-aware attention
    user: LossVectors  # (B, D)
    target: LossVectors  # (B, D)
    d_target_logit: Array  # (B,)
    d_user: Array  # (B, D)
    d_target: Array  # (B, D)
    d_interests: Array  # (B, K, D)


class LossNumbers(NamedTuple):
    """The options of the loss, and the factor of its gradients."""

    power: float
    temperature: Number
    scale: Number  # 1 / (B * temperature)
    normalise: bool  # vectors of length one


class LabelLoss:
    """Losses with label-aware attention and sampled softmax."""

    def __init__(self, forward: FusedForward, layer_gradients: LayerGradients) -> None:
        """Allocate the outputs; this does not require the layout of the batch."""
        self.forward, self.layer_gradients = forward, layer_gradients
        config, number = forward.config, forward.dtype.type
        self.numbers = LossNumbers(
            power=float(config.effective_power),  # model-R14
            temperature=number(config.temperature),
            scale=number(1 / forward.users / config.temperature),
            normalise=config.normalise,
        )
        self.outputs = forward.work.cached("outputs", forward.key, self.allocate_outputs)
        self.d_target = self.outputs.d_target

    def allocate_outputs(self) -> BlockOutputs:
        """Return buffers for the outputs of all users."""
        work, (users, count, width) = self.forward.work, self.forward.interests.shape
        buffer, normalise = self.forward.buffer, self.numbers.normalise
        return BlockOutputs(
            interests=self.forward.interests,
            scores=buffer("scores", users, count),
            weights=buffer("weights", users, count),
            user=allocate_vectors(work, "user", buffer("user", users, width), normalise=normalise),
            target=allocate_vectors(
                work, "target", buffer("target", users, width), normalise=normalise
            ),
            d_target_logit=buffer("d_target_logit", users),
            d_user=buffer("d_user", users, width),
            d_target=buffer("d_target", users, width),
            d_interests=buffer("d_interests", users, count, width),
        )

    def set_inputs(self, inputs: LossInputs, d_negatives: Array) -> None:
        """Store the inputs; d_negatives (P, S, D): gradients of the negatives, of P blocks."""
        self.inputs, self.d_negatives = inputs, d_negatives
        self.products = self.forward.buffer("products", self.forward.users, d_negatives.shape[1])

    def forward_backward(self, block: UserBlockRows) -> tuple[float, int]:
        """Run `forward_backward_block`."""
        return forward_backward_block(*self.arguments(block))

    def request_compilation(self, block: UserBlockRows) -> None:
        """Compile `forward_backward_block` in the background."""
        background.request(forward_backward_block, partial(self.arguments, block))

    def arguments(self, block: UserBlockRows) -> tuple[Any, ...]:
        """Return the arguments of `forward_backward_block`."""
        return (
            block,
            self.forward.layers.buffers,
            self.layer_gradients,
            self.forward.routing_values.capsules[-1],
            self.inputs,
            self.outputs,
            self.products,
            self.numbers,
        )

    def backward_negatives(self, block: UserBlockRows) -> None:
        """Write the part of the gradient of negatives that comes from a block of users."""
        users = slice(block.first, block.stop)
        d_products, user = self.products[users], self.outputs.user.used[users]
        matmul_into(d_products.T, user, self.d_negatives[block.number])  # sampled_softmax-R11


@jit
def forward_backward_block(
    block: UserBlockRows,
    layers: LayerBuffers,
    layer_gradients: LayerGradients,
    capsules: Array,
    inputs: LossInputs,
    outputs: BlockOutputs,
    products: Array,
    numbers: LossNumbers,
) -> tuple[float, int]:
    """Return the sum of losses of a block of users, and the number of interests with a gradient.

    The number is that of `block_layers_backward`. Writes outputs, layer_gradients, layers.x and
    layers.passed. products (B, S) receives the products of users and negatives, then the gradients
    of these products.
    """
    users = slice(block.first, block.stop)
    interests, scores = outputs.interests[users], outputs.scores[users]
    weights, d_interests = outputs.weights[users], outputs.d_interests[users]
    user, user_used = outputs.user.vectors[users], outputs.user.used[users]
    target, target_used = outputs.target.vectors[users], outputs.target.used[users]
    d_user, d_target = outputs.d_user[users], outputs.d_target[users]
    d_target_logit, user_products = outputs.d_target_logit[users], products[users]

    # Forward. The numbers are those of the loss; step 1 is steps 4 to 6 of the interests.
    block_layers_forward(block, layers, capsules, outputs.interests)  # 1
    gather_rows(inputs.item_vectors, inputs.target_index[users], target)  # 2
    attend_batch(  # 4; sets inactive interests to zero, model-R6
        interests,
        target,
        layers.active[users],
        numbers.power,
        scores,
        weights,
        user,
    )
    if numbers.normalise:  # 5
        normalise_rows(outputs.user, block.first, block.stop)
        normalise_rows(outputs.target, block.first, block.stop)
    matmul_into(user_used, inputs.negatives.T, user_products)  # 5
    loss = cross_entropy(  # 5, forward and backward to the products
        user_used,
        target_used,
        inputs.target_index[users],  # indices instead of ids: each distinct item has one
        inputs.negative_index,
        inputs.target_log_expected[users],
        inputs.negative_log_expected,
        numbers.temperature,
        numbers.scale,
        user_products,
        d_target_logit,
    )

    # Backward, in reverse order. The gradient of negatives is that of `backward_negatives`.
    matmul_into(user_products, inputs.negatives, d_user)  # 5
    add_target_terms(d_target_logit, user_used, target_used, d_user, d_target)  # 5
    if numbers.normalise:  # 5
        normalise_rows_backward(outputs.target, block.first, block.stop, d_target)
        normalise_rows_backward(outputs.user, block.first, block.stop, d_user)
    attend_batch_backward(  # 4, model-R9: adds the gradient of the target through the weights
        d_user,
        interests,
        target,
        scores,
        weights,
        numbers.power,
        d_interests,
        d_target,
    )
    num_rows = block_layers_backward(  # 1
        block, layers, layer_gradients, outputs.weights, outputs.d_interests
    )
    return loss, num_rows


@jit
def normalise_rows(vectors: LossVectors, first: int, stop: int) -> None:
    """Write the unit vectors and the slopes of the rows from `first` to `stop`."""
    x, used, unit, across, along = vectors
    for m in range(first, stop):  # one array for `used` and `unit` is not vectorised
        across[m], along[m] = squash_row(x[m], UNIT, used[m], unit[m])


@jit
def normalise_rows_backward(vectors: LossVectors, first: int, stop: int, d: Array) -> None:
    """Replace d, the gradient of the unit vectors from `first` to `stop`, by that of the vectors.

    d: one row for each of these vectors.
    """
    rows = slice(first, stop)
    squash_rows_backward(d, vectors.unit[rows], vectors.across[rows], vectors.along[rows], d)


UNIT: Any = np.int64(1)
"""Index of "unit" in KINDS of ops/squash.py; an import would not invalidate cached code.

For the constant 1, Numba would compile `squash_row` again.
"""


def allocate_vectors(
    work: KernelWorkspace, name: str, vectors: Array, *, normalise: bool
) -> LossVectors:
    """Return vectors (M, D) of the loss, with buffers for their unit vectors if `normalise`."""
    if not normalise:
        empty = np.empty(0, vectors.dtype)
        return LossVectors(vectors, vectors, vectors, empty, empty)

    def buffer(suffix: str, *shape: int) -> Array:
        return work.array(f"{name}_{suffix}", *shape, dtype=vectors.dtype)

    return LossVectors(
        vectors=vectors,
        used=buffer("used", *vectors.shape),
        unit=buffer("unit", *vectors.shape),
        across=buffer("across", len(vectors)),
        along=buffer("along", len(vectors)),
    )
