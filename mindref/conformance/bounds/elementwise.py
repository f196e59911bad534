"""Errors of elementwise functions: the effect of the errors of x and y, plus rounding.

A rule such as `exp_error` computes how much exp(x) can change if x changes by its error.
In mode "worst", the bound may be too wide, but not too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand, Values

Rule = Callable[..., Values]


def add_error(a: Arithmetic, value: Values, x: Operand, y: Operand) -> Values:
    """Return the error of x + y, or of x - y: the formula is the same."""
    return a.rounded(value, joint_error(a, x, y, x.error, y.error))


def multiply_error(a: Arithmetic, value: Values, x: Operand, y: Operand) -> Values:
    """Return the error of x * y. If x * y underflows to 0, add the underflow threshold."""
    if x.is_exact:
        error = np.abs(x.value) * y.error
    elif y.is_exact:
        error = np.abs(y.value) * x.error
    else:
        of_x, of_y = np.abs(y.value) * x.error, np.abs(x.value) * y.error
        error = joint_error(a, x, y, of_x, of_y) + a.factor * x.error * y.error
    if not value.all():
        error = error + a.floor * ((value == 0) & (x.value != 0) & (y.value != 0))
    return a.rounded(value, error)


def divide_error(a: Arithmetic, value: Values, x: Operand, y: Operand) -> Values:
    """Return the error of x / y, which is infinite if the error of y allows y = 0."""
    least = np.abs(y.value) - a.factor * y.error
    error = a.join(x.error, np.abs(value) * y.error)
    if (least > 0).all():
        return a.rounded(value, error / least)
    error = error / np.where(least > 0, least, 1)
    wide = np.where(least > 0, error, np.where(y.error == 0, 0, np.inf))
    return a.rounded(value, wide)


def joint_error(a: Arithmetic, x: Operand, y: Operand, of_x: Values, of_y: Values) -> Values:
    """Return of_x + of_y if x and y are the same array; otherwise `a.join(of_x, of_y)`."""
    if x.is_exact or y.is_exact:
        return of_y if x.is_exact else of_x
    return of_x + of_y if x.error is y.error else a.join(of_x, of_y)


def exp_error(a: Arithmetic, value: Values, x: Operand) -> Values:
    """Return the error of exp(x). An absolute error of x is a relative error of exp(x)."""
    far = a.factor * x.error
    small = np.expm1(np.minimum(far, 1)) * value
    error = np.where(far <= 1, small, np.exp(x.value + far)) / a.factor
    vanished = a.floor * ((value == 0) & np.isfinite(x.value))
    return a.rounded(value, error + vanished, "exp")


def expm1_error(a: Arithmetic, value: Values, x: Operand) -> Values:
    """Return the error of exp(x) - 1. The slope of the function is exp(x)."""
    far = a.factor * x.error
    error = np.exp(x.value) * np.expm1(far) / a.factor
    return a.rounded(value, error, "expm1")


def log1p_error(a: Arithmetic, value: Values, x: Operand) -> Values:
    """Return the error of log(1 + x). It is infinite if the error of x allows 1 + x = 0."""
    share = error_quotient(a.factor * x.error, 1 + x.value)
    error = np.where(share < 1, -np.log1p(-np.where(share < 1, share, 0)), np.inf)
    return a.rounded(value, error / a.factor, "log1p")


def log_error(a: Arithmetic, value: Values, x: Operand) -> Values:
    """Return the error of log(x). A relative error of x is an absolute error of log(x)."""
    share = error_quotient(a.factor * x.error, x.value)
    error = np.where(share < 1, -np.log1p(-np.minimum(share, 0.5)), np.inf)
    error = np.where((share > 0.5) & (share < 1), -np.log1p(-np.where(share < 1, share, 0)), error)
    return a.rounded(value, error / a.factor, "log")


def sqrt_error(a: Arithmetic, value: Values, x: Operand) -> Values:
    """Return the error of sqrt(x): e / (sqrt(x) + sqrt(x - e)), where e is the error of x."""
    far = a.factor * x.error
    lower = np.sqrt(np.maximum(x.value - far, 0))
    between = np.maximum(value + lower, np.sqrt(far))
    return a.rounded(value, error_quotient(far, between) / a.factor, "sqrt")


def power_error(a: Arithmetic, value: Values, x: Operand, y: Operand) -> Values:
    """Return the error of x ** y for x >= 0 and a constant power y."""
    if np.ndim(y.value) or np.any(y.error):
        y = Operand(y.value, 0.0)
    share = error_quotient(a.factor * x.error, x.value)
    above = np.expm1(y.value * np.log1p(share))
    below = np.expm1(y.value * np.log1p(-np.minimum(share, 1)))
    error = np.abs(value) * np.maximum(np.abs(above), np.abs(below))
    at_zero = (a.factor * x.error) ** y.value
    error = np.where(x.value == 0, np.where(x.error == 0, 0, at_zero), error)
    return a.rounded(value, error / a.factor, "power")


def logaddexp_error(a: Arithmetic, value: Values, x: Operand, y: Operand) -> Values:
    """Return the error of log(e^x + e^y)."""
    of_x, of_y = np.exp(x.value - value), np.exp(y.value - value)
    grown = [
        np.minimum(part * np.exp(np.minimum(a.factor * z.error, 700)), 1) * z.error
        for part, z in ((of_x, x), (of_y, y))
    ]
    return a.rounded(value, a.join(*grown), "logaddexp")


def extreme_error(a: Arithmetic, value: Values, x: Operand, y: Operand) -> Values:
    """Return the error of max(x, y) or min(x, y)."""
    gaps = [np.where(z.value == value, 0, np.abs(value - z.value)) for z in (x, y)]
    far = [np.maximum(a.factor * z.error - gap, 0) for z, gap in zip((x, y), gaps, strict=True)]
    return np.maximum(*far) / a.factor


def error_quotient(part: Values, total: Values) -> Values:
    """Return part / |total|. 0 / 0 gives 0, and any other division by 0 gives infinity."""
    size = np.abs(total)
    zero = np.where(part == 0, 0.0, np.inf)
    return np.where(size > 0, part / np.where(size > 0, size, 1), zero)


RULES: dict[Any, Rule] = {
    np.add: add_error,
    np.subtract: add_error,
    np.multiply: multiply_error,
    np.true_divide: divide_error,
    np.exp: exp_error,
    np.expm1: expm1_error,
    np.log: log_error,
    np.log1p: log1p_error,
    np.sqrt: sqrt_error,
    np.power: power_error,
    np.square: lambda a, value, x: multiply_error(a, value, x, x),
    np.logaddexp: logaddexp_error,
    np.maximum: extreme_error,
    np.minimum: extreme_error,
    # if the error allows the opposite sign, the error of sign(x) is 2
    np.sign: lambda a, _, x: np.where(np.abs(x.value) < a.factor * x.error, 2.0, 0.0),
    **dict.fromkeys((np.absolute, np.negative, np.positive), lambda a, _, x: x.error),
}
"""NumPy function -> the function that returns the error of its result."""
