"""Checks of arrays, beyond those of the operators of `mindref.ops`.

Spec: specs/notation.md, specs/numerics.md. Shapes and dtypes are also checked while JAX traces a
function. Values are checked only outside of traced functions.
"""

from __future__ import annotations

import jax
import numpy as np
from jax import Array

from mindref.errors import ShapeError, say
from mindref.ops import embedding


def reject_rounding(subject: str, x: Array) -> None:
    """Raise ShapeError for an array of float64 that JAX would round (numerics-R1).

    Without 64-bit dtypes, JAX rounds float64 arrays to float32.
    """
    if x.dtype == np.float64 and not jax.config.jax_enable_x64:
        todo = "call it inside `with jax.enable_x64(True):`"
        raise ShapeError(say(subject, "float32 while JAX has no 64-bit dtypes", x.dtype, todo))


def check_row_indices(subject: str, rows: Array, count: int) -> None:
    """Raise ShapeError unless rows are integers and, outside of traces, from 0 to count - 1."""
    values = np.asarray(rows) if has_values(rows) else np.empty(0, rows.dtype)
    embedding.check_row_indices(subject, values, count)  # embedding-R4, R7


def has_values(x: Array) -> bool:
    """Return whether an array has values; a tracer has none."""
    return not isinstance(x, jax.core.Tracer)


def values_or_ones(x: Array) -> Array:
    """Return an array; while JAX traces, ones of its shape and dtype, valid for every check."""
    return x if has_values(x) else np.broadcast_to(np.ones((), x.dtype), x.shape)
