"""The error of a result, element by element: what the operands bring and what rounding adds.

First order where errors are small. Where they are not, slopes are taken at the far end of what an
operand may be, so that a bound grows too wide rather than too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic, Numbers, Operand

Rule = Callable[..., Numbers]


def add(a: Arithmetic, value: Numbers, x: Operand, y: Operand) -> Numbers:
    """x + y and x - y."""
    return a.rounded(value, together(a, x, y, x.error, y.error))


def multiply(a: Arithmetic, value: Numbers, x: Operand, y: Operand) -> Numbers:
    """x y; what is exactly zero makes an exact zero, and another product may underflow."""
    of_x, of_y = np.abs(y.value) * x.error, np.abs(x.value) * y.error
    error = together(a, x, y, of_x, of_y) + a.factor * x.error * y.error
    vanished = (value == 0) & (x.value != 0) & (y.value != 0)
    return a.rounded(value, error + a.floor * vanished)


def divide(a: Arithmetic, value: Numbers, x: Operand, y: Operand) -> Numbers:
    """x / y; anything if y may be zero."""
    least = np.abs(y.value) - a.factor * y.error
    error = a.join(x.error, np.abs(value) * y.error) / np.where(least > 0, least, 1)
    wide = np.where(least > 0, error, np.where(y.error == 0, 0, np.inf))
    return a.rounded(value, wide)


def together(a: Arithmetic, x: Operand, y: Operand, of_x: Numbers, of_y: Numbers) -> Numbers:
    """Return the joint error of two parts, which are one and the same if x is y."""
    return of_x + of_y if x.error is y.error else a.join(of_x, of_y)


def exp(a: Arithmetic, value: Numbers, x: Operand) -> Numbers:
    """An error of the argument is a relative error of the result."""
    far = a.factor * x.error
    small = np.expm1(np.minimum(far, 1)) * value
    error = np.where(far <= 1, small, np.exp(x.value + far)) / a.factor
    vanished = a.floor * ((value == 0) & np.isfinite(x.value))
    return a.rounded(value, error + vanished, "exp")


def log(a: Arithmetic, value: Numbers, x: Operand) -> Numbers:
    """A relative error of the argument is an error of the result; anything if it may be zero."""
    share = relative(a.factor * x.error, x.value)
    error = np.where(share < 1, -np.log1p(-np.minimum(share, 0.5)), np.inf)
    error = np.where((share > 0.5) & (share < 1), -np.log1p(-np.where(share < 1, share, 0)), error)
    return a.rounded(value, error / a.factor, "log")


def sqrt(a: Arithmetic, value: Numbers, x: Operand) -> Numbers:
    """An error e of v is e over the two roots that it lies between."""
    far = a.factor * x.error
    lower = np.sqrt(np.maximum(x.value - far, 0))
    between = np.maximum(value + lower, np.sqrt(far))
    return a.rounded(value, relative(far, between) / a.factor, "sqrt")


def power(a: Arithmetic, value: Numbers, x: Operand, y: Operand) -> Numbers:
    """x ** y of a number x >= 0 to a fixed power y."""
    if np.ndim(y.value) or np.any(y.error):
        y = Operand(y.value, 0.0)
    share = relative(a.factor * x.error, x.value)
    above = np.expm1(y.value * np.log1p(share))
    below = np.expm1(y.value * np.log1p(-np.minimum(share, 1)))
    error = np.abs(value) * np.maximum(np.abs(above), np.abs(below))
    at_zero = (a.factor * x.error) ** y.value
    error = np.where(x.value == 0, np.where(x.error == 0, 0, at_zero), error)
    return a.rounded(value, error / a.factor, "power")


def square(a: Arithmetic, value: Numbers, x: Operand) -> Numbers:
    """x x, where both factors are wrong alike."""
    return multiply(a, value, x, x)


def logaddexp(a: Arithmetic, value: Numbers, x: Operand, y: Operand) -> Numbers:
    """log(e^x + e^y): each argument counts by its share of the sum."""
    of_x, of_y = np.exp(x.value - value), np.exp(y.value - value)
    grown = [
        np.minimum(part * np.exp(np.minimum(a.factor * z.error, 700)), 1) * z.error
        for part, z in ((of_x, x), (of_y, y))
    ]
    return a.rounded(value, a.join(*grown), "logaddexp")


def extreme(a: Arithmetic, value: Numbers, x: Operand, y: Operand) -> Numbers:
    """The larger or the smaller of two: the other one counts by how far it may reach beyond."""
    far = [reach(value, z.value, a.factor * z.error) for z in (x, y)]
    return np.maximum(*far) / a.factor


def reach(best: Numbers, value: Numbers, error: Numbers) -> Numbers:
    """Return how far a candidate with this error may go beyond the best, at least zero."""
    gap = np.where(value == best, 0, np.abs(best - value))
    return np.maximum(error - gap, 0)


def sign(a: Arithmetic, value: Numbers, x: Operand) -> Numbers:
    """Exact, unless the number may be on the other side of zero."""
    return np.where(np.abs(x.value) < a.factor * x.error, 2.0, 0.0)


def same(a: Arithmetic, value: Numbers, x: Operand) -> Numbers:
    """-x, +x and |x| bring nothing new."""
    return x.error


def relative(part: Numbers, whole: Numbers) -> Numbers:
    """Return part over |whole|, with 0 / 0 = 0 and the rest over zero infinite."""
    size = np.abs(whole)
    zero = np.where(part == 0, 0.0, np.inf)
    return np.where(size > 0, part / np.where(size > 0, size, 1), zero)


RULES: dict[Any, Rule] = {
    np.add: add,
    np.subtract: add,
    np.multiply: multiply,
    np.true_divide: divide,
    np.exp: exp,
    np.log: log,
    np.sqrt: sqrt,
    np.power: power,
    np.square: square,
    np.logaddexp: logaddexp,
    np.maximum: extreme,
    np.minimum: extreme,
    np.sign: sign,
    np.absolute: same,
    np.negative: same,
    np.positive: same,
}
"""Universal function -> the error of its result."""
