"""Scores of items for users: the level `serve`. Spec: specs/backend.md, specs/recall.md."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from mindref.shapes import bind_axes, common_float_dtype, require_bool
from mindref_jax.matmul import matmul


def score_arrays(interests: Array, active: Array, items: Array) -> Array:
    """Return `score_items` of NumPy arrays. Raises ShapeError for wrong shapes or dtypes."""
    bind_axes("scores", interests=(interests, "BKD"), active=(active, "BK"), items=(items, "ND"))
    common_float_dtype("scores", interests=interests, items=items)
    require_bool("scores", active=active)
    return COMPILED(interests, active, items)


def score_items(interests: Array, active: Array, items: Array) -> Array:
    """Return the score (B, N) of each item: the maximum over the active interests of v_k . e.

    interests (B, K, D), active (B, K), items (N, D). If a user has no active interest, each score
    is minus infinity.
    """
    mask = active[:, :, None]
    products = matmul(jnp.where(mask, interests, 0), items.T)  # backend-R25
    return jnp.where(mask, products, -jnp.inf).max(1, initial=-jnp.inf)  # backend-R24


COMPILED = jax.jit(score_items)
