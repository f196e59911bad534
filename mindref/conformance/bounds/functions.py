"""The functions of NumPy that the reference calls, for arrays that carry their errors.

Each takes what NumPy's own takes, as far as the operators use it. What moves numbers around moves
their errors in the same way; sums and maxima have rules of their own in `sums.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mindref.conformance.bounds import sums
from mindref.conformance.bounds.choice import doubts_of, without_doubts
from mindref.conformance.bounds.correlated import Sum


def bounded_among(arrays: Sequence[Any]) -> Any:
    """Return the first of them that carries errors."""
    return next(x for x in arrays if hasattr(x, "arithmetic"))


def where(condition: Any, x: Any, y: Any) -> Any:
    """np.where; where the condition is in doubt, the error reaches over to the other one."""
    some = bounded_among((x, y))
    (x_value, x_error), (y_value, y_error) = some.operand(x), some.operand(y)
    doubts, condition = doubts_of(condition), without_doubts(condition)
    value, error = (
        np.where(condition, x_value, y_value),
        np.where(condition, x_error, y_error),
    )
    if doubts is not None:
        over = np.maximum(x_error, y_error) + np.abs(x_value - y_value)
        error = np.where(doubts, over, error)
    kept = some is y and np.all((value == y_value) | (y_value == 0))
    return some.like(value, error, some.origin if kept else None)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """np.concatenate."""
    some = bounded_among(arrays)
    operands = [some.operand(x) for x in arrays]
    errors = [np.broadcast_to(error, np.shape(value)) for value, error in operands]
    return some.like(
        np.concatenate([value for value, _ in operands], axis=axis),
        np.concatenate(errors, axis=axis),
    )


def einsum(subscripts: str, x: Any, y: Any) -> Any:
    """np.einsum of two arrays, with the result spelt out."""
    some = bounded_among((x, y))
    operands = [some.operand(x), some.operand(y)]
    count = sums.contracted(subscripts, [np.shape(value) for value, _ in operands])

    def contract(u: Any, v: Any) -> Any:
        return np.einsum(subscripts, np.broadcast_to(u, x.shape), np.broadcast_to(v, y.shape))

    value = np.einsum(subscripts, *(value for value, _ in operands))
    return some.like(value, sums.contraction(some.arithmetic, value, operands, contract, count))


def sum_(x: Any, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> Any:
    """np.sum."""

    def add(terms: Any) -> Any:
        return np.sum(terms, axis=axis, keepdims=keepdims)

    value = add(x.value)
    count = x.size // max(np.size(value), 1)
    origin = Sum(x, axis) if keepdims and isinstance(axis, int) else None
    return x.like(value, sums.total(x.arithmetic, value, x.operand(x), add, count), origin)


def mean(x: Any, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> Any:
    """np.mean: the sum over the number of terms, which is exact."""
    added = sum_(x, axis, keepdims=keepdims)
    value = np.mean(x.value, axis=axis, keepdims=keepdims)
    count = x.size // max(np.size(value), 1)
    return x.like(value, x.arithmetic.rounded(value, added.error / max(count, 1)))


def add_reduceat(x: Any, indices: Any, axis: int = 0) -> Any:
    """np.add.reduceat: sums of stretches."""

    def add(terms: Any) -> Any:
        return np.add.reduceat(terms, indices, axis=axis)

    value = add(x.value)
    ones = np.ones(x.shape)
    return x.like(value, sums.total(x.arithmetic, value, x.operand(x), add, add(ones)))


def max_(x: Any, axis: Any = None, *, keepdims: bool = False, initial: Any = -np.inf) -> Any:
    """np.max, as an exact number.

    The operators take the largest only as an anchor, by which they shift or scale and then shift
    or scale back: their results do not depend on where it lies, so its error is not theirs.
    """
    value = np.max(x.value, axis=axis, keepdims=keepdims, initial=initial)
    return x.like(value, 0.0)


def argmax(x: Any, axis: int) -> Any:
    """np.argmax; the doubts of the arithmetic count where another might be the largest."""
    doubts = sums.doubtful(x.operand(x), axis, x.arithmetic.factor)
    x.arithmetic.doubts += int(np.count_nonzero(doubts))
    return np.argmax(x.value, axis=axis)


def moving(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that moves errors as it moves values."""

    def moved(x: Any, *args: Any, **options: Any) -> Any:
        return x.like(function(x.value, *args, **options), function(x.error, *args, **options))

    return moved


def einsum_of(subscripts: str, *arrays: Any, **options: Any) -> Any:
    """Refuse what the rule of two arrays does not cover."""
    if len(arrays) != 2 or options:
        raise TypeError("einsum of Bounded takes two arrays and no options")
    return einsum(subscripts, *arrays)


MOVES = (
    np.broadcast_to,
    np.expand_dims,
    np.moveaxis,
    np.ravel,
    np.repeat,
    np.reshape,
    np.squeeze,
    np.swapaxes,
    np.take,
    np.transpose,
    np.zeros_like,
)

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: where,
    np.concatenate: concatenate,
    np.einsum: einsum_of,
    np.sum: sum_,
    np.mean: mean,
    np.max: max_,
    np.argmax: argmax,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    **{function: moving(function) for function in MOVES},
}
"""Function of NumPy -> what it does to numbers with errors."""
