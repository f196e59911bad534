"""Sampled softmax: the loss of targets with shared negatives. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import sampled_softmax as reference
from mindref_jax.matmul import matmul
from mindref_jax.shapes import reject_rounding, values_or_ones
from mindref_jax.squash import squash_vectors


def sampled_softmax(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Array,
    negative_ids: Array,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Array:
    """Map users (B, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    A negative with the id of the target is an accidental hit; ids are (B,) and (S,). The log
    expected counts (B,) and (S,) are subtracted from the logits. The products are divided by
    temperature, a Python number. With `normalise` all vectors have length one. Raises ShapeError
    for invalid arguments. While JAX traces, log expected counts are not checked.
    """
    check_inputs(
        user,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
        temperature=temperature,
    )
    if normalise:  # sampled_softmax-R7, R8
        user, target, negatives = (squash_vectors(x, "unit") for x in (user, target, negatives))
    # sampled_softmax-R2, R6
    user = user / float(temperature)  # numerics-R2
    target_logit = (user * target).sum(1) - target_log_expected
    products = matmul(user, negatives.T)
    target_logit = nan_unless_finite(target_logit, products, negative_log_expected)
    hits = negative_ids == target_ids[:, None]
    losses = cross_entropy(target_logit, products - negative_log_expected, hits)
    return losses.mean()  # sampled_softmax-R5


def nan_unless_finite(target_logit: Array, products: Array, log_expected: Array) -> Array:
    """Return target logits (B,), or NaN where a product (B, ...) or a log (S,) is not finite."""
    # a maximum is faster than `all`; the products need no further pass, unlike the logits
    largest = jnp.abs(products).max(tuple(range(1, products.ndim)), initial=0)
    # a sum, so that gradients are NaN too: sampled_softmax-R18
    finite = (largest < jnp.inf) & jnp.isfinite(log_expected).all()
    return target_logit + jnp.where(finite, 0, jnp.nan)


@partial(jax.custom_vjp)
def cross_entropy(target_logit: Array, negative_logits: Array, hits: Array) -> Array:
    """Return log(1 + sum_s exp(negative logit - target logit)) for each user (B,).

    Negatives with a hit are excluded. If the target logit is not finite, the loss of the user is
    NaN. The derivative is custom, because JAX would pass over the logits several times.
    """
    return losses_and_saved(target_logit, negative_logits, hits)[0]


@partial(jax.jit)  # traced once for each shape, also inside other functions
def losses_and_saved(
    target_logit: Array, negative_logits: Array, hits: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    """Return the losses (B,) of `cross_entropy`, and the values for the gradient.

    The probabilities (B, S) of the negatives are saved as two factors, after their sum.
    """
    target_logit = jnp.where(jnp.isfinite(target_logit), target_logit, jnp.nan)
    masked_logits = jnp.where(hits, -jnp.inf, negative_logits)  # sampled_softmax-R3
    largest = masked_logits.max(1, initial=-jnp.inf)
    # a user without negatives has the loss zero: sampled_softmax-R10
    largest = jnp.where(jnp.isfinite(largest), largest, target_logit)
    exponentials = jnp.exp(masked_logits - largest[:, None])  # sampled_softmax-R4, R9
    sums, gap = exponentials.sum(1), largest - target_logit
    losses = jax.nn.softplus(gap + jnp.log(sums))  # sampled_softmax-R1
    scale = jnp.exp(gap - losses)
    return losses, (sums * scale, exponentials, scale)


def cross_entropy_backward(
    saved: tuple[Array, Array, Array], d_losses: Array
) -> tuple[Array, Array, None]:
    """Return the gradients of the target logits (B,) and the negative logits (B, S)."""
    total, exponentials, scale = saved
    d_negatives = exponentials * (scale * d_losses)[:, None]
    return -total * d_losses, d_negatives, None  # sampled_softmax-R12


cross_entropy.defvjp(losses_and_saved, cross_entropy_backward)


def check_inputs(*arrays: Array, temperature: float = 1.0, normalise: bool = False) -> None:
    """Raise ShapeError if the arguments of `sampled_softmax` are invalid."""
    reference.check_inputs(*map(values_or_ones, arrays), temperature=temperature)
    reject_rounding("sampled_softmax", arrays[0])
