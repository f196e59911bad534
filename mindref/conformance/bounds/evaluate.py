"""Run the reference once, and get values and allowed errors of everything that it returns."""

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
    """What an implementation should answer, and how far off it may be."""

    value: Array
    error: Array  # infinite where nothing is promised


class Allowances(NamedTuple):
    """The allowed answers of one call by name."""

    parts: dict[str, Allowed]
    doubts: int  # choices between interests that the errors leave open: nothing can be judged


def bounded(x: Any, precision: Precision, mode: str) -> Bounded:
    """Return an exact input (float32 and float64 alike become float64)."""
    return wrapper(Arithmetic(precision, mode))(x)


def wrapper(arithmetic: Arithmetic) -> Wrap:
    """Return what makes inputs under these rules."""

    def wrap(x: Any) -> Bounded:
        value = np.array(x, dtype=np.float64)
        return Bounded(value, arithmetic.input(value), arithmetic)

    return wrap


def run(function: Callable[[Wrap], Any], precision: Precision, mode: str) -> Any:
    """Return `function(wrap)`, where `wrap` makes an exact input out of an array.

    For instance `run(lambda wrap: softmax.forward(wrap(logits), mask, axis=1), precision, mode)`.
    """
    return function(wrapper(Arithmetic(precision, mode)))


def value_and_error(x: Any) -> tuple[Array, Array]:
    """Return values and errors of a result; a plain array has none.

    Infinite where the value leaves the range of what the precision stores or answers in.
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
    """Return for each part of the answer `function(wrap)` what is allowed in that precision.

    That is the error in this mode, doubled if it is statistical, and the oracle's own in float64,
    which is the same but for the size of a rounding. Where what is stored on the way is finer than
    the inputs, the answer is rounded once more, to their type (numerics-R2).
    """
    arithmetic = Arithmetic(precision, mode)
    with np.errstate(all="ignore"):  # infinities and NaN are asked for on purpose
        answer = function(wrapper(arithmetic))
    own = TYPES["float64"].unit / min(arithmetic.store, arithmetic.accumulate)
    factor = arithmetic.factor + own
    found = {name: value_and_error(part) for name, part in answer.items()}
    parts = {
        name: Allowed(value, answered(value, factor * error, precision))
        for name, (value, error) in found.items()
    }
    return Allowances(parts, arithmetic.doubts)


def answered(value: Array, error: Array, precision: Precision) -> Array:
    """Return the error of an answer after its rounding to the type of the inputs, if there is one.

    One rounding is no statistical matter: it costs a unit at the most.
    """
    given = TYPES[precision.input]
    exact = value.dtype.kind != "f" or given.unit <= TYPES[precision.store].unit
    last = given.unit * (np.abs(value) + error) + given.floor * (value != 0)
    return error if exact else np.where(np.isfinite(value), error + last, error)


def dense(gradient: RowGradient, count: int) -> Any:
    """Return a row-sparse gradient as a whole table of `count` rows, with its errors."""
    table = np.zeros_like(gradient.values, shape=(count, gradient.values.shape[1]))
    table[gradient.rows] = gradient.values
    return table
