"""What the operators refuse: tensors whose shapes or types do not fit each other.

Spec: specs/notation.md, specs/numerics.md. The words are those of mindref.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mindref import shapes
from mindref.errors import ShapeError, say

FLOATS = (torch.float64, torch.float32)

axis_within = shapes.axis_within


class Shape(NamedTuple):
    """The shape of a tensor as one of NumPy: a shape of torch would print as torch.Size."""

    shape: tuple[int, ...]
    ndim: int


def bind(where: str, **tensors: tuple[Tensor, str]) -> dict[str, int]:
    """Return the size of each axis letter, or raise ShapeError where tensors disagree."""
    shown: dict[str, Any] = {
        name: (Shape(tuple(x.shape), x.ndim), letters) for name, (x, letters) in tensors.items()
    }
    return shapes.bind(where, **shown)


def same_float(where: str, **tensors: Tensor) -> None:
    """Raise ShapeError unless all tensors have one type, float32 or float64 (numerics-R1)."""
    types = [x.dtype for x in tensors.values()]
    if types[0] not in FLOATS or any(dtype != types[0] for dtype in types):
        listed = ", ".join(f"{name} {name_of(x.dtype)}" for name, x in tensors.items())
        raise ShapeError(f"{where}: expected one type, float32 or float64, got {listed}")


def boolean(where: str, **masks: Tensor) -> None:
    """Raise ShapeError unless every mask is boolean (numerics-R3)."""
    for name, mask in masks.items():
        if mask.dtype != torch.bool:
            raise ShapeError(say(f"{where}: {name}", "a mask of type bool", name_of(mask.dtype)))


def one_of(where: str, known: tuple[str, ...], word: object) -> None:
    """Raise ShapeError unless the word is a known one."""
    if word not in known:
        raise ShapeError(say(where, " or ".join(known), word))


def name_of(dtype: torch.dtype) -> str:
    """Return the name of a type without that of the framework."""
    return str(dtype).removeprefix("torch.")
