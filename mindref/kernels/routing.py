"""Compiled routing on ragged histories: all iterations of some users, then the next users.

Spec: specs/routing.md. The behaviours of all users are one array; those of user b have the indices
from starts[b] to starts[b + 1]. Padding is never read. votes[rows[n]] is the vote of behaviour n:
users that share an item share its vote. There is one matrix S for all behaviours and interests
(routing-R25 and R26 are not claimed).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.kernels.contiguous import writable_contiguous
from mindref.kernels.routing_backward import RoutingGradients, route_users_backward
from mindref.kernels.routing_forward import (
    RoutingBatch,
    RoutingOptions,
    RoutingValues,
    allocate_values,
    route_users,
    routing_options,
)
from mindref.ops.routing import check_inputs, check_routing_options
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, require_gradient_shape


class Saved(NamedTuple):
    """Saved by `forward` for `backward`."""

    behaviours: Array  # (N, D) where the mask is true
    bilinear: Array  # (D, D)
    batch: RoutingBatch
    options: RoutingOptions
    values: RoutingValues
    mask: Bools  # (B, L)
    has_log_weights: bool

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
    check_inputs(history, mask, bilinear, init_logits, active, log_weights)
    check_routing_options(iterations, gradient, axis)
    check_one_matrix(bilinear)
    if kind not in KINDS:
        raise ShapeError(say("squash: kind", " or ".join(KINDS), kind))  # squash-R8
    behaviours = history[mask]  # routing-R6 (N, D)
    factors = np.empty((0, active.shape[1]), history.dtype)
    if log_weights is not None:
        factors = exp_log_weights(log_weights, mask, active)
    batch = RoutingBatch(
        starts=np.concatenate([[0], np.cumsum(mask.sum(axis=1))]),
        rows=np.arange(len(behaviours)),
        votes=behaviours @ bilinear.T,  # routing-R1
        logits=np.ascontiguousarray(init_logits[mask]),
        active=writable_contiguous(active),
        factors=factors,
    )
    options = routing_options(iterations, gradient, axis, kind)
    values = allocate_values(
        iterations if gradient == "all" else 1,
        (len(behaviours), *active.shape, history.shape[2]),
        lambda name, *shape: np.empty(shape, history.dtype),
    )
    route_users(0, len(active), batch, options, values)
    has_log_weights = log_weights is not None
    saved = Saved(behaviours, bilinear, batch, options, values, mask, has_log_weights)
    return values.capsules[-1].copy(), saved


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
    batch = saved.batch
    require_gradient_shape("routing", d_capsules, saved.values.capsules.shape[1:])
    gradients = RoutingGradients(
        d_votes=np.empty_like(batch.votes),
        d_logits=np.empty_like(batch.logits),
        d_log_weights=np.zeros_like(batch.factors),
    )
    route_users_backward(
        0,
        len(d_capsules),
        batch,
        saved.options,
        saved.values,
        writable_contiguous(d_capsules),
        gradients,
    )
    d_history = pad_rows(gradients.d_votes @ saved.bilinear, saved.mask)
    d_bilinear = gradients.d_votes.T @ saved.behaviours
    d_logits = pad_rows(gradients.d_logits, saved.mask)
    if not saved.has_log_weights:
        return d_history, d_bilinear, d_logits
    return d_history, d_bilinear, d_logits, pad_rows(gradients.d_log_weights, saved.mask)


def pad_rows(rows: Array, mask: Bools) -> Array:
    """Return rows (N, ...) where the mask (B, L) is true, zero elsewhere."""
    out = np.zeros((*mask.shape, rows.shape[1]), rows.dtype)
    out[mask] = rows
    return out
