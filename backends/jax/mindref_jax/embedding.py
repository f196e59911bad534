"""Vectors of items: weighted sums of rows of one table. Spec: specs/embedding.md."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from mindref_jax.shapes import bind_axes, check_row_indices, require_float_dtype


def embedding(table: Any, rows: Any, weights: Any) -> Any:
    """Map rows (M, F) of table (V, D), with weights (M, F), to their weighted sums (M, D).

    Raises ShapeError if shapes or dtypes do not match or a row is outside the table. While JAX
    traces, rows have no values; then the vector of a row outside the table is NaN.
    """
    check_inputs(table, rows, weights)
    return pool_rows(look_up_rows(jnp.asarray(table), rows), weights)


@partial(jax.jit)  # traced once for each shape, also inside other functions
def look_up_rows(table: Any, rows: Any) -> Any:
    """Return the vectors (..., D) of rows (...) of a table; NaN for a row outside the table."""
    return table.at[rows].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


@partial(jax.jit)
def pool_rows(vectors: Any, weights: Any) -> Any:
    """Return the sums over F of vectors (..., F, D) with weights (..., F)."""
    scaled = vectors * weights[..., None]
    # embedding-R2: a sum starts from 0, and 0 + -0.0 is not -0.0
    return scaled[..., 0, :] if weights.shape[-1] == 1 else scaled.sum(-2)  # embedding-R1


def check_inputs(table: Any, rows: Any, weights: Any) -> None:
    """Raise ShapeError if the arguments of `embedding` are invalid."""
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    require_float_dtype("embedding", table=table, weights=weights)
    check_row_indices("embedding", rows, sizes["V"])
