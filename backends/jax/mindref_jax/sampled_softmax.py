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


@partial(jax.jit)  # traced once for each shape, also inside other functions
def cross_entropy(target_logit: Array, negative_logits: Array, hits: Array) -> Array:
    """Return log(1 + sum_s exp(negative logit - target logit)) for each user (B,).

    If a logit is not finite, NaN is added to the target logit. It does not replace the logit,
    because then the gradient would not be NaN.
    """
    usable = jnp.isfinite(target_logit) & jnp.isfinite(negative_logits).all(1)
    target_logit = target_logit + jnp.where(usable, 0, jnp.nan).astype(target_logit.dtype)  # R18
    included = ~(hits & usable[:, None])  # sampled_softmax-R3; users with NaN are not masked
    has_negatives = included.any(1)
    masked_logits = jnp.where(included, negative_logits, -jnp.inf)
    # zeros for a user without negatives; otherwise the gradient is 0 / 0
    masked_logits = jnp.where(has_negatives[:, None], masked_logits, 0)
    # constant, because log-sum-exp does not depend on it
    largest = jax.lax.stop_gradient(masked_logits.max(1, initial=-jnp.inf))
    largest = jnp.where(has_negatives, largest, 0)
    sum_exp = jnp.exp(masked_logits - largest[:, None]).sum(1)  # sampled_softmax-R4, R9
    log_sum = jnp.log(jnp.where(has_negatives, sum_exp, 1))
    losses = jax.nn.softplus((largest - target_logit) + log_sum)  # sampled_softmax-R1, R12
    return jnp.where(has_negatives, losses, target_logit * 0)  # sampled_softmax-R10


def check_inputs(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Array,
    negative_ids: Array,
    target_log_expected: Array,
    negative_log_expected: Array,
    **numbers: Unpack[Numbers],
) -> None:
    """Raise ShapeError if the arguments of `sampled_softmax` are invalid."""
    reference.check_inputs(
        user,
        target,
        negatives,
        target_ids,
        negative_ids,
        values_or_ones(target_log_expected),
        values_or_ones(negative_log_expected),
        temperature=numbers.get("temperature", 1.0),
    )
    reject_rounding("sampled_softmax", user)
