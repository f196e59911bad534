"""Checks of arrays, beyond those of the operators of `mindref.ops`.

Spec: specs/notation.md, specs/numerics.md. Shapes and dtypes are also checked while JAX traces a
function. Values are checked only outside of traced functions.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from mindref import shapes
from mindref.errors import ShapeError, say

bind_axes, require_bool = shapes.bind_axes, shapes.require_bool


def require_float_dtype(subject: str, **arrays: Any) -> None:
    """Raise ShapeError unless all arrays have one dtype, float32 or float64 (numerics-R1).

    Without 64-bit dtypes, JAX would round float64 arrays to float32.
    """
    dtype = shapes.common_float_dtype(subject, **arrays)
    if dtype == np.float64 and not jax.config.jax_enable_x64:
        todo = "call it inside `with jax.enable_x64(True):`"
        raise ShapeError(say(subject, "float32 while JAX has no 64-bit dtypes", dtype, todo))


def check_row_indices(subject: str, rows: Any, count: int) -> None:
    """Raise ShapeError unless rows are integers and, outside of traces, from 0 to count - 1."""
    if rows.dtype.kind not in "iu":  # embedding-R7
        raise ShapeError(say(f"{subject}: rows", "integers", rows.dtype))
    if has_values(rows):
        values = np.asarray(rows)
        outside = values[(values < 0) | (values >= count)]  # embedding-R4
        if outside.size:
            expected = f"indices from 0 to {count - 1}"
            raise ShapeError(say(f"{subject}: rows", expected, int(outside[0])))


def has_values(x: Any) -> bool:
    """Return whether an array has values; a tracer has none."""
    return not isinstance(x, jax.core.Tracer)


def values_or_default(x: Any, default: Any) -> Any:
    """Return an array; while JAX traces, an array of its shape and dtype with a valid value."""
    return x if has_values(x) else np.broadcast_to(np.asarray(default, x.dtype), x.shape)
