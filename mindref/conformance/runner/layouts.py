"""Lay out the arrays of a call in memory: other orders, strides and offsets, the same numbers.

Spec: specs/numerics.md, numerics-R14. Reproduction scripts contain this code, so it must not import
the suite.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LAYOUTS = ("fortran", "reversed", "every second", "inside", "offset", "repeated")
"""Names of the layouts, apart from C order, which has the name ""."""

EDGE = 3
"""Number of unused numbers before and after the array in the layout "offset"."""


def lay_out(x: Any, layout: str) -> Any:
    """Return a view that has the numbers of `x` and this layout in memory.

    fortran: Fortran order; reversed: negative strides; every second: strides twice as large;
    inside: a part of an array that is larger along each axis; offset: C order, not at the start of
    the memory; repeated: read-only, with stride 0 along the first axis, if its rows are equal.
    If `layout` is "", return `x`.
    """
    if not layout:
        return x
    if layout == "repeated":
        equal = x.ndim > 0 and len(x) > 0 and np.array_equal(x, np.broadcast_to(x[:1], x.shape))
        return np.broadcast_to(x[:1].copy(), x.shape) if equal else x
    if layout == "fortran" or x.ndim == 0:
        return np.array(x, order="F")
    base, view = empty_base(x, layout)
    base.reshape(-1).view(np.uint8)[...] = 0xFF  # unused memory: NaN, -1 or true
    view[...] = x
    return view


def empty_base(x: Any, layout: str) -> tuple[Any, Any]:
    """Return new memory, and a view of it with the shape of `x` and this layout."""
    if layout == "reversed":
        base = np.empty(x.shape, x.dtype)
        return base, base[(slice(None, None, -1),) * x.ndim]
    if layout == "every second":
        base = np.empty([2 * n for n in x.shape], x.dtype)
        return base, base[(slice(None, None, 2),) * x.ndim]
    if layout == "inside":
        base = np.empty([n + 2 for n in x.shape], x.dtype)
        return base, base[(slice(1, -1),) * x.ndim]
    base = np.empty(x.size + 2 * EDGE, x.dtype)
    return base, base[EDGE : EDGE + x.size].reshape(x.shape)


def memory_of(x: Any) -> Any:
    """Return the array that owns the memory of the view `x`."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x
