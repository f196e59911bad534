"""Masked softmax over one axis. Spec: specs/softmax.md."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mindref.errors import ShapeError, say
from mindref_jax.shapes import require_axis, require_bool, require_float_dtype


def softmax(logits: Any, mask: Any, *, axis: int) -> Any:
    """Map logits of any shape to weights with sum one over `axis`, zero where the mask is false.

    The mask broadcasts to the logits. Raises ShapeError for a wrong shape, dtype or axis.
    """
    check_inputs(logits, mask, axis)
    masked_logits = jnp.where(mask, logits, -jnp.inf)  # softmax-R2
    largest = jax.lax.stop_gradient(masked_logits.max(axis, keepdims=True, initial=-jnp.inf))
    exponentials = jnp.exp(masked_logits - jnp.where(largest == -jnp.inf, 0, largest))  # softmax-R3
    total = exponentials.sum(axis, keepdims=True)
    weights = exponentials / jnp.where(total == 0, 1, total)  # softmax-R1, R4
    return jnp.where(mask, weights, 0)  # masked positions have zero gradient, softmax-R5


def check_inputs(logits: Any, mask: Any, axis: int) -> None:
    """Raise ShapeError if the arguments of `softmax` are invalid."""
    require_float_dtype("softmax", logits=logits)
    require_bool("softmax", mask=mask)
    require_axis("softmax", axis, logits.ndim)  # softmax-R7
    if not broadcasts_to(mask.shape, logits.shape):  # softmax-R8
        expected = f"a shape that broadcasts to the logits' {logits.shape}"
        raise ShapeError(say("softmax: mask", expected, mask.shape))


def broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Return whether an array of `shape` broadcasts to the shape `target`."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
