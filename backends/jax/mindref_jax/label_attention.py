"""Label-aware attention with the target item as query. Spec: specs/label_attention.md."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import label_attention as reference
from mindref_jax.matmul import matmul
from mindref_jax.shapes import reject_rounding, values_or_ones
from mindref_jax.softmax import softmax


def label_attention(interests: Array, target: Array, active: Array, *, power: float) -> Array:
    """Map interests (B, K, D) and a target (B, D) to the user's vector for that item (B, D).

    active (B, K) is true for the active interests, at least one per user. power in [0, infinity] is
    a Python number. Raises ShapeError for wrong shapes, dtypes or power, and for a user without
    active interests. While JAX traces, the vector of such a user is zero.
    """
    check_inputs(interests, target, active, power)
    return attend(interests, target, active, float(power))


@partial(jax.jit, static_argnames="power")  # traced once for each shape, also in other functions
def attend(interests: Array, target: Array, active: Array, power: float) -> Array:
    """Return `label_attention` of checked arguments."""
    interests = jnp.where(active[:, :, None], interests, 0)  # label_attention-R4
    weights = attention_weights(interests, target, active, power)
    return matmul(weights[:, None, :], interests)[:, 0]  # label_attention-R7


def attention_weights(interests: Array, target: Array, active: Array, power: float) -> Array:
    """Return the weight of each interest (B, K)."""
    if power == 0:  # label_attention-R5, R10: scores are not read
        return softmax(jnp.zeros(active.shape, interests.dtype), active, axis=1)
    scores = matmul(interests, target[:, :, None])[..., 0]  # label_attention-R1
    if math.isinf(power):
        return one_hot_of_largest(jax.lax.stop_gradient(scores), active)
    return softmax(gaps_below_largest(scores, active, power), active, axis=1)  # label_attention-R3


def one_hot_of_largest(scores: Array, active: Array) -> Array:
    """Return one at the first largest active score (B, K) or (B, K, S); otherwise zero.

    active (B, K) or (B, K, 1). NaN if an active score is not finite.
    """
    count = active.shape[1]
    best = jnp.where(active, scores, -jnp.inf).argmax(1) if count else jnp.zeros(len(active), int)
    weights = jax.nn.one_hot(best, count, dtype=scores.dtype, axis=1)  # label_attention-R6, R10
    finite = (jnp.isfinite(scores) | ~active).all(1, keepdims=True)
    return jnp.where(finite, weights, jnp.nan)  # label_attention-R17


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def gaps_below_largest(scores: Array, active: Array, power: float) -> Array:
    """Return a - max a for a = sign(s) |s|^p over the active scores (B, K).

    Both scores are divided by the larger absolute value, so the bases are in [-1, 1]. The
    derivative is custom: JAX's derivative is infinite at zero for p < 1, and NaN after overflow.
    The derivative of max a is omitted, because the softmax does not depend on it.
    """
    largest = jnp.where(active, scores, -jnp.inf).max(1, keepdims=True, initial=-jnp.inf)
    base = jnp.maximum(jnp.abs(scores), jnp.abs(largest))
    divisor = jnp.where(base == 0, 1, base)
    # gap from -2 to 0
    gap = signed_power(scores / divisor, power) - signed_power(largest / divisor, power)
    return jnp.where(gap == 0, 0, gap * base**power)  # label_attention-R11: no 0 times infinity


def gaps_forward(scores: Array, active: Array, power: float) -> tuple[Array, Array]:
    """Return the powers and their slopes p |s|^(p - 1)."""
    return gaps_below_largest(scores, active, power), power * jnp.abs(scores) ** (power - 1)


def gaps_backward(power: float, slopes: Array, d_out: Array) -> tuple[Array, None]:
    """Return the gradient of the scores; zero where a slope or product is not finite."""
    d_scores = d_out * jnp.where(jnp.isfinite(slopes), slopes, 0)  # label_attention-R12
    return jnp.where(jnp.isinf(d_scores), 0, d_scores), None  # label_attention-R13; NaN is kept


gaps_below_largest.defvjp(gaps_forward, gaps_backward)


def signed_power(x: Array, power: float) -> Array:
    """Return sign(x) |x|^p."""
    return jnp.sign(x) * jnp.abs(x) ** power  # label_attention-R2


def check_inputs(interests: Array, target: Array, active: Array, power: float) -> None:
    """Raise ShapeError if the arguments of `label_attention` are invalid."""
    reference.check_inputs(interests, target, values_or_ones(active), power)
    reject_rounding("label_attention", interests)
