"""Squash: capsules of the same direction with lengths below one. Spec: specs/squash.md.

PyTorch differentiates, so each piece is written in the form whose derivative neither overflows nor
cancels. Constants (`detach`) stand where a derivative is zero on paper; second derivatives are
therefore not those of the function.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.checks import one_of, same_float
from mindref_torch.narrow import in_float32

KINDS = ("squash", "unit", "none")


@in_float32
def squash(x: Tensor, *, kind: str = "squash") -> Tensor:
    """Map capsules (..., D) to x n / (1 + n^2) for the length n of the last axis.

    kind "unit" gives x / n, zero for zero; "none" gives a copy of x. Raises ShapeError for another
    kind, for a type that is neither float32 nor float64, and for a number without an axis.
    """
    one_of("squash: kind", KINDS, kind)  # squash-R8
    same_float("squash", x=x)
    if x.ndim == 0:
        raise ShapeError(say("squash: x", "at least one axis", "a number"))  # squash-R9
    if kind == "none" or x.shape[-1] == 0:
        return x.clone()  # squash-R7
    direction, length = polar(x)
    return unit(x, direction, length) if kind == "unit" else squashed(x, direction, length)


def polar(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return direction (..., D) and length (..., 1); zero has direction zero, without a slope.

    x / c has the direction of x for any number c, so the largest component may be a constant. A
    small step turns a direction across x only, so in n = <a, x> the direction a may be one, too.
    """
    largest = x.detach().abs().amax(-1, keepdim=True)
    zero = largest == 0
    scaled = x / largest.masked_fill(zero, 1)  # nothing tiny or huge is squared, squash-R4, R5
    norm = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    direction = scaled / norm.masked_fill(zero, torch.inf)  # squash-R3
    return direction, (direction.detach() * x).sum(-1, keepdim=True)


def squashed(x: Tensor, direction: Tensor, length: Tensor) -> Tensor:
    """Return x n / (1 + n^2) up to length one, and direction / (1 + 1 / n^2) beyond."""
    short = length <= 1
    n = length.masked_fill(~short, 0)
    inverse = 1 / length.masked_fill(short, 1)
    return torch.where(short, x * (n / (1 + n * n)), direction / (1 + inverse * inverse))


def unit(x: Tensor, direction: Tensor, length: Tensor) -> Tensor:
    """Return the direction; where 1 / n is beyond the largest float, that float is the slope."""
    most = torch.finfo(x.dtype).max
    shortest = (length > 0) & (length.detach() * most < 1)
    fixed = direction.detach()
    across = (x - fixed * (fixed * x).sum(-1, keepdim=True)) * most
    turned = fixed + (across - across.detach())  # the value is the direction, the slope is `most`
    return torch.where(shortest, turned, direction)  # squash-R6
