"""An answer beside an interval: how much of the allowed error is used, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mindref.conformance.judging.call import Anything

if TYPE_CHECKING:
    from mindref.conformance.judging.reference import Expected


def ratio(got: Anything, want: Expected) -> float:
    """Return the largest share of the allowed error that is used; infinity where kinds differ.

    What should be infinite or NaN must be no finite number (numerics-R13), and the other way round.
    """
    return float(np.max(ratios(got, want), initial=0.0))


def ratios(got: Anything, want: Expected) -> Anything:
    """Return |got - value| / allowed for each number, 0 where both are equal or all is allowed."""
    value = np.asarray(want.value)
    if value.dtype.kind in "biu":
        return np.where(got == value, 0.0, np.inf)
    got = got.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.abs(got - value)
        shares = np.where(apart == 0, 0.0, apart / want.allowed)
    strange = ~np.isfinite(value)
    shares = np.where(strange, np.where(np.isfinite(got), np.inf, 0.0), shares)
    shares = np.where(np.isnan(shares) | (~strange & ~np.isfinite(got)), np.inf, shares)
    return np.where(~strange & np.isinf(want.allowed), 0.0, shares)  # nothing is promised there


def interval(want: Expected) -> tuple[Anything, Anything]:
    """Return the smallest and the largest value allowed."""
    value = np.asarray(want.value)
    if value.dtype.kind in "biu":
        return value, value
    with np.errstate(all="ignore"):
        return value - want.allowed, value + want.allowed


def words(name: str, got: Anything, want: Expected) -> str:
    """Say which number is off, what came and what was expected."""
    shares = ratios(got, want)
    place = np.unravel_index(int(np.argmax(shares)), shares.shape)
    at = f"{name}[{', '.join(map(str, place))}]" if place else name
    value, share = np.asarray(want.value)[place], float(shares[place])
    if np.asarray(want.value).dtype.kind in "biu":
        return f"{at} is {got[place]}, expected {value}"
    allowed = float(np.asarray(want.allowed)[place])
    off = int(np.sum(shares > 1))
    text = f"{at} is {float(got[place]):.9g}, expected {float(value):.9g}"
    text += f" ± {allowed:.2g}" if allowed else " exactly"
    if np.isfinite(share):
        text += f" ({share:.3g} times the allowed error)"
    return text + (f"; {off} of {shares.size} numbers are off" if shares.size > 1 else "")
