"""Vectors of items: weighted sums of rows of one table. Spec: specs/embedding.md."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from mindref_jax.checks import bind, rows_within, same_float


def embedding(table: Any, rows: Any, weights: Any) -> Any:
    """Map rows (M, F) of table (V, D), with weights (M, F), to their weighted sums (M, D).

    Raises ShapeError for shapes and types that do not fit and for a row outside the table. While
    JAX traces, rows are not known; one outside the table makes its vector NaN then.
    """
    check(table, rows, weights)
    return pooled(look_up(jnp.asarray(table), rows), weights)


def look_up(table: Any, rows: Any) -> Any:
    """Return rows of any shape (...) of a table as vectors (..., D); NaN for one outside it."""
    return table.at[rows].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def pooled(vectors: Any, weights: Any) -> Any:
    """Return the sums over F of vectors (..., F, D), each times its weight (..., F)."""
    scaled = vectors * weights[..., None]
    # embedding-R2: a sum starts from 0, and 0 + -0.0 is not -0.0
    return scaled[..., 0, :] if weights.shape[-1] == 1 else scaled.sum(-2)  # embedding-R1


def check(table: Any, rows: Any, weights: Any) -> None:
    """Raise ShapeError for anything that `embedding` cannot take."""
    sizes = bind("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    same_float("embedding", table=table, weights=weights)
    rows_within("embedding", rows, sizes["V"])
