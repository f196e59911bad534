"""Products of matrices within compiled code, where no other thread waits for Python meanwhile.

They are those of BLAS, of the copy that SciPy brings: Numba calls it. It takes its number of
threads from where NumPy's copy does (specs/speed.md), but its threads are others, and two pools in
turns fight for the cores: a step has all of its products from here.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.linalg import cython_blas

from mindref.kernels._jit import jit, jit_within
from mindref.shapes import Array

BLAS: ModuleType = cython_blas
"""That of the products. What is kept was compiled for the width of its integers: see `_jit`."""


@jit_within
def product(a: Array, b: Array, out: Array) -> None:
    """Write a b (M, N) of matrices (M, I) and (I, N), each contiguous or the transpose of one."""
    np.dot(a, b, out)


@jit
def product_by_rows(a: Array, b: Array, out: Array) -> None:
    """Write a^T b (I, N) of matrices (M, I) and (M, N): a sum over their rows."""
    product(a.T, b, out)


def steady(x: Array) -> Array:
    """Return x, a view that is only read, or a copy where its numbers are not side by side.

    So all that are given have one type, and products need no copy of their own.
    """
    view = np.require(x, requirements=("C", "A")).view()
    view.flags.writeable = False
    return view
