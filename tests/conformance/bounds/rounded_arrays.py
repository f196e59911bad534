"""Correct implementations of any dtype, which differ from the reference in the order of sums.

A RoundedArray is an array on which the reference runs, as on a Bounded. It rounds every result to
its dtype and adds from the front, from the back or in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.conformance.bounds.precision import TYPES, Precision
from tests.conformance.correct.sums import broadcast_axes

Add = Callable[[Any], Any]


def round_to(x: Any, unit: float) -> Any:
    """Return the nearest number with as many bits as a type of this rounding unit."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or unit <= TYPES["float32"].unit:
        return x
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.rint(mantissa / unit) * unit, exponent).astype(x.dtype)


def from_the_front(terms: Any, keep: Add) -> Any:
    total = np.zeros_like(terms[..., 0]) if terms.shape[-1] == 0 else terms[..., 0]
    for i in range(1, terms.shape[-1]):
        total = keep(total + terms[..., i])
    return total


def from_the_back(terms: Any, keep: Add) -> Any:
    return from_the_front(terms[..., ::-1], keep)


def in_pairs(terms: Any, keep: Add) -> Any:
    count = terms.shape[-1]
    if count <= 2:
        return from_the_front(terms, keep)
    half = count // 2
    return keep(in_pairs(terms[..., :half], keep) + in_pairs(terms[..., half:], keep))


ORDERS = {"front": from_the_front, "back": from_the_back, "pairs": in_pairs}


class RoundedArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array whose sums are taken in one order and whose results are rounded to one type."""

    __array_priority__ = 1000

    def __init__(self, value: Any, order: str, precision: Precision) -> None:
        self.order, self.precision = order, precision
        held = "float64" if precision.store == "float64" else "float32"
        self.value = round_to(np.asarray(value).astype(held), TYPES[precision.store].unit)
        self.dtype = self.value.dtype

    def like(self, value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f":
            return RoundedArray(value, self.order, self.precision)
        return value

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "size"):
            return getattr(self.value, name)
        if name == "T":
            return self.like(self.value.T)
        if name in ("reshape", "transpose", "copy"):
            return lambda *args: self.like(getattr(self.value, name)(*args))
        raise AttributeError(name)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Any:
        return self.like(self.value[index])

    def __setitem__(self, index: Any, new: Any) -> None:
        self.value[index] = plain(new)

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> Any:
        return self

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return self.added(self.value, axis, keepdims)

    def mean(self, dtype: Any = None) -> Any:
        return self.sum() / self.value.size

    def added(self, terms: Any, axis: Any, keepdims: bool = False) -> Any:
        """Return the sum in the order and the type of accumulation."""
        unit = TYPES[self.precision.accumulate].unit
        wide = np.float64 if self.precision.accumulate == "float64" else np.float32
        axes = range(terms.ndim) if axis is None else np.atleast_1d(axis) % terms.ndim
        batch_axes = [i for i in range(terms.ndim) if i not in axes]
        flat = terms.astype(wide).transpose(*batch_axes, *axes)
        flat = flat.reshape(*(terms.shape[i] for i in batch_axes), -1)
        total = ORDERS[self.order](flat, lambda x: round_to(x, unit))
        if keepdims:
            total = total.reshape([1 if i in axes else n for i, n in enumerate(terms.shape)])
        return self.like(np.asarray(total))

    def contracted(self, subscripts: str, x: Any, y: Any) -> Any:
        words, result = subscripts.split("->")
        first, second = words.split(",")
        letters = result + "".join(sorted(set(first + second) - set(result)))
        wide = np.float64 if self.precision.accumulate == "float64" else np.float32
        operands = ((x, first), (y, second))
        a, b = (broadcast_axes(plain(z).astype(wide), word, letters) for z, word in operands)
        products = round_to(a * b, TYPES[self.precision.accumulate].unit)
        return self.added(products, tuple(range(len(result), len(letters))))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if ufunc is np.matmul:
            x, y = inputs
            result = self.contracted(*MATMUL[x.ndim, y.ndim], x, y)
        elif method == "reduceat":
            result = self.stretches(*inputs)
        else:
            result = self.like(ufunc(*(self.typed(x) for x in inputs), **options))
        if out is None:
            return result
        out[0].value[...] = result.value
        return out[0]

    def typed(self, x: Any) -> Any:
        """Return a plain operand, rounded to the type as an implementation would."""
        x = plain(x)
        return self.like(np.asarray(x)).value if np.asarray(x).dtype.kind == "f" else x

    def stretches(self, values: Any, first: Any) -> Any:
        ends = [*first[1:], len(values)]
        parts = [self.added(values.value[i:j], 0).value for i, j in zip(first, ends, strict=True)]
        return self.like(np.stack(parts))

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        if func is np.sum:
            return self.added(args[0].value, options.get("axis"), options.get("keepdims", False))
        if func is np.einsum:
            return self.contracted(*args)
        return self.like(func(*plain(args), **plain(options)))


MATMUL = {(2, 2): ("ij,jk->ik",), (3, 3): ("bij,bjk->bik",), (3, 2): ("bij,jk->bik",)}


def plain(x: Any) -> Any:
    """Return the numbers of a RoundedArray, anywhere in tuples, lists and dicts."""
    if isinstance(x, RoundedArray):
        return x.value
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    return type(x)(plain(y) for y in x) if isinstance(x, tuple | list) else x


def maker(order: str, types: str | Sequence[str]) -> Callable[[Any], RoundedArray]:
    precision = Precision.of(types)
    return lambda x: RoundedArray(x, order, precision)


def implementations(types: str) -> Iterator[Callable[[Any], Any]]:
    """Yield functions that wrap inputs; each makes a correct implementation of the reference."""
    yield lambda x: np.asarray(x).astype(types)
    yield from (maker(order, types) for order in ORDERS)


def parts_beyond_bound(result: dict[str, Any], expected: Any) -> list[str]:
    errors = {
        part: np.abs(np.asarray(plain(result[part]), float) - value)
        for part, (value, _) in expected.parts.items()
    }
    return [part for part, error in errors.items() if not (error <= expected.parts[part][1]).all()]
