"""The array class `Bounded`: float64 values, and an error for each value.

The values equal the numbers that the reference computes. A comparison such as x < y returns
a boolean mask that also stores where errors could change the mask.
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
    """Float64 values, and an error for each value. Operators use a Bounded like a NumPy array.

    An operation without an error rule raises TypeError.
    """

    dtype = np.dtype(np.float64)
    __array_priority__ = 1000

    def __init__(
        self, value: Array, error: Values, arithmetic: Arithmetic, origin: Any = None
    ) -> None:
        """Store the arguments. `origin` is a record of how `value` was computed, or None."""
        self.value = np.asarray(value)
        self.shape, self.ndim, self.size = self.value.shape, self.value.ndim, self.value.size
        self.error: Array = errors_without_nan(self.value, error)
        self.arithmetic = arithmetic
        self.origin = origin

    def like(self, value: Values, error: Values, origin: Any = None) -> Bounded:
        """Return a Bounded of these arrays, with the precision and mode of `self`."""
        return Bounded(value, error, self.arithmetic, origin)

    @property
    def T(self) -> Bounded:
        """The transposed array."""
        return self.like(self.value.T, self.error.T)

    def __len__(self) -> int:
        """Return the size of the first axis."""
        return len(self.value)

    def __repr__(self) -> str:
        """Return values and errors as text."""
        return f"Bounded({self.value!r}, error={self.error!r})"

    def __getitem__(self, index: Any) -> Bounded:
        """Return `self[index]`, which is a view if NumPy returns a view."""
        return self.like(self.value[index], self.error[index])

    def __setitem__(self, index: Any, new: Any) -> None:
        """Assign the values and errors of `new` at `index`."""
        operand = self.operand(new)
        self.value[index], self.error[index] = operand.value, operand.error
        self.origin = None

    def operand(self, x: Any) -> Operand:
        """Return the values and errors of `x`: a Bounded, an array or a number."""
        if isinstance(x, Bounded):
            return Operand(x.value, x.error)
        return self.arithmetic.constant(x)

    def reshape(self, *shape: Any) -> Bounded:
        """Return the reshaped array."""
        return self.like(self.value.reshape(*shape), self.error.reshape(*shape))

    def transpose(self, *axes: Any) -> Bounded:
        """Return the array with permuted axes."""
        return self.like(self.value.transpose(*axes), self.error.transpose(*axes))

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Bounded:
        """Return the array. Raises TypeError if `dtype` is not float64."""
        if np.dtype(dtype) != self.dtype:
            raise TypeError(f"a Bounded is float64 and becomes no {np.dtype(dtype)}")
        return self.copy() if copy else self

    def copy(self) -> Bounded:
        """Return a copy."""
        return self.like(self.value.copy(), self.error.copy())

    def sum(self, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Bounded:
        """Return np.sum of the array."""
        return np.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)  # type: ignore[call-overload]

    def max(self, axis: Any = None, *, keepdims: bool = False, initial: Any = -np.inf) -> Bounded:
        """Return np.max of the array."""
        return np.max(self, axis=axis, keepdims=keepdims, initial=initial)  # type: ignore[call-overload]

    def mean(self, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Bounded:
        """Return np.mean of the array."""
        return np.mean(self, axis=axis, dtype=dtype, keepdims=keepdims)  # type: ignore[call-overload]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Return `ufunc(*inputs)` with errors. NumPy calls this method for np.exp, x + y, ..."""
        out = kwargs.pop("out", None)
        with np.errstate(all="ignore"):  # errors may overflow
            result = self.applied(ufunc, method, inputs, kwargs)
        if result is NotImplemented or out is None:
            return result
        (target,) = out
        if not isinstance(target, Bounded):
            return NotImplemented
        target[...] = result
        return target

    def applied(self, ufunc: Any, method: str, inputs: Any, kwargs: Mapping[str, Any]) -> Any:
        """Return the result of `ufunc`, or NotImplemented if `ufunc` has no error rule."""
        if method == "reduceat" and ufunc is np.add:
            array, starts = inputs
            return functions.bounded_add_reduceat(array, starts, axis=kwargs.get("axis", 0))
        if method != "__call__" or kwargs:
            return NotImplemented
        operands = [self.operand(without_doubts(x)) for x in inputs]
        value = ufunc(*[x.value for x in operands])
        if ufunc in EXACT:
            return value
        if ufunc in Choice.COMPARISONS:
            return compare_with_doubts(self.arithmetic, value, *operands)
        error = self.error_of(ufunc, value, inputs, operands)
        if error is None:
            return NotImplemented
        return self.like(value, error, origin_of(ufunc, inputs, operands))

    def error_of(self, ufunc: Any, value: Any, inputs: Any, operands: list[Operand]) -> Values:
        """Return the error of `value`, a result of `ufunc`; None if `ufunc` has no error rule."""
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

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Call the version of `func` in `functions.py`, or return NotImplemented."""
        supported = functions.FUNCTIONS.get(func)
        with np.errstate(all="ignore"):
            return NotImplemented if supported is None else supported(*args, **kwargs)


def origin_of(ufunc: Any, inputs: Sequence[Any], operands: Sequence[Operand]) -> Any:
    """Return a record of how x * y or x @ y was computed; None for any other `ufunc`."""
    if ufunc is np.multiply:
        left, right = inputs
        return sums.Product(left, right)
    if ufunc is np.matmul:
        return sums.Contraction(np.shape(operands[0].value)[-1])
    return None


def correlated_error(ufunc: Any, value: Values, inputs: Sequence[Any]) -> Values | None:
    """Return the error of x / sum(x) or x - sum(w * x), or None for any other operation."""
    if ufunc is not np.true_divide and ufunc is not np.subtract:
        return None
    x, y = inputs
    if not isinstance(x, Bounded) or not isinstance(y, Bounded) or type(y.origin) is not sums.Sum:
        return None
    a = x.arithmetic
    terms, axis = y.origin
    if ufunc is np.true_divide and terms is x:
        return sums.quotient_error(a, value, x.operand(x), y.operand(y), axis)
    if ufunc is np.subtract and isinstance(terms.origin, sums.Product):
        weights, other = terms.origin
        if other is x and isinstance(weights, Bounded) and weights.shape == x.shape:
            return sums.difference_error(a, value, x.operand(x), weights.operand(weights), axis)
    return None
