"""Sampled softmax: the loss of targets with shared negatives. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

from functools import partial
from typing import TypedDict, Unpack

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import sampled_softmax as reference
from mindref_jax.matmul import matmul
from mindref_jax.shapes import reject_rounding, values_or_ones
from mindref_jax.squash import squash


class Numbers(TypedDict, total=False):
    """The numbers of `sampled_softmax`, all keyword-only."""

    temperature: float
    normalise: bool


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
        user, target, negatives = (squash(x, kind="unit") for x in (user, target, negatives))
    # sampled_softmax-R2, R6
    target_logit = (user * target).sum(1) / temperature - target_log_expected
    negative_logits = matmul(user, negatives.T) / temperature - negative_log_expected
    hits = negative_ids == target_ids[:, None]
    return cross_entropy(target_logit, negative_logits, hits).mean()  # sampled_softmax-R5


@partial(jax.custom_vjp)
def cross_entropy(target_logit: Array, negative_logits: Array, hits: Array) -> Array:
    """Return log(1 + sum_s exp(negative logit - target logit)) for each user (B,).

    Negatives with a hit are excluded. If a logit is not finite, the loss of the user is NaN. The
    derivative is custom, because JAX would pass over the logits several times.
    """
    return losses_and_probabilities(target_logit, negative_logits, hits)[0]


@partial(jax.jit)  # traced once for each shape, also inside other functions
def losses_and_probabilities(
    target_logit: Array, negative_logits: Array, hits: Array
) -> tuple[Array, Array]:
    """Return the losses (B,) of `cross_entropy`, and the probabilities (B, S) of the negatives."""
    usable = jnp.isfinite(target_logit) & jnp.isfinite(negative_logits).all(1)
    target_logit = jnp.where(usable, target_logit, jnp.nan)  # sampled_softmax-R18
    masked_logits = jnp.where(hits, -jnp.inf, negative_logits)  # sampled_softmax-R3
    largest = masked_logits.max(1, initial=-jnp.inf)
    # a user without negatives has the loss zero: sampled_softmax-R10
    largest = jnp.where(jnp.isfinite(largest), largest, target_logit)
    exponentials = jnp.exp(masked_logits - largest[:, None])  # sampled_softmax-R4, R9
    gap = largest - target_logit
    losses = jax.nn.softplus(gap + jnp.log(exponentials.sum(1)))  # sampled_softmax-R1
    return losses, exponentials * jnp.exp(gap - losses)[:, None]


def cross_entropy_backward(probabilities: Array, d_losses: Array) -> tuple[Array, Array, None]:
    """Return the gradients of the target logits (B,) and the negative logits (B, S)."""
    d_negatives = probabilities * d_losses[:, None]
    return -probabilities.sum(1) * d_losses, d_negatives, None  # sampled_softmax-R12


cross_entropy.defvjp(losses_and_probabilities, cross_entropy_backward)


def check_inputs(*arrays: Array, **numbers: Unpack[Numbers]) -> None:
    """Raise ShapeError if the arguments of `sampled_softmax` are invalid."""
    temperature = numbers.get("temperature", 1.0)
    reference.check_inputs(*map(values_or_ones, arrays), temperature=temperature)
    reject_rounding("sampled_softmax", arrays[0])
