"""How errors join, and what an operation adds to them.

Two readings of the same roundings. "worst": errors add up, and n roundings cost n units, which no
implementation can exceed. "statistical": roundings are independent, so their squares add up, and n
of them cost the root of n. Source: Higham and Mary 2019; Ipsen and Zhou 2020.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.precision import MODES, TYPES, ULPS, Precision
from mindref.errors import ConfigError, say

Numbers = Any  # an array of float64, or one number that stands for an array of it

FACTOR = {"worst": 1, "statistical": 2}
"""How many times an error may be exceeded: twice, if it is a statement about the typical case."""


class Operand(NamedTuple):
    """What goes into an operation: numbers, and how far they may lie off."""

    value: Numbers
    error: Numbers


class Arithmetic:
    """The rules of one precision in one mode; `doubts` counts what the values did not decide."""

    def __init__(self, precision: Precision, mode: str) -> None:
        """Prepare the rules. Raises ConfigError for an unknown mode."""
        if mode not in MODES:
            raise ConfigError(say("bounds: mode", " or ".join(MODES), mode))
        self.precision, self.mode = precision, mode
        self.statistical = mode == "statistical"
        self.factor = FACTOR[mode]
        self.accumulate = TYPES[precision.accumulate].unit
        self.store = TYPES[precision.store].unit
        self.unit = max(self.store, self.accumulate)
        self.floor = TYPES[precision.store].floor
        self.doubts = 0

    def join(self, *errors: Numbers) -> Numbers:
        """Return the error of a sum of terms with these errors."""
        total = errors[0]
        for error in errors[1:]:
            total = np.hypot(total, error) if self.statistical else total + error
        return total

    def terms(self, count: Numbers) -> Numbers:
        """Return what adding up `count` terms costs, in parts of the sum of their magnitudes."""
        return self.accumulate * (np.sqrt(count) if self.statistical else count)

    def parts(self, x: Operand) -> tuple[Numbers, Numbers]:
        """Return the error that is no more than an element's own last rounding, and the rest."""
        own = np.minimum(x.error, self.unit * np.abs(x.value))
        return own, np.sqrt(x.error - own) * np.sqrt(x.error + own)

    def rounded(self, value: Numbers, error: Numbers, name: str | None = None) -> Numbers:
        """Return the error of a result after the function `name` (or + - * /) rounded it."""
        size = np.abs(value)
        rounding = self.unit * size + self.floor * (size != 0)
        if name is not None:
            ulps = ULPS[name].statistical if self.statistical else ULPS[name].worst
            rounding = rounding * (2 * ulps)
            if ULPS[name].absolute:
                rounding = rounding + 2 * ulps * self.unit
        return self.join(error, rounding)

    def constant(self, value: Numbers) -> Operand:
        """Return a number of the formula: rounded to the type when it enters, unless it fits."""
        array = np.asarray(value)
        if array.dtype.kind != "f" or self.unit <= TYPES["float64"].unit:
            return Operand(value, 0.0)
        mantissa, _ = np.frexp(array)
        scaled = mantissa / self.unit
        inexact = np.isfinite(scaled) & (scaled != np.rint(scaled))
        return Operand(value, np.where(inexact, self.unit * np.abs(array), 0.0))

    def input(self, value: Numbers) -> Numbers:
        """Return the error of an input: none, unless the types that follow are coarser."""
        given = TYPES[self.precision.input].unit
        return (self.unit if given < self.unit else 0.0) * np.abs(value)


def settled(value: Numbers, error: Numbers) -> Numbers:
    """Return the error as an array like value, never NaN; infinity and NaN count as exact."""
    if np.shape(error) != np.shape(value):
        error = np.broadcast_to(error, np.shape(value)).copy()
    if not math.isfinite(np.sum(error)):
        error = np.where(np.isfinite(value), np.where(np.isnan(error), np.inf, error), 0.0)
    return error
