"""The parts of mind_plus that MIND lacks: weights by age, contexts, and item vectors as votes.

Spec: specs/mind_plus.md.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mindref.config import Config
from mindref.errors import ShapeError, say
from mindref.models.mind_plus import ages
from mindref.shapes import bind_axes, common_float_dtype
from mindref_jax.embedding import look_up_rows
from mindref_jax.routing import project_votes
from mindref_jax.shapes import check_row_indices, has_values


def item_votes(bilinear: Array, vectors: Array, config: Config) -> Array:
    """Return the votes S e (..., D) of item vectors (..., D); or the vectors (mind_plus-R8)."""
    return project_votes(vectors, bilinear) if config.votes == "matrix" else vectors


def weigh_by_age(positions: Array | None, mask: Array, config: Config) -> Array | None:
    """Return the log weights (B, L, K + M) of interests and contexts, or None if all are zero.

    Routing computes the contexts as capsules whose coupling weights are one (mind_plus-R6, R7).
    MIND has no positions.
    """
    if positions is None or positions.shape[1] == 0:  # mind_plus-R3
        return None
    log_weights = look_up_log_weights(positions, mask)
    num_columns = positions.shape[1] - config.contexts
    if num_columns == config.interests:
        return log_weights
    interest_weights, context_weights = jnp.split(log_weights, [num_columns], axis=2)
    if config.recency == "none":
        interest_weights = jnp.zeros((*mask.shape, 1), log_weights.dtype)
    # "shared": one column for all interests
    interest_weights = jnp.broadcast_to(interest_weights, (*mask.shape, config.interests))
    return jnp.concatenate([interest_weights, context_weights], 2)


def look_up_log_weights(positions: Array, mask: Array) -> Array:
    """Return rows (B, L, C) of positions (W, C) by the age of each behaviour (mind_plus-R19).

    Padding has any row or NaN, because routing ignores log weights at padding (routing-R34). While
    JAX traces, a behaviour older than the last row has NaN.
    """
    # mind_plus-R1: the number of later behaviours
    behaviour_ages = jax.lax.cumsum(jnp.asarray(mask, int), axis=1, reverse=True) - 1
    return look_up_rows(positions, behaviour_ages)


def apply_dropout(history: Array, keep: Array | None) -> Array:
    """Return the behaviours' vectors (B, L, D) times the factors keep (B, L, D), if not None."""
    return history if keep is None else history * keep  # mind_plus-R14, R16


def check_ages(positions: Array, mask: Array, config: Config) -> None:
    """Raise ShapeError if a behaviour is older than the last row of positions (mind_plus-R5).

    Also raises it for a number of columns that does not fit the settings.
    """
    shape, count = tuple(positions.shape), ages.columns(config)
    if shape[1:] != (count,):
        raise ShapeError(say("mind_plus: positions", f"{count} columns", f"shape {shape}"))
    if has_values(mask):
        oldest = np.asarray(mask).sum(1) - 1
        check_row_indices("positions", oldest[oldest >= 0], len(positions))


def check_dropout(keep: Array | None, mask: Array, items: Array) -> None:
    """Raise ShapeError for factors (B, L, D) of another shape or dtype; items (V, D)."""
    if keep is not None:
        bind_axes("mind_plus", mask=(mask, "BL"), items=(items, "VD"), keep=(keep, "BLD"))
        common_float_dtype("mind_plus", items=items, keep=keep)
