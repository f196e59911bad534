"""Masks with open positions, at which the errors of compared numbers could change the result.

At an open position, another implementation whose numbers are within their error bounds may get the
opposite result. If such a mask selects one of two values, both values are allowed there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand

Doubts = npt.NDArray[np.bool_]


class Choice(np.ndarray[Any, Any]):
    """A boolean mask; `doubts` is true at the positions where errors could change it.

    `~` keeps `doubts`; the result of every other operation is a plain mask.
    """

    COMPARISONS: ClassVar = (
        np.less,
        np.less_equal,
        np.greater,
        np.greater_equal,
        np.equal,
        np.not_equal,
    )
    doubts: Doubts

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Apply a universal function to the plain masks. For `~`, keep `doubts` in the result."""
        result = getattr(ufunc, method)(*(without_doubts(x) for x in inputs), **options)
        if ufunc is np.invert:
            return with_doubts(result, self.doubts)
        return result


def with_doubts(mask: Doubts, doubts: Doubts) -> Doubts:
    """Return the mask as a Choice, or unchanged if `doubts` is false at all positions."""
    if not np.any(doubts):
        return mask
    choice = np.asarray(mask).view(Choice)
    choice.doubts = doubts
    return choice


def without_doubts(mask: Any) -> Any:
    """Return the plain mask of a Choice, and anything else unchanged."""
    return mask.view(np.ndarray) if isinstance(mask, Choice) else mask


def doubts_of(mask: Any) -> Doubts | None:
    """Return a mask of the positions where errors could change `mask`; None if there are none."""
    return getattr(mask, "doubts", None)


def compare_with_doubts(a: Arithmetic, value: Doubts, x: Operand, y: Operand) -> Doubts:
    """Return the mask of a comparison. `doubts` is true where |x - y| is less than the errors."""
    gap = np.abs(np.subtract(x.value, y.value))  # NaN for equal infinities: no doubt
    return with_doubts(value, gap < a.factor * (x.error + y.error))
