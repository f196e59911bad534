"""Behaviour-to-interest dynamic routing. Spec: specs/routing.md."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mindref.ops import routing as reference
from mindref.ops import squash as squash_reference
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import check_arguments, require_float_dtype
from mindref_torch.softmax import masked_softmax
from mindref_torch.squash import squash_vectors


@compute_in_float32
def routing(
    history: Tensor,
    mask: Tensor,
    bilinear: Tensor,
    init_logits: Tensor,
    active: Tensor,
    log_weights: Tensor | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Tensor, Tensor]:
    """Map behaviours (B, L, D) to capsules u (B, K, D) and the last coupling weights w (B, L, K).

    mask (B, L) is true for a behaviour. bilinear is (D, D), or (L, K, D, D) for a matrix per pair.
    init_logits (B, L, K); active (B, K) is true for active interests. log_weights (B, L, K) are
    optional logs of factors of the coupling weights. With gradient "last" the coupling weights of
    the last iteration are constant; with "all" every iteration is differentiated. Raises
    ShapeError for wrong shapes, dtypes or options.
    """
    # routing-R39
    check_arguments(
        reference.check_inputs, history, mask, bilinear, init_logits, active, log_weights
    )
    reference.check_routing_options(iterations, gradient, axis)  # routing-R29, R30, R31
    check_arguments(squash_reference.check_inputs, history, kind=kind)
    history = history.masked_fill(~mask[:, :, None], 0)  # routing-R6
    return route_votes(
        project_votes(history, bilinear),
        mask,
        init_logits,
        active,
        log_weights,
        iterations=iterations,
        gradient=gradient,
        axis=axis,
        kind=kind,
    )


@compute_in_float32
def route_votes(
    votes: Tensor,
    mask: Tensor,
    init_logits: Tensor,
    active: Tensor,
    log_weights: Tensor | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Tensor, Tensor]:
    """Return `routing` from votes (B, L, D), which are zero at padding.

    With a matrix per pair the votes are (B, L, K, D). log_weights (B, L, K + M) may have M more
    columns: for capsules after the K interests, whose coupling weights are one. Only the dtypes
    are checked.
    """
    optional = {} if log_weights is None else {"log_weights": log_weights}
    require_float_dtype("routing", votes=votes, init_logits=init_logits, **optional)
    # coupling weights and logits are (B, K, L): softmax over a short last axis is slow
    allowed = active[:, :, None] & mask[:, None, :]  # routing-R7, R13 (B, K, L)
    softmax_axis = 1 if axis == "interests" else 2  # routing-R9

    factors = routing_factors = None
    if log_weights is not None:
        count = active.shape[1]
        weighted = F.pad(active, (0, log_weights.shape[2] - count), value=True)
        factors = exp_log_weights(log_weights, weighted[:, :, None] & mask[:, None, :])
        routing_factors = factors[:, :count]
    logits = init_logits.transpose(1, 2).contiguous()  # (B, K, L)
    routing_votes = votes
    if gradient == "last":  # routing-R11, R12, R36
        routing_votes, logits = votes.detach(), logits.detach()
        routing_factors = None if routing_factors is None else routing_factors.detach()
    for _ in range(iterations - 1):  # routing-R5
        couplings = masked_softmax(logits, allowed, softmax_axis)  # routing-R2
        sums = sum_votes(apply_factors(couplings, routing_factors), routing_votes)
        capsules = squash_vectors(sums, kind)  # routing-R4, R27
        logits = add_agreement(logits, routing_votes, capsules)  # routing-R8
    couplings = masked_softmax(logits, allowed, softmax_axis)
    sums = sum_votes(apply_factors(couplings, factors), votes)
    return squash_vectors(sums, kind), couplings.transpose(1, 2)


def exp_log_weights(log_weights: Tensor, allowed: Tensor) -> Tensor:
    """Return exp(log_weights) (B, C, L) of log weights (B, L, C), zero where not allowed."""
    masked = log_weights.transpose(1, 2).masked_fill(~allowed, -torch.inf)  # routing-R34
    return masked.exp()


def apply_factors(couplings: Tensor, factors: Tensor | None) -> Tensor:
    """Return the coupling weights (B, K, L) times the factors (B, K + M, L), if there are factors.

    The coupling weights of M further capsules are one.
    """
    if factors is None:
        return couplings  # routing-R32
    further = factors.shape[1] - couplings.shape[1]
    return F.pad(couplings, (0, 0, 0, further), value=1) * factors  # routing-R33


@compute_in_float32
def project_votes(history: Tensor, bilinear: Tensor) -> Tensor:
    """Return the votes S e (B, L, D), or S_ik e_i (B, L, K, D)."""
    if bilinear.ndim == 2:
        return history @ bilinear.T  # routing-R1
    return torch.einsum("lkoi,bli->blko", bilinear, history)  # routing-R25


def sum_votes(couplings: Tensor, votes: Tensor) -> Tensor:
    """Return the weighted sums z of the votes over the behaviours (B, K, D)."""
    if votes.ndim == 3:
        return couplings @ votes  # routing-R3
    return torch.einsum("bkl,blkd->bkd", couplings, votes)


def add_agreement(logits: Tensor, votes: Tensor, capsules: Tensor) -> Tensor:
    """Return the logits (B, K, L) plus the inner product of each vote with each capsule."""
    if votes.ndim == 3:
        return torch.baddbmm(logits, capsules, votes.transpose(1, 2))
    return logits + torch.einsum("blkd,bkd->bkl", votes, capsules)
