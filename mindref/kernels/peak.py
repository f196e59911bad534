"""Multiply-adds at the peak rate of compiled vector code, which `mindref bench` measures."""

from __future__ import annotations

from mindref.kernels._jit import jit_ordered
from mindref.shapes import Array

CHAIN = 8
"""Multiply-adds for each number that is read."""


@jit_ordered
def multiply_add(x: Array, repeats: int) -> None:
    """Replace each number of x (N,), small enough for a cache, by x / 2 + 1, in chains."""
    factor, term = x.dtype.type(0.5), x.dtype.type(1)
    for _ in range(repeats):
        for i in range(x.shape[0]):
            y = x[i]
            for _ in range(CHAIN):
                y = y * factor + term
            x[i] = y
