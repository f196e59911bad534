"""Masks that record where the errors of the compared numbers leave the result open.

At such a position, another implementation within its error may get the opposite result. A selection
by the mask may then be either value.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand

Doubts = npt.NDArray[np.bool_]


class Choice(np.ndarray[Any, Any]):
    """A boolean mask that marks its open positions.

    `~` keeps the marks; every other operation removes them.
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
        """Apply a universal function to the plain masks."""
        result = getattr(ufunc, method)(*(without_doubts(x) for x in inputs), **options)
        if ufunc is np.invert:
            return with_doubts(result, self.doubts)
        return result


def with_doubts(mask: Doubts, doubts: Doubts) -> Doubts:
    """Return the mask as a Choice, or unchanged if no position is open."""
    if not np.any(doubts):
        return mask
    choice = np.asarray(mask).view(Choice)
    choice.doubts = doubts
    return choice


def without_doubts(mask: Any) -> Any:
    """Return the plain mask of a Choice, and anything else unchanged."""
    return mask.view(np.ndarray) if isinstance(mask, Choice) else mask


def doubts_of(mask: Any) -> Doubts | None:
    """Return where the mask is open; None for nowhere."""
    return getattr(mask, "doubts", None)


def compare_with_doubts(a: Arithmetic, value: Doubts, x: Operand, y: Operand) -> Doubts:
    """Return the mask of a comparison, marked where the errors of x and y leave it open."""
    gap = np.abs(np.subtract(x.value, y.value))  # NaN for equal infinities: not open
    return with_doubts(value, gap < a.factor * (x.error + y.error))
