"""Combine errors, and add the rounding error of an operation.

One rounding has a relative error of at most `unit`. In mode "worst", errors are added: n roundings
have an error of at most n * unit. In mode "statistical", squares of errors are added: n independent
roundings have an error of sqrt(n) * unit. Source: Higham and Mary 2019; Ipsen and Zhou 2020.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.precision import MODES, TYPES, ULPS, Precision
from mindref.errors import ConfigError, say
from mindref.shapes import Array

Values = Any  # a float64 array, or one number for all elements

FACTOR = {"worst": 1, "statistical": 2}
"""Mode -> factor. A result may deviate by this factor times the computed error."""


class Operand(NamedTuple):
    """The values of an array or a number, and the error of each value."""

    value: Values
    error: Values

    @property
    def is_exact(self) -> bool:
        """Return whether this is a constant without errors, for which rules omit terms."""
        return type(self.error) is float and self.error == 0


class Arithmetic:
    """Error rules for one precision and mode. `doubts` counts argmax results that may be wrong."""

    def __init__(self, precision: Precision, mode: str) -> None:
        """Store `precision` and `mode`. Raises ConfigError for an unknown mode."""
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
        """Return the error of a sum whose terms have the errors `errors`."""
        total = errors[0]
        for error in errors[1:]:
            total = np.hypot(total, error) if self.statistical else total + error
        return total

    def terms(self, count: Values) -> Values:
        """Return the rounding error of a sum of `count` terms, divided by the sum of |term|."""
        return self.accumulate * (np.sqrt(count) if self.statistical else count)

    def parts(self, x: Operand) -> tuple[Values, Values]:
        """Split the error of x: return the error of the last rounding, and the remaining error."""
        last_rounding = np.minimum(x.error, self.unit * np.abs(x.value))
        return last_rounding, np.sqrt(x.error - last_rounding) * np.sqrt(x.error + last_rounding)

    def rounded(self, value: Values, error: Values, name: str | None = None) -> Values:
        """Combine `error` with the rounding error of the function `name`, or of + - * / if None."""
        size = np.abs(value)
        rounding = self.unit * size + (self.floor if size.all() else self.floor * (size != 0))
        if name is not None:
            ulps = ULPS[name].statistical if self.statistical else ULPS[name].worst
            rounding = rounding * (2 * ulps)
            if ULPS[name].absolute:
                rounding = rounding + 2 * ulps * self.unit
        return self.join(error, rounding)

    def constant(self, value: Values) -> Operand:
        """Return the constant `value` and its error, which is 0 if the dtype can represent it."""
        if self.unit <= TYPES["float64"].unit:
            return Operand(value, 0.0)
        array = np.asarray(value)
        if array.dtype.kind != "f":
            return Operand(value, 0.0)
        mantissa, _ = np.frexp(array)
        scaled = mantissa / self.unit
        inexact = np.isfinite(scaled) & (scaled != np.rint(scaled))
        return Operand(value, np.where(inexact, self.unit * np.abs(array), 0.0))

    def input(self, value: Values) -> Values:
        """Return one rounding error of `value` if sums or results have a coarser dtype, else 0."""
        input_unit = TYPES[self.precision.input].unit
        return (self.unit if input_unit < self.unit else 0.0) * np.abs(value)


def errors_without_nan(value: Array, error: Values) -> Values:
    """Broadcast `error` to `value`. Replace NaN by infinity, or by 0 if `value` is not finite."""
    error = np.asarray(error)
    if error.shape != value.shape:
        error = np.broadcast_to(error, value.shape).copy()
    if not math.isfinite(error.sum()):
        error = np.where(np.isfinite(value), np.where(np.isnan(error), np.inf, error), 0.0)
    return error
