"""Versions of NumPy functions for `Bounded` arrays, which store an error for each value.

The functions accept only the arguments that the reference uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mindref.conformance.bounds import sums
from mindref.conformance.bounds.choice import doubts_of, without_doubts
from mindref.conformance.bounds.sums import Sum


def first_bounded(arrays: Sequence[Any]) -> Any:
    """Return the first Bounded in `arrays`."""
    return next(x for x in arrays if hasattr(x, "arithmetic"))


def bounded_where(condition: Any, x: Any, y: Any) -> Any:
    """np.where. Where errors could change `condition`, the error bound allows both x and y."""
    bounded = first_bounded((x, y))
    (x_value, x_error), (y_value, y_error) = bounded.operand(x), bounded.operand(y)
    doubts, condition = doubts_of(condition), without_doubts(condition)
    value = np.where(condition, x_value, y_value)
    error = np.where(condition, x_error, y_error)
    if doubts is not None:
        over = np.maximum(x_error, y_error) + np.abs(x_value - y_value)
        error = np.where(doubts, over, error)
    origin = bounded.origin if bounded is y else None
    if origin is not None and not np.all((value == y_value) | (y_value == 0)):
        origin = None
    return bounded.like(value, error, origin)


def bounded_concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """np.concatenate."""
    bounded = first_bounded(arrays)
    operands = [bounded.operand(x) for x in arrays]
    errors = [np.broadcast_to(error, np.shape(value)) for value, error in operands]
    values = np.concatenate([value for value, _ in operands], axis=axis)
    return bounded.like(values, np.concatenate(errors, axis=axis))


def bounded_einsum(subscripts: str, *arrays: Any, **options: Any) -> Any:
    """np.einsum with "->". Raises TypeError unless there are two arrays and no options."""
    if len(arrays) != 2 or options:
        raise TypeError("einsum of Bounded takes two arrays and no options")
    bounded, (x, y) = first_bounded(arrays), arrays
    operands = [bounded.operand(x), bounded.operand(y)]
    count = sums.contraction_length(subscripts, [np.shape(value) for value, _ in operands])

    def contract(u: Any, v: Any) -> Any:
        u, v = as_shape(u, x.shape), as_shape(v, y.shape)
        return np.einsum(subscripts, u, v)

    value = np.einsum(subscripts, *(value for value, _ in operands))
    error = sums.contraction_error(bounded.arithmetic, value, operands, contract, count)
    return bounded.like(value, error)


def as_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """Broadcast `x` to `shape` if it has another shape."""
    return x if np.shape(x) == shape else np.broadcast_to(x, shape)


def bounded_sum(x: Any, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> Any:
    """np.sum."""

    def add(terms: Any) -> Any:
        return terms.sum(axis=axis, keepdims=keepdims)

    value = add(x.value)
    count = x.size // max(np.size(value), 1)
    origin = Sum(x, axis) if keepdims and isinstance(axis, int) else None
    return x.like(value, sums.sum_error(x.arithmetic, value, x.operand(x), add, count), origin)


def bounded_mean(x: Any, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> Any:
    """np.mean."""
    added = bounded_sum(x, axis, keepdims=keepdims)
    value = np.mean(x.value, axis=axis, keepdims=keepdims)
    count = x.size // max(np.size(value), 1)
    return x.like(value, x.arithmetic.rounded(value, added.error / max(count, 1)))


def bounded_add_reduceat(x: Any, indices: Any, axis: int = 0) -> Any:
    """np.add.reduceat: sums of slices."""

    def add(terms: Any) -> Any:
        return np.add.reduceat(terms, indices, axis=axis)

    value = add(x.value)
    ones = np.ones(x.shape)
    return x.like(value, sums.sum_error(x.arithmetic, value, x.operand(x), add, add(ones)))


def bounded_bincount(x: Any, weights: Any, minlength: int = 0) -> Any:
    """np.bincount with weights: sums of the weights of equal numbers in `x`."""

    def add(terms: Any) -> Any:
        return np.bincount(x, terms, minlength)

    value, count = add(weights.value), np.bincount(x, minlength=minlength)
    operand = weights.operand(weights)
    return weights.like(value, sums.sum_error(weights.arithmetic, value, operand, add, count))


def bounded_split(x: Any, indices: Any, axis: int = 0) -> list[Any]:
    """np.split."""
    parts = (np.split(part, indices, axis=axis) for part in (x.value, x.error))
    return [x.like(value, error) for value, error in zip(*parts, strict=True)]


def bounded_max(x: Any, axis: Any = None, *, keepdims: bool = False, initial: Any = -np.inf) -> Any:
    """np.max, with error 0.

    The reference subtracts a maximum from numbers or divides by it, and later undoes this.
    So the error of the maximum does not change the final result.
    """
    value = np.max(x.value, axis=axis, keepdims=keepdims, initial=initial)
    return x.like(value, 0.0)


def bounded_argmax(x: Any, axis: int) -> Any:
    """np.argmax. Adds the number of results that errors may change to `x.arithmetic.doubts`."""
    doubts = sums.doubtful_maxima(x.operand(x), axis, x.arithmetic.factor)
    x.arithmetic.doubts += int(np.count_nonzero(doubts))
    return np.argmax(x.value, axis=axis)


def move_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that applies `function` to the values and to the errors of a Bounded."""

    def moved(x: Any, *args: Any, **kwargs: Any) -> Any:
        value, error = (function(part, *args, **kwargs) for part in (x.value, x.error))
        return x.like(value, error)

    return moved


MOVES = (
    np.broadcast_to, np.expand_dims, np.moveaxis, np.ravel, np.repeat, np.reshape, np.squeeze,
    np.swapaxes, np.take, np.take_along_axis, np.transpose, np.zeros_like,
)  # fmt: skip

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: bounded_where,
    np.concatenate: bounded_concatenate,
    np.einsum: bounded_einsum,
    np.sum: bounded_sum,
    np.mean: bounded_mean,
    np.bincount: bounded_bincount,
    np.split: bounded_split,
    np.max: bounded_max,
    np.argmax: bounded_argmax,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    **{function: move_errors(function) for function in MOVES},
}
"""NumPy function -> its version for a Bounded."""
