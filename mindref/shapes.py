"""Bind axis letters across arrays, so that a wrong shape is named before it computes anything.

Spec: specs/notation.md. Letters: B users in the batch, L history length, K interests, D width,
N items, S negatives, P profile width; see the table there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.errors import ShapeError, say

Array = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def bind(where: str, **arrays: tuple[npt.NDArray[Any], str]) -> dict[str, int]:
    """Return the size of each axis letter; every array must agree with those before it.

    `bind("routing", history=(history, "BLD"), mask=(mask, "BL"))` returns the sizes of B, L and D.
    Raises ShapeError naming the array, its shape, and the array that fixed the letter.
    """
    sizes: dict[str, int] = {}
    fixed_by: dict[str, str] = {}
    for name, (array, letters) in arrays.items():
        if array.ndim != len(letters):  # notation-R2
            raise ShapeError(
                f"{where}: {name} has shape {array.shape} but needs {len(letters)} axes"
                f" ({', '.join(letters)})"
            )
        for letter, size in zip(letters, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:  # notation-R1
                other = fixed_by[letter]
                need = ", ".join(str(sizes.get(x, x)) for x in letters)
                raise ShapeError(  # notation-R3
                    f"{where}: {name} has shape {array.shape} but {other}"
                    f" {arrays[other][0].shape} needs ({', '.join(letters)}) = ({need})"
                )
            fixed_by.setdefault(letter, name)
    return sizes


def same_float(where: str, **arrays: Array) -> np.dtype[Any]:
    """Return the one floating type of all arrays, float32 or float64; anything else raises."""
    types = {name: array.dtype for name, array in arrays.items()}
    first = next(iter(types.values()))
    known = first in (np.float32, np.float64)
    if not known or any(dtype != first for dtype in types.values()):  # numerics-R1
        listed = ", ".join(f"{name} {dtype}" for name, dtype in types.items())
        raise ShapeError(f"{where}: expected one type, float32 or float64, got {listed}")
    return first


def boolean(where: str, **masks: npt.NDArray[Any]) -> None:
    """Raise ShapeError unless every mask is boolean; numbers that stand for masks are refused."""
    for name, mask in masks.items():
        if mask.dtype != np.bool_:  # numerics-R3
            raise ShapeError(say(f"{where}: {name}", "a mask of type bool", mask.dtype))


def axis_within(where: str, axis: object, count: int) -> None:
    """Raise ShapeError unless `axis` is an integer that names one of `count` axes; no bool is."""
    whole = isinstance(axis, int | np.integer) and not isinstance(axis, bool)
    if not whole or not -count <= axis < count:  # type: ignore[operator]  # it is an integer
        raise ShapeError(say(f"{where}: axis", f"an axis from {-count} to {count - 1}", axis))


def fits(where: str, d_out: Array, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless the gradient of a result has its shape."""
    if np.shape(d_out) != shape:
        raise ShapeError(say(f"{where}: d_out", f"shape {shape}", np.shape(d_out)))
