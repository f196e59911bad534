"""Errors of sums, matrix products and einsum.

In any order of addition, a sum of n terms has a rounding error of at most n * unit * sum(|term|).
In mode "statistical", this error is sqrt(n) * unit * sum(|term|).

Mode "statistical" splits the error of each term in two. The error of the last rounding of a term is
independent of other terms, so the squares of these errors are added. The remaining errors may have
a common cause: for example, all logits depend on one capsule. So these errors are added directly.

In x / sum(x) (softmax forward) and x - sum(w * x) (softmax backward), the errors of x cancel in
part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic, Operand, Values

Contract = Callable[[Any, Any], Any]


class Contraction(NamedTuple):
    """A record that an array was computed by a matrix product."""

    products: int  # number of products added for each element


def contraction_error(
    a: Arithmetic, value: Values, factors: Sequence[Operand], contract: Contract, count: int
) -> Values:
    """Return the error of `contract(*factors)`, whose elements are sums of `count` products."""
    x, y = factors
    magnitude_sum = contract(np.abs(x.value) + x.error, np.abs(y.value) + y.error)
    errors = [
        inherited_error(a, x, y.value, contract),
        inherited_error(a, y, x.value, lambda error, weights: contract(weights, error)),
        a.terms(count) * magnitude_sum,
    ]
    if np.asarray(x.error).any() and np.asarray(y.error).any():
        errors.append(a.factor * contract(x.error, y.error))
    return a.rounded(value, a.join(*errors)) + underflow_error(a, value, x, y, contract)


def initial_term_errors(
    a: Arithmetic, inputs: Sequence[Any], operands: Sequence[Operand]
) -> list[Values]:
    """Return the extra error of x @ y + z if an implementation starts each sum of x @ y with z.

    For example, z may be a bias that is stored as one more row of the weight. Then each addition
    of a product also rounds z.
    """
    return [
        a.terms(x.origin.products) * np.abs(other.value)
        for x, other in zip(inputs, reversed(operands), strict=True)
        if type(getattr(x, "origin", None)) is Contraction
    ]


def underflow_error(
    a: Arithmetic, value: Values, x: Operand, y: Operand, contract: Contract
) -> Values:
    """Return the underflow threshold where `value` may be 0 by underflow, and 0 elsewhere."""
    if np.asarray(value).all():
        return 0.0
    alive = [(z.value != 0).astype(np.float64) for z in (x, y)]
    return a.floor * ((value == 0) & (contract(*alive) > 0))


def sum_error(
    a: Arithmetic, value: Values, x: Operand, add: Callable[[Any], Any], count: Any
) -> Any:
    """Return the error of `add(x)`, whose elements are sums of `count` terms."""
    magnitude_sum = add(np.abs(x.value) + x.error)
    inherited = inherited_error(a, x, 1.0, lambda e, _: add(e))
    return a.rounded(value, a.join(inherited, a.terms(count) * magnitude_sum))


def inherited_error(a: Arithmetic, x: Operand, weights: Values, contract: Contract) -> Values:
    """Return the error of `contract(x, weights)` that the errors of x cause."""
    if not np.asarray(x.error).any():
        return 0.0
    weights = np.abs(weights)
    if not a.statistical:
        return contract(x.error, weights)
    last_roundings, inherited = a.parts(x)
    independent = root_sum_squares(last_roundings, weights, contract)
    return np.hypot(independent, contract(inherited, weights))


def root_sum_squares(errors: Values, weights: Values, contract: Contract) -> Values:
    """Return sqrt(sum((errors * weights)^2)) without underflow of a square."""
    peaks = [float(np.asarray(part).max(initial=0)) for part in (errors, weights)]
    if 0 in peaks or not all(map(math.isfinite, peaks)):
        return contract(errors, weights)
    squares = contract((errors / peaks[0]) ** 2, (weights / peaks[1]) ** 2)
    return peaks[0] * peaks[1] * np.sqrt(squares)


def doubtful_maxima(x: Operand, axis: int, factor: int) -> Any:
    """Return a mask that is true where errors could change np.argmax(x, axis)."""
    best = np.max(x.value, axis=axis, keepdims=True)
    first = np.argmax(x.value, axis=axis, keepdims=True)
    error_of_max = np.take_along_axis(x.error, first, axis)
    rivals = best - x.value < factor * (x.error + error_of_max)
    np.put_along_axis(rivals, first, values=False, axis=axis)
    return rivals.any(axis=axis)


def contraction_length(subscripts: str, shapes: list[tuple[int, ...]]) -> int:
    """Return the number of products that np.einsum adds for one element of the result."""
    letters, result = subscripts.replace(" ", "").split("->")
    sizes = {
        letter: size
        for word, shape in zip(letters.split(","), shapes, strict=True)
        for letter, size in zip(word, shape, strict=True)
    }
    return int(np.prod([size for letter, size in sizes.items() if letter not in result]))


class Product(NamedTuple):
    """A record that an array was computed as x * y."""

    x: Any
    y: Any


class Sum(NamedTuple):
    """A record that an array was computed as np.sum(terms, axis, keepdims=True)."""

    terms: Any
    axis: int


def quotient_error(a: Arithmetic, value: Values, x: Operand, total: Operand, axis: int) -> Values:
    """Return the error of x / total, where `total` is the sum of x along `axis`."""
    least = total.value - a.factor * total.error
    own_error = np.abs(1 - value) * x.error
    error_of_others = np.abs(value) * joint_error_of_others(a, x, axis)
    roundings = (a.terms(np.shape(value)[axis]) + a.unit) * np.abs(value * total.value)
    error = a.join(own_error, error_of_others, roundings) / np.where(least > 0, least, 1)
    anything = np.where((total.value == 0) & (total.error == 0), 0, np.inf)
    error = np.where(least > 0, error, anything)
    if np.all(x.value >= 0):  # then x / total is from 0 to 1
        error = np.minimum(error, 1 / a.factor)
    return a.rounded(value, error)


def difference_error(
    a: Arithmetic, value: Values, x: Operand, weights: Operand, axis: int
) -> Values:
    """Return the error of x - sum(weights * x), where the sum runs along `axis`."""

    def add(errors: Values, factors: Values) -> Values:
        return np.sum(errors * factors, axis=axis, keepdims=True)

    own_error = np.abs(1 - weights.value) * x.error
    weighted = Operand(weights.value * x.value, np.abs(weights.value) * x.error)
    of_weights = inherited_error(a, weights, x.value, add)
    second = a.factor * add(x.error, weights.error)
    magnitude_sum = add(np.abs(weights.value), np.abs(x.value))
    roundings = (a.terms(np.shape(x.value)[axis]) + a.unit) * magnitude_sum
    of_others = joint_error_of_others(a, weighted, axis)
    return a.rounded(value, a.join(own_error, of_others, of_weights, second, roundings))


def joint_error_of_others(a: Arithmetic, x: Operand, axis: int) -> Values:
    """For each element of x, return the error of the sum of all other elements along `axis`."""
    if not a.statistical:
        return all_but_one(x.error, axis)
    last_roundings, inherited = a.parts(x)
    peak = np.max(last_roundings, axis=axis, keepdims=True, initial=0)
    squares = (last_roundings / np.where(peak > 0, peak, 1)) ** 2
    return np.hypot(peak * np.sqrt(all_but_one(squares, axis)), all_but_one(inherited, axis))


def all_but_one(x: Values, axis: int) -> Values:
    """For each element of x, return the sum of all other elements along `axis`."""
    return np.maximum(np.sum(x, axis=axis, keepdims=True) - x, 0)
