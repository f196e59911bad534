"""Squash: the length of a capsule becomes less than one. Spec: specs/squash.md.

No expression overflows or cancels, and neither does a derivative. In "unit", a factor with
derivative zero is a constant (`detach`), so second derivatives are wrong. "squash"
has no second derivative.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mindref.ops import squash as reference
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import check_arguments


@compute_in_float32
def squash(x: Tensor, *, kind: str = "squash") -> Tensor:
    """Map vectors x (..., D) of length n to capsules x n / (1 + n^2).

    kind "unit" returns x / n, zero for zero; "none" returns a copy of x. Raises ShapeError for
    another kind, a dtype other than float32 and float64, and a scalar.
    """
    check_arguments(reference.check_inputs, x, kind=kind)  # squash-R8, R9
    if kind == "none" or x.shape[-1] == 0:
        return x.clone()  # squash-R7
    if kind == "unit":
        return unit_from_direction(x, *direction_and_length(x))
    capsules: Tensor = SquashFunction.apply(x)
    return capsules


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


class SquashFunction(torch.autograd.Function):  # type: ignore[misc]  # the framework has no types
    """x n / (1 + n^2) with its derivative in closed form.

    With m = min(n, 1 / n) the factor of x is f = m / (1 + m^2), and no square overflows. The
    gradient of x is f d + a <a, d> s for the direction a, with s = n df/dn.
    """

    @staticmethod
    def forward(context: FunctionCtx, x: Tensor) -> Tensor:
        """Return x f for n <= 1, and a / (1 + m^2) for n > 1."""
        direction, length = direction_and_length(x)
        short = length <= 1
        m = torch.where(short, length, 1 / length)
        denominator = 1 + m * m
        factor = m / denominator
        slope = factor * (1 - m * m) / denominator
        context.save_for_backward(direction, factor, torch.where(short, slope, -slope))
        return torch.where(short, x * factor, direction / denominator)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: FunctionCtx, gradient: Tensor) -> Tensor:
        """Return the gradient of x."""
        direction, factor, slope = context.saved_tensors
        along = (direction * gradient).sum(-1, keepdim=True) * slope
        return torch.addcmul(factor * gradient, direction, along)


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
