"""The array class that carries an error bound. The code of the reference runs on it.

Values are float64 and equal to the numbers that the reference computes. A comparison returns a
boolean mask, which also records at which positions errors could change the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.conformance.bounds import functions, sums
from mindref.conformance.bounds.arithmetic import Arithmetic, Operand, Values, errors_without_nan
from mindref.conformance.bounds.choice import Choice, compare_with_doubts, without_doubts
from mindref.conformance.bounds.elementwise import RULES
from mindref.shapes import Array

EXACT = (np.isfinite, np.isinf, np.isnan, np.signbit)


class Bounded(np.lib.mixins.NDArrayOperatorsMixin):
    """Values, and errors of the same shape. The operators use a Bounded like a float64 array.

    An operation without an error rule raises TypeError, so that no error bound is lost.
    """

    dtype = np.dtype(np.float64)
    __array_priority__ = 1000

    def __init__(
        self, value: Array, error: Values, arithmetic: Arithmetic, origin: Any = None
    ) -> None:
        """Store values and errors without a copy, and the operation that made them."""
        self.value = np.asarray(value)
        self.shape, self.ndim, self.size = self.value.shape, self.value.ndim, self.value.size
        self.error: Array = errors_without_nan(self.value, error)
        self.arithmetic = arithmetic
        self.origin = origin

    def like(self, value: Values, error: Values, origin: Any = None) -> Bounded:
        """Return a Bounded of other values and errors, with the same error rules."""
        return Bounded(value, error, self.arithmetic, origin)

    @property
    def T(self) -> Bounded:
        """The array with its axes in reverse order."""
        return self.like(self.value.T, self.error.T)

    def __len__(self) -> int:
        """Return the size of the first axis."""
        return len(self.value)

    def __repr__(self) -> str:
        """Return values and errors as text."""
        return f"Bounded({self.value!r}, error={self.error!r})"

    def __getitem__(self, index: Any) -> Bounded:
        """Return a part of the array, which is a view if NumPy returns a view."""
        return self.like(self.value[index], self.error[index])

    def __setitem__(self, index: Any, new: Any) -> None:
        """Assign numbers and their errors to a part of the array."""
        operand = self.operand(new)
        self.value[index], self.error[index] = operand.value, operand.error
        self.origin = None

    def operand(self, x: Any) -> Operand:
        """Return values and errors of an array or a number."""
        if isinstance(x, Bounded):
            return Operand(x.value, x.error)
        return self.arithmetic.constant(x)

    def reshape(self, *shape: Any) -> Bounded:
        """Return the array in another shape."""
        return self.like(self.value.reshape(*shape), self.error.reshape(*shape))

    def transpose(self, *axes: Any) -> Bounded:
        """Return the array with its axes in another order."""
        return self.like(self.value.transpose(*axes), self.error.transpose(*axes))

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Bounded:
        """Return the array. Raises TypeError for any dtype except float64."""
        if np.dtype(dtype) != self.dtype:
            raise TypeError(f"a Bounded is float64 and becomes no {np.dtype(dtype)}")
        return self.copy() if copy else self

    def copy(self) -> Bounded:
        """Return a copy."""
        return self.like(self.value.copy(), self.error.copy())

    def sum(self, axis: Any = None, **options: Any) -> Bounded:
        """Return np.sum of the array."""
        return np.sum(self, axis=axis, **options)  # type: ignore[call-overload]

    def max(self, axis: Any = None, **options: Any) -> Bounded:
        """Return np.max of the array."""
        return np.max(self, axis=axis, **options)  # type: ignore[call-overload]

    def mean(self, axis: Any = None, **options: Any) -> Bounded:
        """Return np.mean of the array."""
        return np.mean(self, axis=axis, **options)  # type: ignore[call-overload]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Apply a universal function to the values and its error rule to the errors."""
        out = options.pop("out", None)
        with np.errstate(all="ignore"):  # the ends of error intervals may overflow
            result = self.applied(ufunc, method, inputs, options)
        if result is NotImplemented or out is None:
            return result
        (target,) = out
        if not isinstance(target, Bounded):
            return NotImplemented
        target[...] = result
        return target

    def applied(self, ufunc: Any, method: str, inputs: Any, options: Mapping[str, Any]) -> Any:
        """Return the result of `ufunc` or np.add.reduceat; NotImplemented if no rule exists."""
        if method == "reduceat" and ufunc is np.add:
            return functions.bounded_add_reduceat(*inputs, **options)
        if method != "__call__" or options:
            return NotImplemented
        operands = [self.operand(without_doubts(x)) for x in inputs]
        value = ufunc(*(x.value for x in operands))
        if ufunc in EXACT:
            return value
        if ufunc in Choice.COMPARISONS:
            return compare_with_doubts(self.arithmetic, value, *operands)
        error = self.error_of(ufunc, value, inputs, operands)
        if error is None:
            return NotImplemented
        return self.like(value, error, origin_of(ufunc, inputs, operands))

    def error_of(self, ufunc: Any, value: Any, inputs: Any, operands: list[Operand]) -> Values:
        """Return the error of a result, or None if `ufunc` has no error rule."""
        if ufunc is np.matmul:
            count = np.shape(operands[0].value)[-1]
            return sums.contraction_error(self.arithmetic, value, operands, np.matmul, count)
        error = correlated_error(ufunc, value, inputs)
        if error is None and ufunc in RULES:
            error = RULES[ufunc](self.arithmetic, value, *operands)
        if ufunc is np.add:
            initial = sums.initial_term_errors(self.arithmetic, inputs, operands)
            error = self.arithmetic.join(error, *initial)
        return error

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        """Apply a NumPy function that `functions.py` supports."""
        supported = functions.FUNCTIONS.get(func)
        with np.errstate(all="ignore"):
            return NotImplemented if supported is None else supported(*args, **options)


def origin_of(ufunc: Any, inputs: Sequence[Any], operands: Sequence[Operand]) -> Any:
    """Return how a product was computed, for later error rules; None for any other result."""
    if ufunc is np.multiply:
        return sums.Product(*inputs)
    if ufunc is np.matmul:
        return sums.Contraction(np.shape(operands[0].value)[-1])
    return None


def correlated_error(ufunc: Any, value: Values, inputs: Sequence[Any]) -> Values | None:
    """Return the error of x / sum x or x - sum w x, whose operands are correlated; else None."""
    all_bounded = all(isinstance(x, Bounded) for x in inputs)
    if ufunc not in (np.true_divide, np.subtract) or not all_bounded:
        return None
    (x, y), a = inputs, inputs[0].arithmetic
    if not isinstance(y.origin, sums.Sum):
        return None
    terms, axis = y.origin
    if ufunc is np.true_divide and terms is x:
        return sums.quotient_error(a, value, x.operand(x), y.operand(y), axis)
    if ufunc is np.subtract and isinstance(terms.origin, sums.Product):
        weights, other = terms.origin
        if other is x and isinstance(weights, Bounded) and weights.shape == x.shape:
            return sums.difference_error(a, value, x.operand(x), weights.operand(weights), axis)
    return None
