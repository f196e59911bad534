"""Arrays of one layout and one integer type, so that a function is compiled once.

Numba compiles a function again for each layout and each type of its arguments. Spec:
specs/numerics.md, numerics-R14 and R15.
"""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np

from mindref.shapes import Array, Bools, Ints

T = TypeVar("T")
Kind = TypeVar("Kind", Array, Bools, Ints)


def writable_contiguous(x: Kind) -> Kind:
    """Return x, or a copy if x is not C-contiguous, aligned and writable.

    All results have one Numba type, so that a function is not compiled again for other layouts.
    """
    return np.require(x, requirements=("C", "A", "W"))


def readonly_contiguous(x: Kind) -> Kind:
    """Return a read-only view of x, or a copy if x is not C-contiguous and aligned.

    All results have the same Numba type, and matrix products need no further copy.
    """
    view = np.require(x, requirements=("C", "A")).view()
    view.flags.writeable = False
    return view


def contiguous_integers(x: Ints) -> Ints:
    """Return a read-only, C-contiguous array of int64 with the integers of x."""
    return readonly_contiguous(x.astype(np.int64, copy=False))  # numerics-R15


def contiguous_arrays(x: T) -> T:
    """Return x (nested named tuples) with contiguous arrays; integers have the type int64.

    Arrays that are C-contiguous and aligned are not copied.
    """
    if isinstance(x, tuple):
        parts = map(contiguous_arrays, x)
        return cast(T, type(x)(*parts) if hasattr(x, "_fields") else tuple(parts))
    if not isinstance(x, np.ndarray):
        return x
    is_integer = x.dtype.kind in "iu"
    array = x.astype(np.int64, copy=False) if is_integer else x  # numerics-R15
    return cast(T, np.require(array, requirements=("C", "A")))  # numerics-R14
