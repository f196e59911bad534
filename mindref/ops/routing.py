"""Behaviour-to-interest dynamic routing maps a user's behaviours to K interest capsules.

Spec: specs/routing.md. Source: Li et al., CIKM 2019, section 3.3, eq. 4-9 and Algorithm 1.
Differences: initial logits and active interests are arguments. Behaviours outside the mask have no
influence. The last iteration does not update the logits, because nothing would read the update. The
argument log_weights, which the paper lacks, scales the coupling weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import softmax, squash
from mindref.ops.votes import (
    project_votes,
    project_votes_backward,
    spread_to_votes,
    sum_votes,
    vote_agreement,
)
from mindref.shapes import Array, Bools, Ints, bind_axes, common_float_dtype, require_bool

AXES = {"interests": 2, "behaviours": 1}  # the axis of logits (B, L, K) that the softmax runs over
GRADIENTS = ("all", "last")  # values of the option `gradient` of `forward`


class Iteration(NamedTuple):
    """The values of one iteration, steps 2 to 4, that `backward` reads."""

    weights: softmax.Saved  # coupling weights (B, L, K)
    squash: squash.Saved  # of the sums z (B, K, D)
    capsules: Array  # (B, K, D)


class Saved(NamedTuple):
    """The values that `backward` reads; with gradient="last", only the last iteration is read."""

    history: Array  # (B, L, D) zero at padding
    bilinear: Array  # (D, D) or (L, K, D, D)
    votes: Array  # (B, L, D) or (B, L, K, D)
    iterations: tuple[Iteration, ...]
    gradient: str
    # exp(log_weights) (B, L, K), zero at padding and inactive interests; None without log_weights
    factors: Array | None = None

    @property
    def couplings(self) -> Array:
        """Return the coupling weights of the last iteration (B, L, K)."""
        return self.iterations[-1].weights.out


def count_active_interests(lengths: Ints, interests: int) -> Ints:
    """Return the number K' = max(1, min(K, floor(log2 n))) of active interests for n behaviours.

    Source: eq. 9, which names no rounding; floor is our choice. n (|I_u| in the paper) is the
    number of behaviours that routing receives: at most the last L. If n = 0, K' is 1.
    """
    # the powers 2, 4, .. 2^K, without those that exceed the largest int64, 2^63 - 1
    powers = 2 ** np.arange(1, min(interests, 62) + 1, dtype=np.int64)
    # floor(log2 n) is the number of powers that do not exceed n
    floor_log2 = np.searchsorted(powers, lengths, side="right")
    return np.clip(floor_log2, 1, interests).astype(np.int64)  # routing-R10


def forward(
    history: Array,
    mask: Bools,
    bilinear: Array,
    init_logits: Array,
    active: Bools,
    log_weights: Array | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Array, Saved]:
    """Return the capsules (B, K, D) of histories (B, L, D); with kind="squash", |capsule| < 1.

    mask (B, L): true for a behaviour, false for padding. bilinear: S (D, D), or (L, K, D, D) for
    the general capsule routing of section 3.3.1. init_logits (B, L, K): in the paper, drawn from
    N(0, sigma^2). active (B, K): true for the active interests of a user. log_weights (B, L, K):
    optional logs of factors of the coupling weights, finite where mask and active are true.
    iterations: at least 1. gradient: "all" is exact; with "last", the coupling weights of the last
    iteration are constants. axis: the softmax runs over "interests" or "behaviours". kind: see
    ops/squash.py. A capsule is zero if its interest is inactive or its user has no behaviours.
    Raises ShapeError if a shape, a dtype or an option is invalid.
    """
    check_inputs(history, mask, bilinear, init_logits, active, log_weights)
    check_routing_options(iterations, gradient, axis)
    history = np.where(mask[..., None], history, 0)  # routing-R6, numerics-R4
    allowed = mask[:, :, None] & active[:, None, :]  # routing-R6, R7, R13 (B, L, K)
    factors = None if log_weights is None else exp_log_weights(log_weights, allowed)  # routing-R33

    votes = project_votes(history, bilinear)  # 1: S e, routing-R1
    logits = init_logits  # routing-R19
    saved_iterations: list[Iteration] = []
    for iteration in range(iterations):  # routing-R5
        weights, s2 = softmax.forward(logits, allowed, axis=AXES[axis])  # 2, routing-R2, R9
        weighted_couplings = apply_factors(weights, factors)  # 3, routing-R32, R37, R38
        z = sum_votes(weighted_couplings, votes)  # 3, routing-R3, R21, R23 (B, K, D)
        capsules, s4 = squash.forward(z, kind=kind)  # 4, routing-R4, R22, R27
        saved_iterations.append(Iteration(s2, s4, capsules))
        if iteration < iterations - 1:  # routing-R5: no update after the last iteration
            # 5, routing-R8, R20, R24; not in place: init_logits must not change (numerics-R7)
            agreement = vote_agreement(votes, capsules)
            logits = logits + agreement  # (B, L, K)
    return capsules, Saved(history, bilinear, votes, tuple(saved_iterations), gradient, factors)


def exp_log_weights(log_weights: Array, allowed: Bools) -> Array:
    """Return exp(log_weights) (B, L, K).

    The result is zero at padding and inactive interests, even if log_weights is NaN there.
    """
    masked = np.where(allowed, log_weights, -np.inf)  # routing-R34, numerics-R4
    with np.errstate(over="ignore"):  # an overflow gives infinity, numerics-R13
        return np.exp(masked)


def apply_factors(x: Array, factors: Array | None) -> Array:
    """Return x times the factors exp(log_weights) (B, L, K). Without log_weights, return x."""
    return x if factors is None else x * factors  # routing-R33


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    """Return d_history (B, L, D), d_bilinear (shape of bilinear), d_init_logits (B, L, K).

    With log_weights, the fourth result is d_log_weights (B, L, K). With gradient="last", the last
    coupling weights are constants, so d_init_logits is zero, but d_log_weights is not. A finite
    d_capsules of an inactive interest has no influence.
    """
    history, bilinear, votes, iterations, gradient, factors = saved
    d_votes = np.zeros_like(votes)
    d_logits = np.zeros_like(saved.couplings)  # accumulates over iterations, last first (B, L, K)
    d_log_weights = np.zeros_like(d_logits)
    for iteration in reversed(range(len(iterations))):
        weights, s4, capsules = iterations[iteration]
        if iteration < len(iterations) - 1:  # 5: logits + agreement
            votes_from_agreement = spread_to_votes(d_logits, capsules, votes)
            d_votes += votes_from_agreement
            d_capsules = sum_votes(d_logits, votes)
        d_z = squash.backward(d_capsules, s4)  # 4: squash(z)
        weighted_couplings = apply_factors(weights.out, factors)
        votes_from_z = spread_to_votes(weighted_couplings, d_z, votes)
        d_votes += votes_from_z  # 3: sum_votes(weighted_couplings, votes), routing-R28
        if factors is not None:  # 3: apply_factors(weights, factors), routing-R34, R35, R36
            d_log_weights += np.where(
                weights.mask, weighted_couplings * vote_agreement(votes, d_z), 0
            )
        if gradient == "last":  # routing-R12: earlier iterations affect only the constant weights
            break
        d_weights = vote_agreement(votes, d_z)
        d_weights = apply_factors(d_weights, factors)  # 3, routing-R35
        d_logits += softmax.backward(d_weights, weights)  # 2: softmax, routing-R11
    d_history, d_bilinear = project_votes_backward(d_votes, history, bilinear)  # 1: S e
    optional = () if factors is None else (d_log_weights,)
    return d_history, d_bilinear, d_logits, *optional


def check_inputs(
    history: Array,
    mask: Bools,
    bilinear: Array,
    init_logits: Array,
    active: Bools,
    log_weights: Array | None = None,
) -> None:
    """Raise ShapeError if the arrays of `forward` are invalid."""
    optional = {} if log_weights is None else {"log_weights": log_weights}
    bind_axes(
        "routing",
        history=(history, "BLD"),
        mask=(mask, "BL"),
        init_logits=(init_logits, "BLK"),
        active=(active, "BK"),
        bilinear=(bilinear, "DD" if bilinear.ndim == 2 else "LKDD"),
        **{name: (x, "BLK") for name, x in optional.items()},  # routing-R39
    )
    common_float_dtype(
        "routing", history=history, bilinear=bilinear, init_logits=init_logits, **optional
    )
    require_bool("routing", mask=mask, active=active)


def check_routing_options(iterations: int, gradient: str, axis: str) -> None:
    """Raise ShapeError if an option of `forward` is invalid."""
    if not isinstance(iterations, (int, np.integer)) or iterations < 1:
        raise ShapeError(say("routing: iterations", "an integer from 1", iterations))  # routing-R29
    if gradient not in GRADIENTS:
        raise ShapeError(say("routing: gradient", " or ".join(GRADIENTS), gradient))  # routing-R30
    if axis not in AXES:
        raise ShapeError(say("routing: axis", " or ".join(AXES), axis))  # routing-R31
