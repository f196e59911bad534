"""Checks of the shapes and dtypes of tensors, with the error messages of mindref.

Spec: specs/notation.md, specs/numerics.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import ml_dtypes  # noqa: F401  # registers bfloat16 in NumPy
import numpy as np
import torch
from torch import Tensor

from mindref import shapes
from mindref.errors import ShapeError, say
from mindref.shapes import Array

FLOATS = (torch.float64, torch.float32)


def check_arguments(check: Callable[..., None], *tensors: Tensor | None, **numbers: object) -> None:
    """Call an argument check of `mindref.ops` with arrays that have the shapes and dtypes.

    All values are one, which every check of values accepts. A graph cannot raise errors, so it has
    no checks.
    """
    if not torch.compiler.is_compiling():
        check(
            *(x if x is None else stored_ones(tuple(x.shape), x.dtype) for x in tensors), **numbers
        )


@lru_cache(maxsize=1000)
def stored_ones(shape: tuple[int, ...], dtype: torch.dtype) -> Array:
    """Return ones as an array with a single stored value."""
    return np.broadcast_to(np.ones((), dtype_name(dtype)), shape)


class NumpyShape(NamedTuple):
    """The shape of a tensor as a tuple, because torch.Size prints otherwise in messages."""

    shape: tuple[int, ...]
    ndim: int


def bind_axes(subject: str, **tensors: tuple[Tensor, str]) -> dict[str, int]:
    """Return the size of each axis letter; raises ShapeError if tensors disagree."""
    described = {
        name: (NumpyShape(tuple(x.shape), x.ndim), letters)
        for name, (x, letters) in tensors.items()
    }
    return shapes.bind_axes(subject, **described)


def require_float_dtype(subject: str, **tensors: Tensor) -> None:
    """Raise ShapeError unless all tensors have one dtype, float32 or float64 (numerics-R1)."""
    types = [x.dtype for x in tensors.values()]
    if types[0] not in FLOATS or any(dtype != types[0] for dtype in types):
        listed = ", ".join(f"{name} {dtype_name(x.dtype)}" for name, x in tensors.items())
        raise ShapeError(f"{subject}: expected one dtype, float32 or float64, got {listed}")


def require_bool(subject: str, **masks: Tensor) -> None:
    """Raise ShapeError unless every mask is boolean (numerics-R3)."""
    for name, mask in masks.items():
        if mask.dtype != torch.bool:
            raise ShapeError(
                say(f"{subject}: {name}", "a mask of dtype bool", dtype_name(mask.dtype))
            )


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype without the prefix `torch.`."""
    return str(dtype).removeprefix("torch.")
