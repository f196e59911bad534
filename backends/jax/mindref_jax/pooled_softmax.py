"""Softmax loss on the score of serving, pooled over interests. Spec: specs/pooled_softmax.md."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import pooled_softmax as reference
from mindref_jax.label_attention import one_hot_of_largest
from mindref_jax.matmul import matmul
from mindref_jax.sampled_softmax import cross_entropy, nan_unless_finite
from mindref_jax.shapes import reject_rounding, values_or_ones
from mindref_jax.squash import squash_vectors


def pooled_softmax(
    interests: Array,
    active: Array,
    target: Array,
    negatives: Array,
    target_ids: Array,
    negative_ids: Array,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    sharpness: float,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Array:
    """Map interests (B, K, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    active (B, K) is true for the active interests, at least one per user. The score of an item is
    (1 / sharpness) log mean_k exp(sharpness s_k). s_k is the product with an active interest,
    divided by temperature. Sharpness 0 is the mean, infinity the maximum. All other arguments are
    those of sampled_softmax. Raises ShapeError for invalid arguments. While JAX traces, values of
    arrays are not checked.
    """
    check_inputs(
        interests,
        active,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
        sharpness=sharpness,
        temperature=temperature,
    )
    interests = jnp.where(active[..., None], interests, 0)  # pooled_softmax-R4
    if normalise:  # 1, pooled_softmax-R11
        interests, target, negatives = (
            squash_vectors(x, "unit") for x in (interests, target, negatives)
        )
    users, count, width = interests.shape
    interests = interests / float(temperature)  # 2, pooled_softmax-R10, numerics-R2
    target_products = matmul(interests, target[..., None])  # (B, K, 1)
    products = matmul(interests.reshape(users * count, width), negatives.T)  # one product
    products = products.reshape(users, count, len(negatives))  # (B, K, S)
    target_scores = pool_scores(target_products, active, float(sharpness))  # 3 (B, 1)
    target_logits = target_scores[:, 0] - target_log_expected  # 4, pooled_softmax-R6
    target_logits = nan_unless_finite(target_logits, products, negative_log_expected)
    hidden = negative_ids == target_ids[:, None]  # (B, S) pooled_softmax-R7
    if sharpness == 1:  # log-sum-exp over interests and log-sum-exp over negatives are one
        target_logits += jnp.log(active.sum(1)).astype(target_logits.dtype)
        logits = (products - negative_log_expected).reshape(users, -1)  # (B, K S)
        hidden = (hidden[:, None] | ~active[..., None]).reshape(users, -1)
    else:
        scores = pool_scores(products, active, float(sharpness))  # 3 (B, S)
        logits = scores - negative_log_expected  # 4, pooled_softmax-R6
    # 5 to 7, pooled_softmax-R9, R13, R15, R25
    return cross_entropy(target_logits, logits, hidden).mean()


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def pool_scores(products: Array, active: Array, sharpness: float) -> Array:
    """Return the scores (B, S) of products (B, K, S), pooled over the active interests (B, K).

    The derivative is custom: JAX would derive it from expm1, which loses the digits of small
    weights. NaN if a product of the item is not finite.
    """
    return scores_and_weights(products, active, sharpness)[0]


def pool_scores_jvp(
    sharpness: float, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Return the scores and their tangents, the weighted sums of the tangents of the products."""
    scores, weights = scores_and_weights(*primals, sharpness)
    return scores, (weights * tangents[0]).sum(1)  # pooled_softmax-R16


pool_scores.defjvp(pool_scores_jvp)


@partial(jax.jit, static_argnames="sharpness")  # traced once for each shape
def scores_and_weights(products: Array, active: Array, sharpness: float) -> tuple[Array, Array]:
    """Return the scores (B, S), and the weights of the interests in each score (B, K, S)."""
    active = active[..., None]  # (B, K, 1)
    scores, weights = pool_products(products, active, sharpness)
    # pooled_softmax-R25: pooling could hide the product
    return jnp.where(jnp.isfinite(products).all(1), scores, jnp.nan), weights


def pool_products(products: Array, active: Array, sharpness: float) -> tuple[Array, Array]:
    """Return scores (B, S) and the weights (B, K, S) of interests; active (B, K, 1)."""
    limits = jnp.finfo(products.dtype)
    inverse_count = (1 / active.sum(1)).astype(products.dtype)  # (B, 1)
    # pooled_softmax-R2, R5: XLA reads a subnormal sharpness * gap as zero. Below the root of the
    # smallest normal number, the score is the mean up to rounding
    if sharpness < math.sqrt(limits.tiny):
        weights = jnp.where(active, inverse_count[:, None], 0)
        return (weights * products).sum(1), jnp.broadcast_to(weights, products.shape)
    largest = jnp.where(active, products, -jnp.inf).max(1, keepdims=True)  # (B, 1, S)
    if math.isinf(sharpness):  # pooled_softmax-R3
        return largest[:, 0], one_hot_of_largest(products, active)
    sharpness = min(sharpness, float(limits.max))  # no 0 * infinity
    # each gap is at most 0: pooled_softmax-R12
    gaps = jnp.where(active, (products - largest) * sharpness, -jnp.inf)  # pooled_softmax-R4
    exponentials = jnp.exp(gaps)
    weights = exponentials / exponentials.sum(1, keepdims=True)
    # pooled_softmax-R5: expm1 and log1p are accurate for a small sharpness
    mean = jnp.where(active, jnp.expm1(gaps), 0).sum(1) * inverse_count
    return largest[:, 0] + jnp.log1p(mean) / sharpness, weights  # pooled_softmax-R1


def check_inputs(
    *arrays: Array, sharpness: float, temperature: float = 1.0, normalise: bool = False
) -> None:
    """Raise ShapeError if the arguments of `pooled_softmax` are invalid."""
    reference.check_loss_arrays(*map(values_or_ones, arrays))
    reference.check_loss_numbers(sharpness, temperature)
    reject_rounding("pooled_softmax", arrays[0])
