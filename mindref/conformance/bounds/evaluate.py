"""Run the reference once; return values and error bounds of all its results."""

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
    """One part (a named array) of the expected answer, and its error bound."""

    value: Array
    error: Array  # infinite where no bound applies


class Allowances(NamedTuple):
    """The expected answer of one call."""

    parts: dict[str, Allowed]  # by name, such as "out" or "d_history"
    doubts: int  # number of argmax results that errors may change; if not 0, no bound is valid


def bounded_input(x: Any, precision: Precision, mode: str) -> Bounded:
    """Return x in float64, with the input errors that this precision and mode allow."""
    return input_wrapper(Arithmetic(precision, mode))(x)


def input_wrapper(arithmetic: Arithmetic) -> Wrap:
    """Return a function that converts an array to a float64 Bounded with these error rules."""

    def wrap(x: Any) -> Bounded:
        value = np.array(x, dtype=np.float64)
        return Bounded(value, arithmetic.input(value), arithmetic)

    return wrap


def run_bounded(function: Callable[[Wrap], Any], precision: Precision, mode: str) -> Any:
    """Return `function(wrap)`, where `wrap` converts an array to an input with error bounds.

    Example: run_bounded(lambda wrap: squash.forward(wrap(x), kind="squash"), precision, mode)
    """
    return function(input_wrapper(Arithmetic(precision, mode)))


def value_and_error(x: Any) -> tuple[Array, Array]:
    """Return values and errors of a result; a plain array has no error.

    If a value may exceed the range of the input or result dtype, its error is infinite.
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
    """Run `function(wrap)` in a precision; return each part of its result with an error bound.

    The bound is the error in this mode (doubled if statistical) plus the error of the reference
    itself in float64. A precision may store results in a finer dtype than the inputs have. Then the
    bound also includes the rounding of the answer to the dtype of the inputs (numerics-R2).
    """
    arithmetic = Arithmetic(precision, mode)
    with np.errstate(all="ignore"):  # some calls contain infinities and NaN
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
    """Return the error of an answer after its rounding to the dtype of the inputs.

    Both modes add the largest error of this rounding, because one error cannot average out.
    """
    input_type = TYPES[precision.input]
    exact = value.dtype.kind != "f" or input_type.unit <= TYPES[precision.store].unit
    last = input_type.unit * (np.abs(value) + error) + input_type.floor * (value != 0)
    return error if exact else np.where(np.isfinite(value), error + last, error)


def dense_table(gradient: RowGradient, count: int) -> Any:
    """Return a row-sparse gradient as a table of `count` rows, with its errors."""
    table = np.zeros_like(gradient.values, shape=(count, gradient.values.shape[1]))
    table[gradient.rows] = gradient.values
    return table
