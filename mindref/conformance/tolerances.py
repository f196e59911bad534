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

LOSS_CURVE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 2e-5}  # numerics-R9
"""Relative, for each of the first 50 losses of two trainings on the same batches from the same
parameters. A loss is one evaluation of a formula, so its share is SAME_MATH. Steps add to it, as
Adam divides by the root of the second moment: where a gradient is mostly rounding, a parameter may
go by a learning rate either way. In float64 1e-9 is room for that. In float32 what a loss feels of
it stays within SAME_MATH: 3e-7 was seen between four implementations, which part later."""

ROUNDING = 4  # numerics-R9
"""Relative, in units of the type's eps, for a handful of operations without cancellation."""

SOLVED = 1e-3  # numerics-R9
"""Relative and absolute, float32, for what small systems of equations are solved to: the condition
of the systems of WALS reaches some tens, and rounds of them follow one another."""

VANISHING = 1e-14  # numerics-R9
"""Absolute, float64, for what is zero on paper: some tens of terms of order one that cancel."""

STANDARD_ERRORS = 4.0  # numerics-R9
"""For a mean or a share of random draws from a fixed seed: how many standard errors it may lie off.
A right generator does so for one seed in 16,000."""

WORKED_EXAMPLE = 5e-7  # numerics-R9
"""Absolute, for the printed numbers of a page, which have six decimals after the point."""


def same_math(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for two evaluations of one formula in this type."""
    return SAME_MATH[np.dtype(dtype)]


def rounding(dtype: npt.DTypeLike) -> float:
    """Return the tolerance for a handful of roundings in this type."""
    return ROUNDING * float(np.finfo(dtype).eps)
