"""Rules for the error of sums, and for the rounding error of an operation.

Two models of the same roundings. "worst": errors add up, and n roundings cost n units; no
implementation can exceed this. "statistical": roundings are independent, so that their squares add
up, and n of them cost the root of n. Source: Higham and Mary 2019; Ipsen and Zhou 2020.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.precision import MODES, TYPES, ULPS, Precision
from mindref.errors import ConfigError, say

Values = Any  # a float64 array, or one number for all its elements

FACTOR = {"worst": 1, "statistical": 2}
"""Allowed multiple of an error: two in the statistical mode, which is about the typical case."""


class Operand(NamedTuple):
    """The values of an operand, and their error."""

    value: Values
    error: Values


class Arithmetic:
    """The error rules of one precision and mode; `doubts` counts open comparisons."""

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
        """Return the cost of adding `count` terms, relative to the sum of their magnitudes."""
        return self.accumulate * (np.sqrt(count) if self.statistical else count)

    def parts(self, x: Operand) -> tuple[Values, Values]:
        """Return the part of an error that is an element's own last rounding, and the rest."""
        last_rounding = np.minimum(x.error, self.unit * np.abs(x.value))
        return last_rounding, np.sqrt(x.error - last_rounding) * np.sqrt(x.error + last_rounding)

    def rounded(self, value: Values, error: Values, name: str | None = None) -> Values:
        """Return the error of a result after the function `name` (or + - * /) rounded it."""
        size = np.abs(value)
        rounding = self.unit * size + self.floor * (size != 0)
        if name is not None:
            ulps = ULPS[name].statistical if self.statistical else ULPS[name].worst
            rounding = rounding * (2 * ulps)
            if ULPS[name].absolute:
                rounding = rounding + 2 * ulps * self.unit
        return self.join(error, rounding)

    def constant(self, value: Values) -> Operand:
        """Return a constant of a formula, rounded to the dtype unless it is representable."""
        array = np.asarray(value)
        if array.dtype.kind != "f" or self.unit <= TYPES["float64"].unit:
            return Operand(value, 0.0)
        mantissa, _ = np.frexp(array)
        scaled = mantissa / self.unit
        inexact = np.isfinite(scaled) & (scaled != np.rint(scaled))
        return Operand(value, np.where(inexact, self.unit * np.abs(array), 0.0))

    def input(self, value: Values) -> Values:
        """Return the error of an input: 0, unless later dtypes are coarser."""
        input_unit = TYPES[self.precision.input].unit
        return (self.unit if input_unit < self.unit else 0.0) * np.abs(value)


def finite_errors(value: Values, error: Values) -> Values:
    """Return the error in the shape of value, never NaN; infinity and NaN count as exact."""
    if np.shape(error) != np.shape(value):
        error = np.broadcast_to(error, np.shape(value)).copy()
    if not math.isfinite(np.sum(error)):
        error = np.where(np.isfinite(value), np.where(np.isnan(error), np.inf, error), 0.0)
    return error
