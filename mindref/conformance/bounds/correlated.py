"""Errors of results whose operands have correlated errors: x / sum x, and x - sum w x.

Both occur in softmax, forward and backward. With independent errors, the errors of numerator and
sum would remain where the true ones cancel: a weight near one hardly depends on its logit. Six
iterations of routing would multiply an error that does not exist.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand, Values
from mindref.conformance.bounds.sums import inherited_error


class Product(NamedTuple):
    """The origin of an elementwise product."""

    x: Any
    y: Any


class Sum(NamedTuple):
    """The origin of a sum along one axis, which is kept with size one."""

    terms: Any
    axis: int


def share_error(a: Arithmetic, value: Values, x: Operand, total: Operand, axis: int) -> Values:
    """Return the error of x / sum x: an element counts by 1 minus its fraction of the sum."""
    least = total.value - a.factor * total.error
    own_error = np.abs(1 - value) * x.error
    error_of_others = np.abs(value) * joint_error_of_others(a, x, axis)
    roundings = (a.terms(np.shape(value)[axis]) + a.unit) * np.abs(value * total.value)
    error = a.join(own_error, error_of_others, roundings) / np.where(least > 0, least, 1)
    anything = np.where((total.value == 0) & (total.error == 0), 0, np.inf)
    error = np.where(least > 0, error, anything)
    if np.all(x.value >= 0):  # then x / sum x is from 0 to 1, whatever the error of its logit
        error = np.minimum(error, 1 / a.factor)
    return a.rounded(value, error)


def distance_error(a: Arithmetic, value: Values, x: Operand, weights: Operand, axis: int) -> Values:
    """Return the error of x - sum w x: an element counts by 1 minus its weight."""

    def add(errors: Values, factors: Values) -> Values:
        return np.sum(errors * factors, axis=axis, keepdims=True)

    own_error = np.abs(1 - weights.value) * x.error
    weighted = Operand(weights.value * x.value, np.abs(weights.value) * x.error)
    of_weights = inherited_error(a, weights, x.value, add)
    second = a.factor * add(x.error, weights.error)
    gauge = add(np.abs(weights.value), np.abs(x.value))
    roundings = (a.terms(np.shape(x.value)[axis]) + a.unit) * gauge
    of_others = joint_error_of_others(a, weighted, axis)
    return a.rounded(value, a.join(own_error, of_others, of_weights, second, roundings))


def joint_error_of_others(a: Arithmetic, x: Operand, axis: int) -> Values:
    """Return for each element the joint error of all other elements along an axis."""
    if not a.statistical:
        return all_but_one(x.error, axis)
    last_roundings, inherited = a.parts(x)
    peak = np.max(last_roundings, axis=axis, keepdims=True, initial=0)
    squares = (last_roundings / np.where(peak > 0, peak, 1)) ** 2
    return np.hypot(peak * np.sqrt(all_but_one(squares, axis)), all_but_one(inherited, axis))


def all_but_one(x: Values, axis: int) -> Values:
    """Return for each element the sum of all other elements along an axis."""
    return np.maximum(np.sum(x, axis=axis, keepdims=True) - x, 0)
