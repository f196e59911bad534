"""Label-aware attention: interests read with the target item. Spec: specs/label_attention.md."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.checks import bind, boolean, same_float
from mindref_torch.narrow import in_float32
from mindref_torch.softmax import softmax


@in_float32
def label_attention(interests: Tensor, target: Tensor, active: Tensor, *, power: float) -> Tensor:
    """Map interests (B, K, D) and a target (B, D) to the user's vector for that item (B, D).

    active (B, K) true for the interests of a user, one at least; power from 0 to infinity. Raises
    ShapeError for shapes, types and a power that do not fit, and for a user without an interest.
    """
    check(interests, target, active, power)
    interests = torch.where(active[:, :, None], interests, 0)  # label_attention-R4
    weights = attention(interests, target, active, power)
    return torch.einsum("bk,bkd->bd", weights, interests)  # label_attention-R7


def attention(interests: Tensor, target: Tensor, active: Tensor, power: float) -> Tensor:
    """Return the weight of each interest (B, K)."""
    if power == 0 or not active.numel():  # label_attention-R5, R10: scores are not looked at
        return softmax(interests.new_zeros(active.shape), active, axis=1)
    scores = torch.einsum("bkd,bd->bk", interests, target)  # label_attention-R1
    if math.isinf(power):
        return one_hot(scores.detach(), active)  # label_attention-R6, R10
    return softmax(powers(scores, active, power), active, axis=1)  # label_attention-R3


def one_hot(scores: Tensor, active: Tensor) -> Tensor:
    """Return one at the first largest active score (B, K), NaN for a user with a strange score."""
    kept = torch.where(active, scores, -torch.inf)
    first = kept == kept.amax(1, keepdim=True)
    weights = (first & (first.cumsum(1) == 1)).to(scores.dtype)
    known = (scores.isfinite() | ~active).all(1, keepdim=True)
    return torch.where(known, weights, torch.nan)  # label_attention-R17


def powers(scores: Tensor, active: Tensor, power: float) -> Tensor:
    """Return sign(s) |s|^p, less that of the largest active score (B, K).

    PyTorch's own derivative of a power is infinite at zero and NaN beyond the floats. So the values
    are constants, and a line through each of them, which is zero there, has the slope p |s|^(p-1).
    """
    fixed = scores.detach()
    slope = power * fixed.abs() ** (power - 1)
    slope = torch.where(slope == torch.inf, 0, slope)  # label_attention-R12, R13
    return below_largest(fixed, active, power) + (WithinFloats.apply(scores) - fixed) * slope


def below_largest(scores: Tensor, active: Tensor, power: float) -> Tensor:
    """Return the powers less the largest of them, from bases in [-1, 1] (B, K)."""
    top = torch.where(active, scores, -torch.inf).amax(1, keepdim=True)
    base = torch.maximum(scores.abs(), top.abs())
    safe = torch.where(base == 0, 1, base)
    gap = signed(scores / safe, power) - signed(top / safe, power)  # from -2 to 0
    return torch.where(gap == 0, 0, gap * base**power)  # label_attention-R11: no 0 times infinity


def signed(x: Tensor, power: float) -> Tensor:
    """Return sign(x) |x|^p."""
    return x.sign() * x.abs() ** power  # label_attention-R2


class WithinFloats(torch.autograd.Function):  # type: ignore[misc]  # as for a module
    """Scores as they are; of their gradient, zero where it left the floats; a NaN stays."""

    @staticmethod
    def forward(_: Any, scores: Tensor) -> Tensor:
        """Return the scores."""
        return scores.view_as(scores)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """Return the gradient without the infinite ones."""
        return torch.where(gradient.isinf(), 0, gradient)  # label_attention-R13


def check(interests: Tensor, target: Tensor, active: Tensor, power: float) -> None:
    """Raise ShapeError for anything that `label_attention` cannot take."""
    bind(  # label_attention-R14
        "label_attention",
        interests=(interests, "BKD"),
        target=(target, "BD"),
        active=(active, "BK"),
    )
    same_float("label_attention", interests=interests, target=target)
    boolean("label_attention", active=active)
    if not power >= 0:  # label_attention-R15; NaN is refused, too
        raise ShapeError(say("label_attention: power", "a number from 0 to infinity", power))
    # not within a compiled step, whose users have an interest each: it could not look at values
    if not torch.compiler.is_compiling() and not active.any(1).all():  # label_attention-R16
        wanted = "an active interest for every user"
        raise ShapeError(say("label_attention: active", wanted, "none"))
