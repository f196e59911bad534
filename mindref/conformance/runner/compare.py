"""Compare an answer with the expected interval: the error ratio, and its description."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mindref.conformance.runner.call import AnyArray

if TYPE_CHECKING:
    from mindref.conformance.runner.reference import ExpectedArray


def largest_error_ratio(got: AnyArray, want: ExpectedArray) -> float:
    """Return the largest |error| / error bound; infinity if one is finite and the other is not.

    An expected infinity or NaN must not be answered by a finite number (numerics-R13), and vice
    versa.
    """
    return float(np.max(error_ratios(got, want), initial=0.0))


def error_ratios(got: AnyArray, want: ExpectedArray) -> AnyArray:
    """Return |got - value| / allowed of each number; 0 if both are equal or no bound applies."""
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
    return np.where(~strange & np.isinf(want.allowed), 0.0, shares)  # no bound applies


def allowed_interval(want: ExpectedArray) -> tuple[AnyArray, AnyArray]:
    """Return the smallest and the largest allowed value."""
    value = np.asarray(want.value)
    if value.dtype.kind in "biu":
        return value, value
    with np.errstate(all="ignore"):
        return value - want.allowed, value + want.allowed


def describe_deviation(name: str, got: AnyArray, want: ExpectedArray) -> str:
    """Return a description of the largest error: position, answer and expected interval."""
    shares = error_ratios(got, want)
    position = np.unravel_index(int(np.argmax(shares)), shares.shape)
    label = f"{name}[{', '.join(map(str, position))}]" if position else name
    value, share = np.asarray(want.value)[position], float(shares[position])
    if np.asarray(want.value).dtype.kind in "biu":
        return f"{label} is {got[position]}, expected {value}"
    allowed = float(np.asarray(want.allowed)[position])
    off = int(np.sum(shares > 1))
    text = f"{label} is {float(got[position]):.9g}, expected {float(value):.9g}"
    text += f" ± {allowed:.2g}" if allowed else " exactly"
    if np.isfinite(share):
        text += f" ({share:.3g} times the error bound)"
    return text + (f"; {off} of {shares.size} numbers are outside" if shares.size > 1 else "")
