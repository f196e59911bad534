"""All tolerances between two results, each with its reason. No other module defines a tolerance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GRADIENT = 1e-7  # numerics-R9
"""Relative, in float64, for a gradient and the extrapolated central difference of `gradient.py`.

Central differences with steps h, h / 2 and h / 4, extrapolated by Romberg's rule, have a truncation
error of order h^6 and a rounding error of order eps / h. With h = 4e-3 along a direction of norm 1,
the truncation error is near 4e-15 times a seventh derivative, and the rounding error near 1e-12.
So 1e-7 covers seventh derivatives up to 1e7. Four iterations of routing on inputs from N(0, 1) have
derivatives of this size.
"""

SAME_MATH = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}  # numerics-R6, R9
"""Relative, for one formula of up to thousands of operations, in two orders of evaluation."""

LOSS_CURVE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 2e-5}  # numerics-R9
"""Relative, for the first 50 losses of two trainings with equal batches and initial parameters.

One evaluation of a loss may differ by SAME_MATH. Training steps increase this difference, because
Adam divides by the root of the second moment. If a gradient is mostly rounding error, a parameter
may move by one learning rate in either direction. In float64, 1e-9 covers this difference of the
losses. In float32, SAME_MATH is large enough: as long as their parameters were close, the losses of
four implementations differed by at most 3e-7.
"""

ROUNDING = 4  # numerics-R9
"""Relative, in units of the dtype's eps, for a few operations without cancellation."""

SOLVED = 1e-3  # numerics-R9
"""Relative and absolute, float32, for the solution of small linear systems.

The systems of WALS have condition numbers up to some tens. The errors of several sweeps
accumulate.
"""

VANISHING = 1e-14  # numerics-R9
"""Absolute, float64, for a sum of some tens of terms of order one whose exact value is zero."""

STANDARD_ERRORS = 4.0  # numerics-R9
"""Allowed deviation of the mean of random draws from its expected value, in standard errors.

The seed is fixed. With a correct generator, the mean deviates by more for one seed in 16,000.
"""

WORKED_EXAMPLE = 5e-7  # numerics-R9
"""Absolute, for the numbers on a specification page, which have six decimals."""


def same_math(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for two evaluations of one formula in this dtype."""
    return SAME_MATH[np.dtype(dtype)]


def rounding(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for a few roundings in this dtype."""
    return ROUNDING * float(np.finfo(dtype).eps)
