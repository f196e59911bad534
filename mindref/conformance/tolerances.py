"""All tolerances between two results, each with its reason. No other module defines one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GRADIENT = 1e-7  # numerics-R9
"""Relative, float64: a gradient against the extrapolated central difference of `gradient.py`.

Central differences with steps h, h / 2 and h / 4, extrapolated by Romberg's rule, have a truncation
error of order h^6 and a rounding error of order eps / h. With h = 4e-3 along a direction of norm 1,
the first is near 4e-15 times a seventh derivative, and the second near 1e-12. The tolerance 1e-7
covers seventh derivatives up to 1e7; four iterations of routing on standard normal inputs reach
them.
"""

SAME_MATH = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 2e-5}  # numerics-R6, R9
"""Relative: one formula evaluated in two orders, with hundreds to thousands of roundings."""

LOSS_CURVE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 2e-5}  # numerics-R9
"""Relative: each of the first 50 losses of two trainings on the same batches from the same
parameters.

A loss is one evaluation of a formula, which costs SAME_MATH. Training steps add to it: Adam divides
by the root of the second moment. Where a gradient is mostly rounding, a parameter may move by one
learning rate in either direction. In float64, 1e-9 covers that. In float32, the effect on the loss
stays within SAME_MATH: four implementations differed by 3e-7 before their parameters diverged.
"""

ROUNDING = 4  # numerics-R9
"""Relative, in units of the dtype's eps: a handful of operations without cancellation."""

SOLVED = 1e-3  # numerics-R9
"""Relative and absolute, float32: the solution of small linear systems.

The condition number of the systems of WALS reaches some tens, and several sweeps follow one
another.
"""

VANISHING = 1e-14  # numerics-R9
"""Absolute, float64: a sum that is zero on paper, of some tens of terms of order one."""

STANDARD_ERRORS = 4.0  # numerics-R9
"""Number of standard errors that a mean of random draws from a fixed seed may be off.

A correct generator exceeds it for one seed in 16,000.
"""

WORKED_EXAMPLE = 5e-7  # numerics-R9
"""Absolute: printed numbers of a page, which have six decimals."""


def same_math(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for two evaluations of one formula in this dtype."""
    return SAME_MATH[np.dtype(dtype)]


def rounding(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for a handful of roundings in this dtype."""
    return ROUNDING * float(np.finfo(dtype).eps)
