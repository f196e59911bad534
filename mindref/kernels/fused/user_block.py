"""Compiled pass from capsules to losses, and backward to capsules, for a block of users.

Spec: specs/model.md: steps 4 to 6 of the interests, steps 2, 4 and 5 of the loss, and Backward. All
steps, matrix products included, run in one compiled call. With several short calls, two threads
would wait for each other's Python code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.kernels._jit import Number, jit
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
from mindref.kernels.squash import squash_rows, squash_rows_backward
from mindref.shapes import Array, Ints


class LossVectors(NamedTuple):
    """Vectors of users, targets or negatives. The loss reads the field `used`."""

    vectors: Array  # (M, D)
    used: Array  # (M, D) unit vectors if `normalise` is true; otherwise `vectors`
    unit: Array  # (M, D) the same as `used`; only backward reads it, with `normalise`
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
    user: LossVectors
    target: LossVectors
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


UNIT = 1
"""Index of "unit" in KINDS of ops/squash.py; an import would not invalidate cached code."""


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
    layers.passed. products (B, S) first receives the products of users and negatives, then the
    gradients of these products.
    """
    users = slice(block.first, block.stop)
    user, target, p = outputs.user, outputs.target, products[users]
    user_used, target_used = user.used[users], target.used[users]
    d_user, d_target = outputs.d_user[users], outputs.d_target[users]
    query, interests = target.vectors[users], outputs.interests[users]
    scores, weights = outputs.scores[users], outputs.weights[users]
    d_target_logit = outputs.d_target_logit[users]
    block_layers_forward(block, layers, capsules, outputs.interests)
    gather_rows(inputs.item_vectors, inputs.target_index[users], query)
    if numbers.normalise:
        normalise_rows(target, block.first, block.stop)
    attend_batch(  # loss, step 4; sets inactive interests to zero, model-R6
        interests,
        query,
        layers.active[users],
        numbers.power,
        scores,
        weights,
        user.vectors[users],
    )
    if numbers.normalise:
        normalise_rows(user, block.first, block.stop)
    matmul_into(user_used, inputs.negatives.T, p)  # loss, step 5
    loss = cross_entropy(
        user_used,
        target_used,
        inputs.target_index[users],  # indices instead of ids: each distinct item has one
        inputs.negative_index,
        inputs.target_log_expected[users],
        inputs.negative_log_expected,
        numbers.temperature,
        numbers.scale,
        p,
        d_target_logit,
    )
    matmul_into(p, inputs.negatives, d_user)
    add_target_terms(d_target_logit, user_used, target_used, d_user, d_target)
    if numbers.normalise:
        normalise_rows_backward(user, block.first, block.stop, d_user)
        normalise_rows_backward(target, block.first, block.stop, d_target)
    attend_batch_backward(  # model-R9: adds the gradient of the target through the weights
        d_user,
        interests,
        query,
        scores,
        weights,
        numbers.power,
        outputs.d_interests[users],
        d_target,
    )
    return loss, block_layers_backward(
        block, layers, layer_gradients, outputs.weights, outputs.d_interests
    )


@jit
def normalise_rows(vectors: LossVectors, first: int, stop: int) -> None:
    """Write the unit vectors of the rows from `first` to `stop`."""
    rows = slice(first, stop)
    x, used, unit = vectors.vectors[rows], vectors.used[rows], vectors.unit[rows]
    squash_rows(x, UNIT, used, unit, vectors.across[rows], vectors.along[rows])


@jit
def normalise_rows_backward(vectors: LossVectors, first: int, stop: int, d: Array) -> None:
    """Replace d, the gradient of the unit vectors, by the gradient of the original vectors."""
    rows = slice(first, stop)
    squash_rows_backward(d, vectors.unit[rows], vectors.across[rows], vectors.along[rows], d)


def allocate_vectors(
    work: KernelWorkspace,
    name: str,
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    *,
    normalise: bool,
    vectors: Array | None = None,
) -> LossVectors:
    """Return buffers (M, D) for vectors of the loss; `vectors` is allocated if it is None."""
    x = work.array(name, *shape, dtype=dtype) if vectors is None else vectors
    if not normalise:
        empty = np.empty(0, dtype)
        return LossVectors(x, x, x, empty, empty)
    return LossVectors(
        vectors=x,
        used=work.array(f"{name}_used", *shape, dtype=dtype),
        unit=work.array(f"{name}_unit", *shape, dtype=dtype),
        across=work.array(f"{name}_across", shape[0], dtype=dtype),
        along=work.array(f"{name}_along", shape[0], dtype=dtype),
    )


def allocate_outputs(work: KernelWorkspace, interests: Array, *, normalise: bool) -> BlockOutputs:
    """Return buffers for the outputs of all users; `interests` (B, K, D) is one of them."""
    users, count, width = interests.shape
    dtype = interests.dtype

    def buffer(name: str, *shape: int) -> Array:
        return work.array(name, *shape, dtype=dtype)

    return BlockOutputs(
        interests=interests,
        scores=buffer("scores", users, count),
        weights=buffer("weights", users, count),
        user=allocate_vectors(work, "user", (users, width), dtype, normalise=normalise),
        target=allocate_vectors(work, "target", (users, width), dtype, normalise=normalise),
        d_target_logit=buffer("d_target_logit", users),
        d_user=buffer("d_user", users, width),
        d_target=buffer("d_target", users, width),
        d_interests=buffer("d_interests", users, count, width),
    )
