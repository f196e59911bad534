"""Rules for the error of sums, and for the rounding error of an operation.

A unit is the largest relative error of one rounding. In mode "worst", errors are added: n roundings
have at most the error of n units. In mode "statistical", squares of errors are added: n independent
roundings have the error of sqrt(n) units. Source: Higham and Mary 2019; Ipsen and Zhou 2020.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.precision import MODES, TYPES, ULPS, Precision
from mindref.errors import ConfigError, say

Values = Any  # a float64 array, or one number that applies to all elements

FACTOR = {"worst": 1, "statistical": 2}
"""Mode -> allowed multiple of an error; 2 for "statistical", which estimates typical errors."""


class Operand(NamedTuple):
    """The values of an operand, and their error."""

    value: Values
    error: Values


class Arithmetic:
    """Error rules of one precision and mode. `doubts` counts argmax results that may be wrong."""

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

    def join(self, *errors: Values) -> Values:
        """Return the error of a sum of terms with these errors."""
        total = errors[0]
        for error in errors[1:]:
            total = np.hypot(total, error) if self.statistical else total + error
        return total

    def terms(self, count: Values) -> Values:
        """Return the rounding error of adding `count` terms, relative to the sum of magnitudes."""
        return self.accumulate * (np.sqrt(count) if self.statistical else count)

    def parts(self, x: Operand) -> tuple[Values, Values]:
        """Return the error of x in two parts: its last rounding (at most one unit) and the rest."""
        last_rounding = np.minimum(x.error, self.unit * np.abs(x.value))
        return last_rounding, np.sqrt(x.error - last_rounding) * np.sqrt(x.error + last_rounding)

    def rounded(self, value: Values, error: Values, name: str | None = None) -> Values:
        """Return `error` combined with the rounding error of function `name` (None: of + - * /)."""
        size = np.abs(value)
        rounding = self.unit * size + self.floor * (size != 0)
        if name is not None:
            ulps = ULPS[name].statistical if self.statistical else ULPS[name].worst
            rounding = rounding * (2 * ulps)
            if ULPS[name].absolute:
                rounding = rounding + 2 * ulps * self.unit
        return self.join(error, rounding)

    def constant(self, value: Values) -> Operand:
        """Return a constant of a formula with its error: 0 if the dtype represents it exactly."""
        array = np.asarray(value)
        if array.dtype.kind != "f" or self.unit <= TYPES["float64"].unit:
            return Operand(value, 0.0)
        mantissa, _ = np.frexp(array)
        scaled = mantissa / self.unit
        inexact = np.isfinite(scaled) & (scaled != np.rint(scaled))
        return Operand(value, np.where(inexact, self.unit * np.abs(array), 0.0))

    def input(self, value: Values) -> Values:
        """Return the error of an input: 0, unless sums or results have a coarser dtype."""
        input_unit = TYPES[self.precision.input].unit
        return (self.unit if input_unit < self.unit else 0.0) * np.abs(value)


def errors_without_nan(value: Values, error: Values) -> Values:
    """Return `error` in the shape of `value`; NaN becomes infinity (0 if `value` is not finite)."""
    if np.shape(error) != np.shape(value):
        error = np.broadcast_to(error, np.shape(value)).copy()
    if not math.isfinite(np.sum(error)):
        error = np.where(np.isfinite(value), np.where(np.isnan(error), np.inf, error), 0.0)
    return error
