"""Compiled routing on ragged histories: all iterations of some users, then the next users.

Spec: specs/routing.md. The behaviours of all users are one array; those of user b have the indices
from starts[b] to starts[b + 1]. Padding is never read. votes[rows[n]] is the vote of behaviour n:
users that share an item share its vote. There is one matrix S for all behaviours and interests
(routing-R25 and R26 are not claimed).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.kernels.contiguous import writable_contiguous
from mindref.kernels.routing_backward import route_users_backward
from mindref.kernels.routing_forward import route_users
from mindref.ops.routing import AXES, check_inputs
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, Ints, require_gradient_shape


class RoutingValues(NamedTuple):
    """Values of the T iterations that backward needs: all for gradient "all", one for "last"."""

    couplings: Array  # (T, N, K)
    capsules: Array  # (T, B, K, D)
    unit: Array  # (T, B, K, D) directions of z
    across: Array  # (T, B, K) slopes of squash
    along: Array  # (T, B, K)


class Saved(NamedTuple):
    """Saved by `forward` for `backward`."""

    behaviours: Array  # (N, D) where the mask is true
    bilinear: Array  # (D, D)
    votes: Array  # (N, D)
    starts: Ints  # (B + 1,)
    values: RoutingValues
    mask: Bools  # (B, L)
    active: Bools  # (B, K)
    axis: str
    gradient: str
    factors: Array | None = None  # exp(log_weights) (N, K), zero at inactive interests

    @property
    def couplings(self) -> Array:
        """Coupling weights of the last iteration (B, L, K), zero at padding."""
        return pad_rows(self.values.couplings[-1], self.mask)


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
    """Return capsules (B, K, D) of behaviours (B, L, D); see `mindref.ops.routing.forward`."""
    check_inputs(
        history, mask, bilinear, init_logits, active, iterations, gradient, axis, log_weights
    )
    check_one_matrix(bilinear)
    if kind not in KINDS:
        raise ShapeError(say("squash: kind", " or ".join(KINDS), kind))  # squash-R8
    active = writable_contiguous(active)
    behaviours = history[mask]  # routing-R6 (N, D)
    votes = behaviours @ bilinear.T  # routing-R1
    starts = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    values = allocate_values(iterations if gradient == "all" else 1, len(votes), active, votes)
    rows, logits = np.arange(len(votes)), np.ascontiguousarray(init_logits[mask])
    options = (iterations, AXES[axis] == 1, KINDS.index(kind))
    arguments = (0, len(active), starts, rows, votes, logits, active, *options, values)
    factors = None if log_weights is None else exp_log_weights(log_weights, mask, active)
    route_users(*arguments) if factors is None else route_users(*arguments, factors)
    saved = (behaviours, bilinear, votes, starts, values, mask, active, axis, gradient, factors)
    return values.capsules[-1].copy(), Saved(*saved)


def exp_log_weights(log_weights: Array, mask: Bools, active: Bools) -> Array:
    """Return exp(log_weights) (N, K), zero at inactive interests: routing-R34."""
    active_rows = np.repeat(active, mask.sum(axis=1), axis=0)
    factors = np.zeros(active_rows.shape, log_weights.dtype)
    with np.errstate(over="ignore"):
        np.exp(log_weights[mask], out=factors, where=active_rows)
    return factors


def check_one_matrix(bilinear: Array) -> None:
    """Raise ShapeError if S differs between pairs of behaviour and interest."""
    if bilinear.ndim != 2:
        todo = "the reference, --backend numpy, has a matrix for each pair"
        raise ShapeError(say("routing: bilinear", "one matrix (D, D)", bilinear.shape, todo))


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    """Return d_history (B, L, D), d_bilinear (D, D), d_init_logits (B, L, K).

    With log_weights, a fourth result is d_log_weights (B, L, K).
    """
    behaviours, bilinear, votes, starts, values, mask, active, axis, gradient, factors = saved
    require_gradient_shape("routing", d_capsules, (*active.shape, votes.shape[1]))
    d_votes, d_logits = np.empty_like(votes), np.empty_like(values.couplings[0])
    inputs = (0, len(d_capsules), starts, np.arange(len(votes)), votes, active)
    options = (AXES[axis] == 1, gradient == "all")
    arguments = (*inputs, *options, *values, writable_contiguous(d_capsules), d_votes, d_logits)
    d_log_weights = [] if factors is None else [np.zeros_like(factors)]
    route_users_backward(*arguments) if factors is None else route_users_backward(
        *arguments, factors, *d_log_weights
    )
    d_history, *d_logits_and_weights = (
        pad_rows(x, mask) for x in (d_votes @ bilinear, d_logits, *d_log_weights)
    )
    return d_history, d_votes.T @ behaviours, *d_logits_and_weights


def pad_rows(rows: Array, mask: Bools) -> Array:
    """Return rows (N, ...) where the mask (B, L) is true, zero elsewhere."""
    out = np.zeros((*mask.shape, rows.shape[1]), rows.dtype)
    out[mask] = rows
    return out


def allocate_values(iterations: int, behaviours: int, active: Bools, like: Array) -> RoutingValues:
    """Return arrays for the iterations that are kept."""
    users, count = active.shape
    width, dtype = like.shape[1], like.dtype
    capsules: Any = np.empty((iterations, users, count, width), dtype)
    slopes = [np.empty((iterations, users, count), dtype) for _ in range(2)]
    couplings = np.empty((iterations, behaviours, count), dtype)
    return RoutingValues(couplings, capsules, np.empty_like(capsules), slopes[0], slopes[1])
