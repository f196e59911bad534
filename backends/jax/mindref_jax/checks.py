"""What the operators refuse: arrays whose shapes or types do not fit each other.

Spec: specs/notation.md, specs/numerics.md. Shapes and types are known while a function is traced
and are looked at there, too; values are looked at only where there are any.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from mindref import shapes
from mindref.errors import ShapeError, say

axis_within = shapes.axis_within
bind = shapes.bind


def same_float(where: str, **arrays: Any) -> None:
    """Raise ShapeError unless all arrays have one type, float32 or float64 (numerics-R1).

    JAX would round an array of float64 to float32 where its types of 64 bits are off.
    """
    dtype = shapes.same_float(where, **arrays)
    if dtype == np.float64 and not jax.config.jax_enable_x64:
        todo = "call it inside `with jax.enable_x64(True):`"
        raise ShapeError(say(where, "float32 while JAX has its 64-bit types off", dtype, todo))


def boolean(where: str, **masks: Any) -> None:
    """Raise ShapeError unless every mask is boolean (numerics-R3)."""
    shapes.boolean(where, **masks)


def one_of(where: str, known: tuple[str, ...], word: object) -> None:
    """Raise ShapeError unless the word is a known one."""
    if word not in known:
        raise ShapeError(say(where, " or ".join(known), word))


def rows_within(where: str, rows: Any, count: int) -> None:
    """Raise ShapeError unless rows are integers, and from 0 to count - 1 where they are known."""
    if rows.dtype.kind not in "iu":  # embedding-R7
        raise ShapeError(say(f"{where}: rows", "integers", rows.dtype))
    if known(rows):
        found = np.asarray(rows)
        outside = found[(found < 0) | (found >= count)]  # embedding-R4
        if outside.size:
            wanted = f"indices from 0 to {count - 1}"
            raise ShapeError(say(f"{where}: rows", wanted, int(outside[0])))


def known(x: Any) -> bool:
    """Return whether an array has values, and does not only stand for some while JAX traces."""
    return not isinstance(x, jax.core.Tracer)
