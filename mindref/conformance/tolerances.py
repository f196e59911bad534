"""All tolerances for comparing two results, each with a reason. No other module defines one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GRADIENT = 1e-7  # numerics-R9
"""Relative tolerance in float64 between a gradient and the central difference in `gradient.py`.

The central difference is extrapolated from the steps h, h / 2 and h / 4 (Romberg's rule). The
truncation error has order h^6, and the rounding error has order eps / h. With h = 4e-3, the
truncation error is near 4e-15 times the seventh derivative. The rounding error is near 1e-12.
So 1e-7 is enough for seventh derivatives up to 1e7. Four iterations of routing on inputs from
N(0, 1) have derivatives of this size.
"""

SAME_MATH = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}  # numerics-R6, R9
"""Relative tolerance for one formula of up to thousands of operations, computed in two orders."""

LOSS_CURVE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 2e-5}  # numerics-R9
"""Relative tolerance for the first 50 losses of two trainings.

The trainings have equal batches and initial parameters. Two evaluations of one loss may differ by
SAME_MATH. Training steps increase this difference. If a gradient is mostly rounding error, Adam may
move a parameter by one learning rate in either direction. In float64, 1e-9 covers this difference.
In float32, the value of SAME_MATH is enough: the losses of four implementations differed by at most
3e-7 while their parameters were close.
"""

ROUNDING = 4  # numerics-R9
"""Relative tolerance in multiples of the dtype's eps, for a few operations without cancellation."""

SOLVED = 1e-3  # numerics-R9
"""Relative and absolute tolerance in float32 for the solution of small linear systems.

The systems of the model WALS have condition numbers up to some tens. The errors of several sweeps
(passes over all users and items) add up.
"""

VANISHING = 1e-14  # numerics-R9
"""Absolute tolerance in float64 for a sum of some tens of terms of order one that is exactly 0."""

STANDARD_ERRORS = 4.0  # numerics-R9
"""The mean of random draws may deviate from its expected value by this many standard errors.

The seed is fixed. Even with a correct generator, one seed in 16,000 gives a larger deviation.
"""

WORKED_EXAMPLE = 5e-7  # numerics-R9
"""Absolute tolerance for numbers on a specification page, which are printed with six decimals."""


def same_math(dtype: npt.DTypeLike) -> float:
    """Return the tolerance SAME_MATH for `dtype`."""
    return SAME_MATH[np.dtype(dtype)]


def rounding(dtype: npt.DTypeLike) -> float:
    """Return ROUNDING times the eps of `dtype`."""
    return ROUNDING * float(np.finfo(dtype).eps)
