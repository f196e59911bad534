"""Squash: the length of a capsule becomes less than one. Spec: specs/squash.md.

PyTorch differentiates these functions. Each expression has a form whose derivative does not
overflow or cancel. A factor with derivative zero is a constant (`detach`). Therefore second
derivatives are wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import require_choice, require_float_dtype

KINDS = ("squash", "unit", "none")


@compute_in_float32
def squash(x: Tensor, *, kind: str = "squash") -> Tensor:
    """Map vectors x (..., D) of length n to capsules x n / (1 + n^2).

    kind "unit" returns x / n, zero for zero; "none" returns a copy of x. Raises ShapeError for
    another kind, a dtype other than float32 and float64, and a scalar.
    """
    require_choice("squash: kind", KINDS, kind)  # squash-R8
    require_float_dtype("squash", x=x)
    if x.ndim == 0:
        raise ShapeError(say("squash: x", "at least one axis", "a number"))  # squash-R9
    if kind == "none" or x.shape[-1] == 0:
        return x.clone()  # squash-R7
    from_direction = unit_from_direction if kind == "unit" else squash_from_direction
    return from_direction(x, *direction_and_length(x))


def direction_and_length(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return direction a (..., D) and length n (..., 1); zero has direction zero with zero slope.

    x / c has the same direction for any c, so the largest component can be constant. The derivative
    of a direction is orthogonal to x. Therefore a can be constant in n = <a, x>.
    """
    largest = x.detach().abs().amax(-1, keepdim=True)
    zero = largest == 0
    scaled = x / largest.masked_fill(zero, 1)  # no tiny or huge squares, squash-R4, R5
    norm = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    direction = scaled / norm.masked_fill(zero, torch.inf)  # squash-R3
    return direction, (direction.detach() * x).sum(-1, keepdim=True)


def squash_from_direction(x: Tensor, direction: Tensor, length: Tensor) -> Tensor:
    """Return x n / (1 + n^2) for n <= 1, and direction / (1 + 1 / n^2) for n > 1."""
    short = length <= 1
    n = length.masked_fill(~short, 0)
    inverse = 1 / length.masked_fill(short, 1)
    return torch.where(short, x * (n / (1 + n * n)), direction / (1 + inverse * inverse))


def unit_from_direction(x: Tensor, direction: Tensor, length: Tensor) -> Tensor:
    """Return the direction; if 1 / n overflows, the slope is the largest float."""
    largest_float = torch.finfo(x.dtype).max
    tiny = (length > 0) & (length.detach() * largest_float < 1)
    constant_direction = direction.detach()
    across = (
        x - constant_direction * (constant_direction * x).sum(-1, keepdim=True)
    ) * largest_float
    tiny_direction = constant_direction + (across - across.detach())  # slope: largest_float
    return torch.where(tiny, tiny_direction, direction)  # squash-R6
