"""Spec: specs/routing.md. One user's real behaviours and active interests at a time.

Each distinct behaviour of the batch is projected once, and the gradients of its repetitions are
added up before they meet the matrix. Step 2 of backward is the product with the matrix
P = diag(w) - w w', step 4 with the Jacobian of squash.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array, Bools, Ints
from tests.conformance.correct.ragged import squash, votes
from tests.conformance.correct.ragged.softmax import segment_weights


class User(NamedTuple):
    pairs: tuple[Ints, Ints]  # the real behaviours (n, 1) and active interests (1, K')
    votes: Array  # (n, D), or (n, K', D) where each pair has a matrix
    iterations: list[tuple[Array, Any, Array]]  # weights (n, K'), Jacobians, capsules (K', D)
    counts: Any  # (n, K') exp of the log weights; one without


class Saved(NamedTuple):
    projected: Any
    users: list[User]
    couplings: Array
    shape: tuple[int, ...]
    gradient: str
    axis: str
    counted: bool


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
    out = np.zeros((*active.shape, history.shape[2]), history.dtype)
    couplings = np.zeros_like(init_logits)
    projected = votes.project(history, mask, bilinear, active)
    users = []
    for b, user_votes in enumerate(projected.by_user):
        pairs = np.ix_(np.flatnonzero(mask[b]), np.flatnonzero(active[b]))
        counts = 1 if log_weights is None else np.exp(log_weights[b][pairs])
        saved_iterations = route(user_votes, init_logits[b][pairs], iterations, axis, kind, counts)
        couplings[b][pairs], _, out[b, pairs[1][0]] = saved_iterations[-1]
        users.append(User(pairs, user_votes, saved_iterations, counts))
    counted = log_weights is not None
    return out, Saved(projected, users, couplings, history.shape, gradient, axis, counted)


def route(
    user_votes: Array, logits: Array, iterations: int, axis: str, kind: str, counts: Any
) -> Any:
    """Return the iterations of one user, computed from the votes and the logits (n, K')."""
    saved_iterations: list[Any] = []
    for _ in range(iterations):
        if saved_iterations:  # 5: the update of the iteration before
            logits = logits + votes.agree(user_votes, saved_iterations[-1][2])
        weights = coupled(logits, axis)
        capsules, jacobians = squash.forward(votes.gather(counts * weights, user_votes), kind=kind)
        saved_iterations.append((weights, jacobians, capsules))
    return saved_iterations


def coupled(logits: Array, axis: str) -> Array:
    """Return the softmax of each behaviour over interests, or of each interest over behaviours."""
    along = 1 if axis == "behaviours" else 0
    slices = np.indices(logits.shape)[along].reshape(-1)
    return segment_weights(logits.reshape(-1), slices, logits.shape[along]).reshape(logits.shape)


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    d_history = np.zeros(saved.shape, d_capsules.dtype)
    d_logits, d_log_weights = np.zeros_like(saved.couplings), np.zeros_like(saved.couplings)
    d_votes = []
    for b, user in enumerate(saved.users):
        d_active = d_capsules[b, user.pairs[1][0]]
        found = unroll(d_active, user, saved.gradient, saved.axis)
        v, d_logits[b][user.pairs], d_log_weights[b][user.pairs] = found
        d_votes.append(v)
        positions = user.pairs[0][:, 0]
        d_history[b, positions] = saved.projected.before(v, positions, user.pairs[1][0])
    gradients = (d_history, saved.projected.d_bilinear(d_votes), d_logits, d_log_weights)
    return gradients if saved.counted else gradients[:3]


def unroll(u: Array, user: User, gradient: str, axis: str) -> tuple[Array, Array, Array]:
    """Return V, of the shape of the votes, B (n, K') and Λ (n, K') of one user."""
    _, user_votes, saved_iterations, counts = user
    v, d_logits = np.zeros_like(user_votes), np.zeros_like(saved_iterations[-1][0])
    d_log_weights = np.zeros_like(d_logits)
    later = False
    for weights, jacobians, capsules in reversed(saved_iterations):
        if later:  # 5
            v += votes.spread(d_logits, capsules, user_votes)
            u = votes.gather(d_logits, user_votes)
        z = squash.backward(u, jacobians)  # 4
        v += votes.spread(counts * weights, z, user_votes)  # 3
        d_weights = counts * votes.agree(user_votes, z)
        d_log_weights += weights * d_weights
        if gradient == "last":  # routing-R12
            break
        d_logits += jacobian_product(weights, d_weights, axis)  # 2
        later = True
    return v, d_logits, d_log_weights


def jacobian_product(weights: Array, d_weights: Array, axis: str) -> Array:
    """Return P W slice by slice with P = diag(w) - w w'."""
    w, g = (x.T if axis == "behaviours" else x for x in (weights, d_weights))
    p = w[:, :, None] * np.eye(w.shape[1], dtype=w.dtype) - w[:, :, None] * w[:, None, :]
    found = np.matmul(p, g[:, :, None])[:, :, 0]
    return found.T if axis == "behaviours" else found
