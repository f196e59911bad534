"""Run the reference once, and return its results with error bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic
from mindref.conformance.bounds.bounded import Bounded
from mindref.conformance.bounds.precision import TYPES, Precision
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array

Wrap = Callable[[Any], Bounded]


class Allowed(NamedTuple):
    """An expected array, such as "out", and the error bound of each number."""

    value: Array
    error: Array  # infinite where any number is allowed


class Allowances(NamedTuple):
    """The expected arrays of one call."""

    parts: dict[str, Allowed]  # by name, such as "out" or "d_history"
    doubts: int  # number of argmax results that errors may change; if not 0, no bound is valid


def bounded_input(x: Any, precision: Precision, mode: str) -> Bounded:
    """Return `x` as a float64 Bounded with the input errors of this precision."""
    return input_wrapper(Arithmetic(precision, mode))(x)


def input_wrapper(arithmetic: Arithmetic) -> Wrap:
    """Return a function that converts an array to a float64 Bounded."""

    def wrap(x: Any) -> Bounded:
        value = np.array(x, dtype=np.float64)
        return Bounded(value, arithmetic.input(value), arithmetic)

    return wrap


def run_bounded(function: Callable[[Wrap], Any], precision: Precision, mode: str) -> Any:
    """Return `function(wrap)`. `wrap` converts an array to a Bounded.

    Example: run_bounded(lambda wrap: squash.forward(wrap(x), kind="squash"), precision, mode)
    """
    return function(input_wrapper(Arithmetic(precision, mode)))


def value_and_error(x: Any) -> tuple[Array, Array]:
    """Return the values and the errors of `x`. A plain array has error 0.

    If a value may be outside the range of the input or result dtype, its error is infinite.
    """
    if not isinstance(x, Bounded):
        plain = np.asarray(x)
        return plain, np.zeros(plain.shape)
    of = x.arithmetic.precision
    limit = min(TYPES[of.store].largest, TYPES[of.input].largest)
    beyond = np.isfinite(x.value) & ~(np.abs(x.value) + x.error <= limit)
    return x.value, np.where(beyond, np.inf, x.error)


def allowances(
    function: Callable[[Wrap], Mapping[str, Any]], precision: Precision, mode: str
) -> Allowances:
    """Run `function(wrap)`, and return each array of the result with an error bound.

    The bound is the propagated error (twice if `mode` is "statistical"), plus the float64 error of
    the reference. If the input dtype is coarser than the dtype of stored results, the bound also
    includes one rounding to the input dtype (numerics-R2).
    """
    arithmetic = Arithmetic(precision, mode)
    with np.errstate(all="ignore"):  # inputs may be infinite or NaN
        answer = function(input_wrapper(arithmetic))
    reference_error = TYPES["float64"].unit / min(arithmetic.store, arithmetic.accumulate)
    factor = arithmetic.factor + reference_error
    results = {name: value_and_error(part) for name, part in answer.items()}
    parts = {
        name: Allowed(value, answer_error(value, factor * error, precision))
        for name, (value, error) in results.items()
    }
    return Allowances(parts, arithmetic.doubts)


def answer_error(value: Array, error: Array, precision: Precision) -> Array:
    """Return `error`, plus one rounding if the input dtype is coarser than the stored results."""
    input_type = TYPES[precision.input]
    exact = value.dtype.kind != "f" or input_type.unit <= TYPES[precision.store].unit
    last = input_type.unit * (np.abs(value) + error) + input_type.floor * (value != 0)
    return error if exact else np.where(np.isfinite(value), error + last, error)


def dense_table(gradient: RowGradient, count: int) -> Any:
    """Return a row-sparse gradient as a dense table of `count` rows."""
    table = np.zeros_like(gradient.values, shape=(count, gradient.values.shape[1]))
    table[gradient.rows] = gradient.values
    return table
