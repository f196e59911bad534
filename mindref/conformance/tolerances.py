"""How far two results may lie apart; the one place, each number with its reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GRADIENT = 1e-7  # numerics-R9
"""Relative, float64, for a gradient against the extrapolated central difference of `gradient.py`.

Three central differences with steps h, h / 2, h / 4 and Romberg's extrapolation leave a truncation
of order h^6 and a rounding of order eps / h. With h = 4e-3 along a direction of length one the
first is near 4e-15 times a seventh derivative and the second near 1e-12, so 1e-7 leaves room for
seventh derivatives up to 1e7, which four rounds of routing on standard normal inputs do reach."""

SAME_MATH = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}  # numerics-R6, R9
"""Relative, for one formula evaluated in two orders: hundreds to thousands of roundings."""

WORKED_EXAMPLE = 5e-7  # numerics-R9
"""Absolute, for the printed numbers of a page, which have six decimals after the point."""


def same_math(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for two evaluations of one formula in this type."""
    return SAME_MATH[np.dtype(dtype)]
