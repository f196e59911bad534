"""Masked softmax over one axis. Spec: specs/softmax.md."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import softmax as reference
from mindref_jax.shapes import reject_rounding


def softmax(logits: Array, mask: Array, *, axis: int) -> Array:
    """Map logits of any shape to weights with sum one over `axis`, zero where the mask is false.

    The mask broadcasts to the logits. Raises ShapeError for a wrong shape, dtype or axis.
    """
    check_inputs(logits, mask, axis)
    return masked_softmax(logits, mask, axis)


@partial(jax.jit, static_argnames="axis")  # traced once for each shape, also in other functions
def masked_softmax(logits: Array, mask: Array, axis: int) -> Array:
    """Return `softmax` of checked arguments."""
    masked_logits = jnp.where(mask, logits, -jnp.inf)  # softmax-R2
    largest = jax.lax.stop_gradient(masked_logits.max(axis, keepdims=True, initial=-jnp.inf))
    exponentials = jnp.exp(masked_logits - jnp.where(largest == -jnp.inf, 0, largest))  # softmax-R3
    total = exponentials.sum(axis, keepdims=True)
    weights = exponentials / jnp.where(total == 0, 1, total)  # softmax-R1, R4
    return jnp.where(mask, weights, 0)  # masked positions have zero gradient, softmax-R5


def check_inputs(logits: Array, mask: Array, axis: int) -> None:
    """Raise ShapeError if the arguments of `softmax` are invalid."""
    reference.check_inputs(logits, mask, axis)
    reject_rounding("softmax", logits)
