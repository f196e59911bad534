"""Label-aware attention with the target item as query. Spec: specs/label_attention.md."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from mindref.errors import ShapeError, say
from mindref.ops import label_attention as reference
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import check_arguments
from mindref_torch.softmax import masked_softmax


@compute_in_float32
def label_attention(interests: Tensor, target: Tensor, active: Tensor, *, power: float) -> Tensor:
    """Map interests (B, K, D) and a target (B, D) to the user's vector for that item (B, D).

    active (B, K) is true for the active interests, at least one per user; power in [0, infinity].
    Raises ShapeError for wrong shapes, dtypes or power, and for a user without active interests.
    """
    # label_attention-R14, R15
    check_arguments(reference.check_inputs, interests, target, active, power=power)
    check_active("label_attention", active)  # label_attention-R16
    interests = torch.where(active[:, :, None], interests, 0)  # label_attention-R4
    weights = attention_weights(interests, target, active, power)
    return torch.einsum("bk,bkd->bd", weights, interests)  # label_attention-R7


def attention_weights(interests: Tensor, target: Tensor, active: Tensor, power: float) -> Tensor:
    """Return the weight of each interest (B, K)."""
    if power == 0 or not active.numel():  # label_attention-R5, R10: scores are not read
        return masked_softmax(interests.new_zeros(active.shape), active, 1)
    scores = torch.einsum("bkd,bd->bk", interests, target)  # label_attention-R1
    if math.isinf(power):
        return one_hot_of_largest(scores.detach(), active)  # label_attention-R6, R10
    gaps = differentiable_gaps(scores, active, power)
    return masked_softmax(gaps, active, 1)  # label_attention-R3


def one_hot_of_largest(scores: Tensor, active: Tensor) -> Tensor:
    """Return one at the first largest active score (B, K); NaN if an active score is not finite."""
    active_scores = torch.where(active, scores, -torch.inf)
    first = active_scores == active_scores.amax(1, keepdim=True)
    weights = (first & (first.cumsum(1) == 1)).to(scores.dtype)
    finite = (scores.isfinite() | ~active).all(1, keepdim=True)
    return torch.where(finite, weights, torch.nan)  # label_attention-R17


def differentiable_gaps(scores: Tensor, active: Tensor, power: float) -> Tensor:
    """Return a - max a for a = sign(s) |s|^p over the active scores (B, K), with derivative.

    PyTorch's derivative of a power is infinite at zero, and NaN after overflow. Therefore the
    values are constants. A linear term with value zero adds the slope p |s|^(p-1).
    """
    constant_scores = scores.detach()
    slope = power * constant_scores.abs() ** (power - 1)
    slope = torch.where(slope.isfinite(), slope, 0)  # label_attention-R12, R13
    return (
        gaps_below_largest(constant_scores, active, power)
        + (ZeroInfiniteGradient.apply(scores) - constant_scores) * slope
    )


def gaps_below_largest(scores: Tensor, active: Tensor, power: float) -> Tensor:
    """Return the powers minus the largest power (B, K), computed with bases in [-1, 1]."""
    largest = torch.where(active, scores, -torch.inf).amax(1, keepdim=True)
    base = torch.maximum(scores.abs(), largest.abs())
    divisor = torch.where(base == 0, 1, base)
    # gap from -2 to 0
    gap = signed_power(scores / divisor, power) - signed_power(largest / divisor, power)
    return torch.where(gap == 0, 0, gap * base**power)  # label_attention-R11: no 0 times infinity


def signed_power(x: Tensor, power: float) -> Tensor:
    """Return sign(x) |x|^p."""
    return x.sign() * x.abs() ** power  # label_attention-R2


class ZeroInfiniteGradient(torch.autograd.Function):  # type: ignore[misc]  # the framework has no types
    """Identity whose gradient is zero where the gradient is infinite; NaN is kept."""

    @staticmethod
    def forward(_: FunctionCtx, scores: Tensor) -> Tensor:
        """Return the scores unchanged."""
        return scores.view_as(scores)

    @staticmethod
    def backward(_: FunctionCtx, gradient: Tensor) -> Tensor:
        """Return the gradient with infinite values set to zero."""
        return torch.where(gradient.isinf(), 0, gradient)  # label_attention-R13


def check_active(subject: str, active: Tensor) -> None:
    """Raise ShapeError for a user without an active interest.

    A compiled step cannot check values; its users have at least one active interest.
    """
    if not torch.compiler.is_compiling() and not active.any(1).all():
        expected = "an active interest for every user"
        raise ShapeError(say(f"{subject}: active", expected, "none"))
