"""Results whose operands are wrong together: a share of a sum, and a distance from a mean.

Both are what softmax makes, forward and backward. Taken as independent, the errors of numerator
and sum would stay where the true ones cancel: a weight near one hardly moves with its logit, and
six rounds of routing would multiply what is not there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic, Numbers, Operand
from mindref.conformance.bounds.sums import brought


class Product(NamedTuple):
    """The origin of an elementwise product."""

    x: Any
    y: Any


class Sum(NamedTuple):
    """The origin of a sum along one axis, which is still there with size one."""

    terms: Any
    axis: int


def share(a: Arithmetic, value: Numbers, x: Operand, total: Operand, axis: int) -> Numbers:
    """x / sum x: the error of an element counts by how much of the sum is not its own."""
    least = total.value - a.factor * total.error
    own = np.abs(1 - value) * x.error
    rest = np.abs(value) * others(a, x, axis)
    roundings = (a.terms(np.shape(value)[axis]) + a.unit) * np.abs(value * total.value)
    error = a.join(own, rest, roundings) / np.where(least > 0, least, 1)
    anything = np.where((total.value == 0) & (total.error == 0), 0, np.inf)
    error = np.where(least > 0, error, anything)
    if np.all(x.value >= 0):  # then a share is from 0 to 1, however wrong its logit
        error = np.minimum(error, 1 / a.factor)
    return a.rounded(value, error)


def distance(a: Arithmetic, value: Numbers, x: Operand, weights: Operand, axis: int) -> Numbers:
    """x - sum w x: the error of an element counts by how far its weight is from one."""

    def add(errors: Numbers, factors: Numbers) -> Numbers:
        return np.sum(errors * factors, axis=axis, keepdims=True)

    own = np.abs(1 - weights.value) * x.error
    weighted = Operand(weights.value * x.value, np.abs(weights.value) * x.error)
    of_weights = brought(a, weights, x.value, add)
    second = a.factor * add(x.error, weights.error)
    gauge = add(np.abs(weights.value), np.abs(x.value))
    roundings = (a.terms(np.shape(x.value)[axis]) + a.unit) * gauge
    return a.rounded(value, a.join(own, others(a, weighted, axis), of_weights, second, roundings))


def others(a: Arithmetic, x: Operand, axis: int) -> Numbers:
    """Return for each element the joint error of all the others along an axis."""
    if not a.statistical:
        return all_but_one(x.error, axis)
    own, inherited = a.parts(x)
    peak = np.max(own, axis=axis, keepdims=True, initial=0)
    squares = (own / np.where(peak > 0, peak, 1)) ** 2
    return np.hypot(peak * np.sqrt(all_but_one(squares, axis)), all_but_one(inherited, axis))


def all_but_one(x: Numbers, axis: int) -> Numbers:
    """Return the sum along an axis without each element itself."""
    return np.maximum(np.sum(x, axis=axis, keepdims=True) - x, 0)
