"""Behaviour-to-interest dynamic routing: a user's behaviours into K interest capsules.

Spec: specs/routing.md. Source: Li et al., CIKM 2019, section 3.3, eq. 4-9 and Algorithm 1.
Differs: initial logits and the number of active interests are arguments; behaviours that the mask
leaves out have no influence; the logit update after the last round is not made: nothing reads it;
an argument that the paper lacks says how much each behaviour counts (log_weights).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import softmax, squash
from mindref.ops.votes import agree, gather, project, project_backward, spread
from mindref.record import Record
from mindref.shapes import Array, Bools, Ints, bind, boolean, same_float

AXES = {"interests": 2, "behaviours": 1}
GRADIENTS = ("all", "last")


class Round(NamedTuple):
    """One round: steps 2 to 4."""

    weights: softmax.Saved  # coupling weights (B, L, K)
    squash: squash.Saved  # of the sums (B, K, D)
    capsules: Array  # (B, K, D)


class Saved(NamedTuple):
    """Every round is kept for gradient="all"; "last" reads only the final one."""

    history: Array  # (B, L, D) with zeros in the padded places
    bilinear: Array  # (D, D) or (L, K, D, D)
    votes: Array  # (B, L, D) or (B, L, K, D)
    rounds: tuple[Round, ...]
    gradient: str
    factors: Array | None = None  # exp(log_weights) (B, L, K), zero where nothing is allowed

    @property
    def couplings(self) -> Array:
        """Weights of the last round (B, L, K): whom each behaviour speaks to."""
        return self.rounds[-1].weights.out


def interest_count(lengths: Ints, interests: int) -> Ints:
    """Return K' = max(1, min(K, floor(log2 n))) for histories of n behaviours, in integers.

    Source: eq. 9, which names no rounding; floor is ours. Paper's |I_u| is n here: the behaviours
    given to routing, after the window. n = 0 gives 1.
    """
    # 2, 4, .. 2^K; no count of 64 bits reaches 2^63
    powers = 2 ** np.arange(1, min(interests, 62) + 1, dtype=np.int64)
    floor_log2 = np.searchsorted(powers, lengths, side="right")  # how many do not exceed n
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
    record: Record | None = None,
) -> tuple[Array, Saved]:
    """Map behaviours (B, L, D) to capsules (B, K, D) of length below one.

    mask (B, L) true for a behaviour, false for padding; bilinear S (D, D), or (L, K, D, D) for the
    general capsule routing of section 3.3.1; init_logits (B, L, K), N(0, sigma^2) in the paper;
    active (B, K) true for the interests that the user has; log_weights (B, L, K), if given, the log
    of how much each behaviour counts for each interest, finite where mask and active are true.
    iterations >= 1 rounds; gradient "all" (exact) or "last" (weights of the last round constant);
    axis "interests" or "behaviours"; kind of squash, see ops/squash.py. record: see
    mindref/record.py.
    Returns zero for an inactive interest and for a user without behaviours.
    Raises ShapeError for shapes, types or options that do not fit.
    """
    check(history, mask, bilinear, init_logits, active, iterations, gradient, axis, log_weights)
    history = np.where(mask[..., None], history, 0)  # routing-R6, numerics-R4
    allowed = mask[:, :, None] & active[:, None, :]  # routing-R6, R7, R13 (B, L, K)
    factors = None if log_weights is None else raised(log_weights, allowed)  # routing-R33

    votes = project(history, bilinear)  # 1: S e, routing-R1
    logits = init_logits  # routing-R19
    if record is not None:
        record("votes", history=history, bilinear=bilinear, votes=votes)
        record("start", allowed=allowed, logits=logits)
    rounds: list[Round] = []
    for turn in range(iterations):  # routing-R5
        weights, s2 = softmax.forward(logits, allowed, axis=AXES[axis])  # 2, routing-R2, R9
        counted = weighted(weights, factors)  # 3, routing-R32, R37, R38
        sums = gather(counted, votes)  # 3, routing-R3, R21, R23 (B, K, D)
        capsules, s4 = squash.forward(sums, kind=kind)  # 4, routing-R4, R22, R27
        rounds.append(Round(s2, s4, capsules))
        if record is not None:
            record("round", turn + 1, weights=weights, sums=sums, capsules=capsules, saved=s4)
        if turn < iterations - 1:  # routing-R5: nothing reads the last update
            # 5, routing-R8, R20, R24; a new array: numerics-R7 (B, L, K)
            agreement = agree(votes, capsules)
            logits = logits + agreement
            if record is not None:
                record("update", turn + 1, agreement=agreement, logits=logits)
    return capsules, Saved(history, bilinear, votes, tuple(rounds), gradient, factors)


def raised(log_weights: Array, allowed: Bools) -> Array:
    """Return exp(log_weights) (B, L, K), zero wherever it is not allowed, whatever stands there."""
    kept = np.where(allowed, log_weights, -np.inf)  # routing-R34, numerics-R4
    with np.errstate(over="ignore"):  # beyond the type it is infinite, numerics-R13
        return np.exp(kept)


def weighted(x: Array, factors: Array | None) -> Array:
    """Return x times exp(log_weights) (B, L, K); x itself without log weights."""
    return x if factors is None else x * factors  # routing-R33


def backward(d_capsules: Array, saved: Saved, *, record: Record | None = None) -> tuple[Array, ...]:
    """Return d_history (B, L, D), d_bilinear (as bilinear), d_init_logits (B, L, K).

    If log_weights were given, d_log_weights (B, L, K) is a fourth. With gradient="last" the weights
    of the last round are constants, so d_init_logits is zero; log weights are no constants there.
    A finite d_capsules of an inactive interest has no influence.
    """
    history, bilinear, votes, rounds, gradient, factors = saved
    d_votes = np.zeros_like(votes)
    d_logits = np.zeros_like(saved.couplings)  # what later rounds send to the logits (B, L, K)
    d_log_weights = np.zeros_like(d_logits)
    for turn in reversed(range(len(rounds))):
        weights, s4, capsules = rounds[turn]
        if turn < len(rounds) - 1:  # 5: logits + agree(votes, capsules)
            from_agreement = spread(d_logits, capsules, votes)
            d_votes += from_agreement
            d_capsules = gather(d_logits, votes)
            if record is not None:
                record("d_update", turn + 1, out=d_capsules, votes=from_agreement)
        d_sums = squash.backward(d_capsules, s4)  # 4: squash(sums)
        counted = weighted(weights.out, factors)
        from_sums = spread(counted, d_sums, votes)
        d_votes += from_sums  # 3: gather(counted, votes), routing-R28
        if record is not None:
            record("d_sums", turn + 1, d_sums=d_sums, votes=from_sums)
        if factors is not None:  # 3: weighted(weights, factors), routing-R34, R35, R36
            d_log_weights += np.where(weights.mask, counted * agree(votes, d_sums), 0)
        if gradient == "last":  # routing-R12: weights are constant, no round before is reached
            break
        d_weights = agree(votes, d_sums)
        d_weights = weighted(d_weights, factors)  # 3, routing-R35
        d_logits += softmax.backward(d_weights, weights)  # 2: softmax, routing-R11
        if record is not None:
            record("d_weights", turn + 1, d_weights=d_weights, d_logits=d_logits)
    d_history, d_bilinear = project_backward(d_votes, history, bilinear)  # 1: S e
    if record is not None:
        record("d_votes", d_votes=d_votes, d_history=d_history, d_bilinear=d_bilinear)
    learned = () if factors is None else (d_log_weights,)
    return d_history, d_bilinear, d_logits, *learned


def check(
    history: Array,
    mask: Bools,
    bilinear: Array,
    init_logits: Array,
    active: Bools,
    iterations: int,
    gradient: str,
    axis: str,
    log_weights: Array | None = None,
) -> None:
    """Raise ShapeError for anything that `forward` cannot take."""
    given = {} if log_weights is None else {"log_weights": log_weights}
    bind(
        "routing",
        history=(history, "BLD"),
        mask=(mask, "BL"),
        init_logits=(init_logits, "BLK"),
        active=(active, "BK"),
        bilinear=(bilinear, "DD" if bilinear.ndim == 2 else "LKDD"),
        **{name: (x, "BLK") for name, x in given.items()},  # routing-R39
    )
    same_float("routing", history=history, bilinear=bilinear, init_logits=init_logits, **given)
    boolean("routing", mask=mask, active=active)
    if not isinstance(iterations, (int, np.integer)) or iterations < 1:
        raise ShapeError(say("routing: iterations", "an integer from 1", iterations))  # routing-R29
    if gradient not in GRADIENTS:
        raise ShapeError(say("routing: gradient", " or ".join(GRADIENTS), gradient))  # routing-R30
    if axis not in AXES:
        raise ShapeError(say("routing: axis", " or ".join(AXES), axis))  # routing-R31
