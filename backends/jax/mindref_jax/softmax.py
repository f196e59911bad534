"""Softmax over one axis among the places that a mask leaves. Spec: specs/softmax.md."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mindref.errors import ShapeError, say
from mindref_jax.checks import axis_within, boolean, same_float


def softmax(logits: Any, mask: Any, *, axis: int) -> Any:
    """Map logits of any shape to weights with sum one over `axis`, zero where the mask is false.

    The mask broadcasts to the logits. Raises ShapeError for shapes, types and an axis that do not
    fit.
    """
    check(logits, mask, axis)
    kept = jnp.where(mask, logits, -jnp.inf)  # softmax-R2
    top = jax.lax.stop_gradient(kept.max(axis, keepdims=True, initial=-jnp.inf))
    raised = jnp.exp(kept - jnp.where(top == -jnp.inf, 0, top))  # softmax-R3
    total = raised.sum(axis, keepdims=True)
    weights = raised / jnp.where(total == 0, 1, total)  # softmax-R1, R4
    return jnp.where(mask, weights, 0)  # stops what comes back to masked places, softmax-R5


def check(logits: Any, mask: Any, axis: int) -> None:
    """Raise ShapeError for anything that `softmax` cannot take."""
    same_float("softmax", logits=logits)
    boolean("softmax", mask=mask)
    axis_within("softmax", axis, logits.ndim)  # softmax-R7
    if not stretches(mask.shape, logits.shape):  # softmax-R8
        wanted = f"a shape that broadcasts to the logits' {logits.shape}"
        raise ShapeError(say("softmax: mask", wanted, mask.shape))


def stretches(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Return whether an array of one shape broadcasts to another."""
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False
