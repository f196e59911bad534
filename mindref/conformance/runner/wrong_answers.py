"""Compare two answers that may both be wrong: are they equal up to rounding?

Spec: specs/conformance.md, conformance-R20. The error bounds of an answer hold at the numbers of
the reference. Elsewhere, this module scales the bounds with the largest number of the array.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mindref.conformance.bounds.precision import TYPES, Precision
from mindref.conformance.runner.call import AnyArray
from mindref.conformance.runner.reference import ExpectedArray

MIN_ROUNDINGS = 100
"""The smallest bound, in roundings of the largest number."""


def equal_up_to_rounding(
    first: AnyArray, second: AnyArray, bounds: Iterable[ExpectedArray], precision: Precision
) -> bool:
    """Return whether two arrays are equal up to the rounding errors of a computation.

    The bound is the largest error bound in `bounds`, relative to the largest expected number, times
    the largest number of both arrays. It has at least MIN_ROUNDINGS roundings, and at most half of
    the digits. Integers must be equal. A number must be finite in both arrays or in none.
    """
    if first.shape != second.shape:
        return False
    if first.dtype.kind in "biu":
        return np.array_equal(first, second)
    first, second = first.astype(np.float64), second.astype(np.float64)
    finite = np.isfinite(first)
    if not np.array_equal(finite, np.isfinite(second)):
        return False
    unit = max(TYPES[precision.input].unit, TYPES[precision.store].unit)
    relative = max([MIN_ROUNDINGS * unit, *map(relative_bound, bounds)])
    largest = max(largest_finite(first), largest_finite(second))
    bound = min(relative, np.sqrt(unit)) * largest
    return bool(np.max(np.abs(first[finite] - second[finite]), initial=0.0) <= bound)


def relative_bound(expected: ExpectedArray) -> float:
    """Return the largest error bound, relative to the largest expected number, or 0."""
    largest = largest_finite(expected.value)
    return largest_finite(expected.allowed) / largest if largest else 0.0


def largest_finite(x: AnyArray) -> float:
    """Return the largest absolute value of the finite numbers in `x`, or 0."""
    x = np.asarray(x, np.float64)
    return float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
