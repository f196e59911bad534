"""Checks of the arguments of operators. Each raises ShapeError with the names and the shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.errors import ShapeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_axes(operator: str, **arrays: tuple[Any, str]) -> dict[str, int]:
    """Return the size of each axis letter. `arrays` maps a name to an array and its letters."""
    sizes: dict[str, int] = {}
    first: dict[str, tuple[str, tuple[int, ...]]] = {}  # letter -> the first array that has it
    for name, (x, letters) in arrays.items():
        if x.ndim != len(letters):
            raise ShapeError(
                f"{operator}: {name} has shape {x.shape} but needs {len(letters)} axes"
                f" ({', '.join(letters)})"
            )
        for letter, size in zip(letters, x.shape, strict=True):
            if letter not in sizes:
                sizes[letter], first[letter] = size, (name, x.shape)
            elif sizes[letter] != size:
                other, shape = first[letter]
                needed = ", ".join(str(sizes.get(axis, axis)) for axis in letters)
                raise ShapeError(
                    f"{operator}: {name} has shape {x.shape} but {other} {shape} needs"
                    f" ({', '.join(letters)}) = ({needed})"
                )
    return sizes


def check_floats(operator: str, **arrays: Any) -> None:
    """Raise ShapeError unless all arrays are float32 or all are float64."""
    dtypes = {x.dtype for x in arrays.values()}
    if len(dtypes) != 1 or dtypes.pop() not in FLOATS:
        got = ", ".join(f"{name} {x.dtype}" for name, x in arrays.items())
        raise ShapeError(f"{operator}: expected one dtype, float32 or float64, got {got}")


def check_masks(operator: str, **masks: Any) -> None:
    """Raise ShapeError unless every mask is of dtype bool."""
    for name, mask in masks.items():
        if mask.dtype != bool:
            raise ShapeError(f"{operator}: {name}: expected a mask of dtype bool, got {mask.dtype}")


def check_rows(operator: str, rows: Any, count: int) -> None:
    """Raise ShapeError unless rows are integers from 0 to count - 1."""
    if rows.dtype.kind not in "iu":
        raise ShapeError(f"{operator}: rows: expected integers, got {rows.dtype}")
    if rows.size:
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= count:
            invalid = low if low < 0 else high
            raise ShapeError(
                f"{operator}: rows: expected indices from 0 to {count - 1}, got {invalid}"
            )
