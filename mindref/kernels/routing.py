"""Twin of `mindref.ops.routing`, on ragged histories: all rounds of some users, then the next.

Spec: specs/routing.md. Behaviours of all users stand in one row after the other, user b's from
starts[b] to starts[b + 1]; padding is never touched. votes[rows[n], d] is what behaviour n says:
users that share an item share its vote. One matrix for all (routing-R25 and R26 are not claimed).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.kernels.rounds import route
from mindref.kernels.rounds_backward import route_backward
from mindref.ops.routing import AXES, check
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, Ints, fits


class Rounds(NamedTuple):
    """What the rounds leave: T = all of them for gradient "all", the last one for "last"."""

    couplings: Array  # (T, N, K)
    capsules: Array  # (T, B, K, D)
    unit: Array  # (T, B, K, D) directions of the sums
    across: Array  # (T, B, K) slopes of squash
    along: Array  # (T, B, K)


class Saved(NamedTuple):
    """What `forward` leaves for `backward`."""

    behaviours: Array  # (N, D) those that the mask names
    bilinear: Array  # (D, D)
    votes: Array  # (N, D)
    starts: Ints  # (B + 1,)
    rounds: Rounds
    mask: Bools  # (B, L)
    active: Bools  # (B, K)
    axis: str
    gradient: str
    factors: Array | None = None  # exp(log_weights) (N, K), zero at inactive interests

    @property
    def couplings(self) -> Array:
        """Weights of the last round (B, L, K), zero in padded places."""
        return padded(self.rounds.couplings[-1], self.mask)


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
    """Map behaviours (B, L, D) to capsules (B, K, D); see `mindref.ops.routing.forward`."""
    check(history, mask, bilinear, init_logits, active, iterations, gradient, axis, log_weights)
    one_matrix(bilinear)
    if kind not in KINDS:
        raise ShapeError(say("squash: kind", " or ".join(KINDS), kind))  # squash-R8
    behaviours = history[mask]  # routing-R6 (N, D)
    votes = behaviours @ bilinear.T  # routing-R1
    starts = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    rounds = room(iterations if gradient == "all" else 1, len(votes), active, votes)
    rows, logits = np.arange(len(votes)), init_logits[mask]
    numbers = (iterations, AXES[axis] == 1, KINDS.index(kind))
    given = (0, len(active), starts, rows, votes, logits, active, *numbers, rounds)
    factors = None if log_weights is None else raised(log_weights, mask, active)
    route(*given) if factors is None else route(*given, factors)
    kept = (behaviours, bilinear, votes, starts, rounds, mask, active, axis, gradient, factors)
    return rounds.capsules[-1].copy(), Saved(*kept)


def raised(log_weights: Array, mask: Bools, active: Bools) -> Array:
    """Return exp of what counts (N, K), zero at inactive interests: routing-R34."""
    own = np.repeat(active, mask.sum(axis=1), axis=0)
    factors = np.zeros(own.shape, log_weights.dtype)
    with np.errstate(over="ignore"):
        np.exp(log_weights[mask], out=factors, where=own)
    return factors


def one_matrix(bilinear: Array) -> None:
    """Raise ShapeError for a matrix of each pair of behaviour and interest."""
    if bilinear.ndim != 2:
        todo = "the reference, --backend numpy, has a matrix for each pair"
        raise ShapeError(say("routing: bilinear", "one matrix (D, D)", bilinear.shape, todo))


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    """Return d_history (B, L, D), d_bilinear (D, D), d_init_logits (B, L, K).

    If log_weights were given, d_log_weights (B, L, K) is a fourth.
    """
    behaviours, bilinear, votes, starts, rounds, mask, active, axis, gradient, factors = saved
    fits("routing", d_capsules, (*active.shape, votes.shape[1]))
    d_votes, d_logits = np.empty_like(votes), np.empty_like(rounds.couplings[0])
    options = (AXES[axis] == 1, gradient == "all")
    rows = np.arange(len(votes))
    users = (0, len(d_capsules))
    given = (*users, starts, rows, votes, active, *options, *rounds, d_capsules, d_votes, d_logits)
    d_log_weights = [] if factors is None else [np.zeros_like(factors)]
    route_backward(*given) if factors is None else route_backward(*given, factors, *d_log_weights)
    d_history, *others = (padded(x, mask) for x in (d_votes @ bilinear, d_logits, *d_log_weights))
    return d_history, d_votes.T @ behaviours, *others


def padded(rows: Array, mask: Bools) -> Array:
    """Return rows (N, ...) where the mask (B, L) is true, zeros elsewhere."""
    out = np.zeros((*mask.shape, rows.shape[1]), rows.dtype)
    out[mask] = rows
    return out


def room(kept: int, behaviours: int, active: Bools, like: Array) -> Rounds:
    """Return arrays for the rounds that are kept."""
    users, count = active.shape
    width, dtype = like.shape[1], like.dtype
    capsules: Any = np.empty((kept, users, count, width), dtype)
    slopes = [np.empty((kept, users, count), dtype) for _ in range(2)]
    couplings = np.empty((kept, behaviours, count), dtype)
    return Rounds(couplings, capsules, np.empty_like(capsules), slopes[0], slopes[1])
