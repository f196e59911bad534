"""Masks that remember where the errors of what was compared leave the answer open.

Another implementation, right to within its error, may find such a place on the other side: then
what is chosen by the mask may be either.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand

Doubts = npt.NDArray[np.bool_]


class Choice(np.ndarray[Any, Any]):
    """A mask with its doubts, which only `~` hands on; else it is a plain mask."""

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
    """Return the mask as a Choice, or itself if there is no doubt."""
    if not np.any(doubts):
        return mask
    choice = np.asarray(mask).view(Choice)
    choice.doubts = doubts
    return choice


def without_doubts(mask: Any) -> Any:
    """Return the plain mask of a Choice, and anything else as it is."""
    return mask.view(np.ndarray) if isinstance(mask, Choice) else mask


def doubts_of(mask: Any) -> Doubts | None:
    """Return where the mask might be otherwise; None for nowhere."""
    return getattr(mask, "doubts", None)


def chosen(a: Arithmetic, value: Doubts, x: Operand, y: Operand) -> Doubts:
    """Return the outcome of a comparison with its doubts."""
    gap = np.abs(np.subtract(x.value, y.value))  # NaN for equal infinities: no doubt
    return with_doubts(value, gap < a.factor * (x.error + y.error))
