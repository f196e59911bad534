"""Boolean masks from comparisons, with the positions where errors could change the mask.

At these positions, called doubts, a correct implementation may get the opposite result. If np.where
selects values with such a mask, both values are allowed at these positions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand

Doubts = npt.NDArray[np.bool_]


class Choice(np.ndarray[Any, Any]):
    """A boolean mask. `doubts` is true where errors could change the mask.

    `~mask` keeps `doubts`. Every other universal function of NumPy returns a plain mask.
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

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Apply `ufunc` to the masks without `doubts`. The result of `~mask` keeps `doubts`."""
        result = getattr(ufunc, method)(*(without_doubts(x) for x in inputs), **kwargs)
        if ufunc is np.invert:
            return with_doubts(result, self.doubts)
        return result


def with_doubts(mask: Doubts, doubts: Doubts) -> Doubts:
    """Return `mask` with the attribute `doubts`, or `mask` itself if all `doubts` are false."""
    if not np.asarray(doubts).any():
        return mask
    choice = np.asarray(mask).view(Choice)
    choice.doubts = doubts
    return choice


def without_doubts(mask: Any) -> Any:
    """Return `mask` without its `doubts`. Any other argument is returned unchanged."""
    return mask.view(np.ndarray) if isinstance(mask, Choice) else mask


def doubts_of(mask: Any) -> Doubts | None:
    """Return `mask.doubts`, or None if `mask` has no `doubts`."""
    return getattr(mask, "doubts", None)


def compare_with_doubts(a: Arithmetic, value: Doubts, x: Operand, y: Operand) -> Doubts:
    """Return `value`, a comparison of x and y, with doubts where |x - y| is below the errors."""
    gap = np.abs(np.subtract(x.value, y.value))  # inf - inf is NaN: no doubt
    return with_doubts(value, gap < a.factor * (x.error + y.error))
