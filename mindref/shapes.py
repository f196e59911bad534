"""Shape and dtype checks of arrays. An error names the wrong array before any computation.

Spec: specs/notation.md. Letters: B users in the batch, L history length, K interests, D width,
N items, S negatives, P profile width.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mindref.errors import ShapeError, say

Array = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Shaped(Protocol):
    """An array of any library, or a description of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""

    @property
    def ndim(self) -> int:
        """The number of axes."""


def bind_axes(location: str, **arrays: tuple[Shaped, str]) -> dict[str, int]:
    """Return the size of each axis letter. Each array must agree with the arrays before it.

    `bind_axes("routing", history=(history, "BLD"), mask=(mask, "BL"))` returns the sizes of B, L
    and D. Raises ShapeError with the array, its shape, and the array that fixed the letter.
    """
    sizes: dict[str, int] = {}
    fixed_by: dict[str, str] = {}
    for name, (array, letters) in arrays.items():
        if array.ndim != len(letters):  # notation-R2
            raise ShapeError(
                f"{location}: {name} has shape {array.shape} but needs {len(letters)} axes"
                f" ({', '.join(letters)})"
            )
        for letter, size in zip(letters, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:  # notation-R1
                other = fixed_by[letter]
                need = ", ".join(str(sizes.get(x, x)) for x in letters)
                raise ShapeError(  # notation-R3
                    f"{location}: {name} has shape {array.shape} but {other}"
                    f" {arrays[other][0].shape} needs ({', '.join(letters)}) = ({need})"
                )
            fixed_by.setdefault(letter, name)
    return sizes


def common_float_dtype(location: str, **arrays: Array) -> np.dtype[Any]:
    """Return the common dtype of all arrays, float32 or float64; anything else raises."""
    dtypes = {name: array.dtype for name, array in arrays.items()}
    first = next(iter(dtypes.values()))
    supported = first in (np.float32, np.float64)
    if not supported or any(dtype != first for dtype in dtypes.values()):  # numerics-R1
        listed = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise ShapeError(f"{location}: expected one dtype, float32 or float64, got {listed}")
    return first


def require_bool(location: str, **masks: npt.NDArray[Any]) -> None:
    """Raise ShapeError unless every mask has dtype bool; numeric masks are rejected."""
    for name, mask in masks.items():
        if mask.dtype != np.bool_:  # numerics-R3
            raise ShapeError(say(f"{location}: {name}", "a mask of dtype bool", mask.dtype))


def require_axis(location: str, axis: object, count: int) -> None:
    """Raise ShapeError unless `axis` is an integer, not a bool, and one of `count` axes."""
    is_integer = isinstance(axis, int | np.integer) and not isinstance(axis, bool)
    if not is_integer or not -count <= axis < count:  # type: ignore[operator]  # it is an integer
        raise ShapeError(say(f"{location}: axis", f"an axis from {-count} to {count - 1}", axis))


def require_gradient_shape(location: str, d_out: Array, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless an output gradient has the shape of its output."""
    if np.shape(d_out) != shape:
        raise ShapeError(say(f"{location}: d_out", f"shape {shape}", np.shape(d_out)))
