"""Matrix products within compiled code, where no thread holds Python's lock.

Numba calls the BLAS of SciPy. It reads the number of threads from the same variables as NumPy's
BLAS (specs/speed.md), but has another thread pool. Two thread pools that alternate slow each other
down, so all products of a step use this module.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.linalg import cython_blas

from mindref.kernels._jit import jit_inline
from mindref.shapes import Array

BLAS: ModuleType = cython_blas
"""The BLAS of the products. Cached code depends on the width of its integers: see `_jit`."""


@jit_inline
def matmul_into(a: Array, b: Array, out: Array) -> None:
    """Write a b (M, N) of a (M, I) and b (I, N); each is contiguous or the transpose of one."""
    np.dot(a, b, out)
