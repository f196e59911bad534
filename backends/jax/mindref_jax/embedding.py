"""Vectors of items: weighted sums of rows of one table. Spec: specs/embedding.md."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from mindref.shapes import bind_axes, common_float_dtype
from mindref_jax.shapes import check_row_indices, reject_rounding


def embedding(table: Array, rows: Array, weights: Array) -> Array:
    """Map rows (M, F) of table (V, D), with weights (M, F), to their weighted sums (M, D).

    Raises ShapeError if shapes or dtypes do not match or a row is outside the table. While JAX
    traces, rows have no values; then the vector of a row outside the table is NaN.
    """
    check_inputs(table, rows, weights)
    return pool_rows(look_up_rows(table, rows), weights)


@partial(jax.jit, static_argnames="fill_value")  # traced once for each shape
def look_up_rows(table: Array, rows: Array, *, fill_value: float = math.nan) -> Array:
    """Return the rows (...) of a table as (..., D); fill_value for a row outside the table."""
    values = jnp.asarray(table)
    return values.at[rows].get(mode="fill", fill_value=fill_value, wrap_negative_indices=False)


@partial(jax.jit)
def pool_rows(vectors: Array, weights: Array) -> Array:
    """Return the sums over F of vectors (..., F, D) with weights (..., F)."""
    scaled = vectors * weights[..., None]
    # embedding-R2: a sum starts from 0, and 0 + -0.0 is not -0.0
    return scaled[..., 0, :] if weights.shape[-1] == 1 else scaled.sum(-2)  # embedding-R1


def check_inputs(table: Array, rows: Array, weights: Array) -> None:
    """Raise ShapeError if the arguments of `embedding` are invalid."""
    sizes = bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)
    reject_rounding("embedding", table)
    check_row_indices("embedding", rows, sizes["V"])
