"""Behaviour-to-interest dynamic routing. Spec: specs/routing.md."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.checks import bind, boolean, one_of, same_float
from mindref_torch.narrow import in_float32
from mindref_torch.softmax import softmax
from mindref_torch.squash import KINDS, squash

AXES = ("interests", "behaviours")
GRADIENTS = ("all", "last")


@in_float32
def routing(
    history: Tensor,
    mask: Tensor,
    bilinear: Tensor,
    init_logits: Tensor,
    active: Tensor,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Tensor, Tensor]:
    """Map behaviours (B, L, D) to capsules (B, K, D) and the couplings (B, L, K) of the last round.

    mask (B, L) true for a behaviour; bilinear (D, D), or (L, K, D, D) with a matrix for each pair;
    init_logits (B, L, K); active (B, K) true for the interests that a user has. With gradient
    "last" the weights of the last round are constants, with "all" every round is differentiated.
    Raises ShapeError for shapes, types and options that do not fit.
    """
    check(history, mask, bilinear, init_logits, active)
    check_options(iterations, gradient, axis, kind)
    history = history.masked_fill(~mask[:, :, None], 0)  # routing-R6
    # weights and logits stand as (B, K, L): a softmax over a few numbers side by side is slow
    allowed = active[:, :, None] & mask[:, None, :]  # routing-R7, R13 (B, K, L)
    over = 1 if axis == "interests" else 2  # routing-R9

    votes = cast(history, bilinear)
    before = votes if gradient == "all" else votes.detach()  # what the weights are made of
    logits = init_logits.transpose(1, 2).contiguous()  # (B, K, L)
    logits = logits if gradient == "all" else logits.detach()  # routing-R11, R12
    for _ in range(iterations - 1):  # routing-R5
        weights = softmax(logits, allowed, axis=over)  # routing-R2
        capsules = squash(gather(weights, before), kind=kind)  # routing-R4, R27
        logits = logits + agree(before, capsules)  # routing-R8
    weights = softmax(logits, allowed, axis=over)
    return squash(gather(weights, votes), kind=kind), weights.transpose(1, 2)


def cast(history: Tensor, bilinear: Tensor) -> Tensor:
    """Return the votes: S e (B, L, D), or S_ik e_i (B, L, K, D)."""
    if bilinear.ndim == 2:
        return history @ bilinear.T  # routing-R1
    return torch.einsum("lkoi,bli->blko", bilinear, history)  # routing-R25


def gather(weights: Tensor, votes: Tensor) -> Tensor:
    """Return the sums of the votes over the behaviours, each with its weight (B, K, D)."""
    if votes.ndim == 3:
        return weights @ votes  # routing-R3
    return torch.einsum("bkl,blkd->bkd", weights, votes)


def agree(votes: Tensor, capsules: Tensor) -> Tensor:
    """Return the product of each vote with each capsule (B, K, L)."""
    if votes.ndim == 3:
        return capsules @ votes.transpose(1, 2)
    return torch.einsum("blkd,bkd->bkl", votes, capsules)


def check(
    history: Tensor, mask: Tensor, bilinear: Tensor, init_logits: Tensor, active: Tensor
) -> None:
    """Raise ShapeError for tensors that do not fit one another."""
    bind(
        "routing",
        history=(history, "BLD"),
        mask=(mask, "BL"),
        init_logits=(init_logits, "BLK"),
        active=(active, "BK"),
        bilinear=(bilinear, "DD" if bilinear.ndim == 2 else "LKDD"),
    )
    same_float("routing", history=history, bilinear=bilinear, init_logits=init_logits)
    boolean("routing", mask=mask, active=active)


def check_options(iterations: int, gradient: str, axis: str, kind: str) -> None:
    """Raise ShapeError for a number of rounds or a word that there is not."""
    if not isinstance(iterations, (int, np.integer)) or iterations < 1:  # routing-R29
        raise ShapeError(say("routing: iterations", "an integer from 1", iterations))
    one_of("routing: gradient", GRADIENTS, gradient)  # routing-R30
    one_of("routing: axis", AXES, axis)  # routing-R31
    one_of("routing: kind", KINDS, kind)
