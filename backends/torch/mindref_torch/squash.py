"""Squash: the length of a capsule becomes less than one. Spec: specs/squash.md.

No expression overflows or cancels, and neither does a derivative. There is no second derivative.
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
    return squash_vectors(x, kind)


def squash_vectors(x: Tensor, kind: str) -> Tensor:
    """Return `squash` of a checked tensor."""
    if kind == "none" or x.shape[-1] == 0:
        return x.clone()  # squash-R7
    capsules: Tensor = SquashFunction.apply(x, kind)
    return capsules


class SquashFunction(torch.autograd.Function):  # type: ignore[misc]  # the framework has no types
    """x n / (1 + n^2), or x / n, with derivatives in closed form.

    The largest component of x / c is one for c = max |x|. So no square overflows, and the length q
    of x / c is from 1 to the root of D. The length of x is n = c q. The gradient of x is
    f d + a <a, d> s for the direction a, the factor f of x, and s = n df/dn.
    """

    @staticmethod
    def forward(context: FunctionCtx, x: Tensor, kind: str) -> Tensor:
        """Return x f as (x / c) (c f)."""
        largest = x.abs().amax(-1, keepdim=True)  # c
        zero = largest == 0
        divisor = largest.masked_fill(zero, 1)
        scaled = x / divisor  # no tiny or huge squares, squash-R4, R5
        scaled_length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True).clamp(min=1)  # q
        if kind == "unit":
            inverse = (1 / scaled_length / divisor).clamp(max=torch.finfo(x.dtype).max)
            factor = inverse.masked_fill(zero, 0)  # squash-R3, R6
            context.save_for_backward(scaled, factor, -factor / scaled_length.square())
            return scaled / scaled_length
        length = largest * scaled_length
        short = length <= 1
        m = torch.where(short, length, 1 / length)  # no overflow of n^2
        square = m * m
        denominator = 1 + square
        if context.needs_input_grad[0]:
            factor = m / denominator
            slope = factor * (1 - square) / denominator / scaled_length.square()
            context.save_for_backward(scaled, factor, torch.where(short, slope, -slope))
        gain = torch.where(short, square, 1) / denominator  # the new length n f
        return scaled * (gain / scaled_length)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of x."""
        scaled, factor, slope = context.saved_tensors  # the slope is divided by q^2
        along = (scaled * gradient).sum(-1, keepdim=True) * slope
        return torch.addcmul(factor * gradient, scaled, along), None
