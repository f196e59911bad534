"""Spec: specs/routing.md. One user after another; i runs over behaviours, k over interests."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array, Bools, Ints
from tests.conformance.correct import checks
from tests.conformance.correct.loops import softmax, squash
from tests.conformance.correct.loops.sums import dot, total, weighted


class Round(NamedTuple):
    weights: Array  # (n, K')
    polar: list[Any]  # of each interest; None for kind "none"
    capsules: Array  # (K', D)


class User(NamedTuple):
    """What one user brings and what its rounds leave."""

    places: Ints  # (n,) that the mask leaves
    interests: Ints  # (K',) that are active
    votes: Array  # (n, K', D)
    iterations: list[Round]
    counts: Array  # (n, K') exp of the log weights, ones without


class Saved(NamedTuple):
    history: Array
    bilinear: Array
    users: list[User]
    couplings: Array
    gradient: str
    axis: str
    counted: bool  # whether there were log weights


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
    arrays = (history, mask, bilinear, init_logits, active)
    checks.routing(*arrays, iterations, gradient, axis, log_weights, kind=kind)
    couplings = np.zeros_like(init_logits)
    out = np.zeros((*active.shape, history.shape[2]), history.dtype)
    users = []
    for b in range(len(history)):
        places, interests = np.flatnonzero(mask[b]), np.flatnonzero(active[b])
        votes = vote(history[b], bilinear, places, interests)
        logits = init_logits[b][np.ix_(places, interests)]
        counts = np.ones_like(logits)
        if log_weights is not None:
            for i, k in np.ndindex(counts.shape):
                counts[i, k] = np.exp(log_weights[b, places[i], interests[k]])
        rounds = route(votes, logits, iterations, axis, kind, counts)
        out[b, interests] = rounds[-1].capsules
        couplings[b][np.ix_(places, interests)] = rounds[-1].weights
        users.append(User(places, interests, votes, rounds, counts))
    counted = log_weights is not None
    return out, Saved(history, bilinear, users, couplings, gradient, axis, counted)


def vote(behaviours: Array, bilinear: Array, places: Ints, interests: Ints) -> Array:
    """Return S e_i, or S_ik e_i, of one user's behaviours (L, D): (n, K', D)."""
    votes = np.zeros((len(places), len(interests), behaviours.shape[1]), behaviours.dtype)
    for i, k in np.ndindex(votes.shape[:2]):
        matrix = of_pair(bilinear, places[i], interests[k])
        votes[i, k] = [dot(row, behaviours[places[i]]) for row in matrix]
    return votes


def of_pair(bilinear: Array, place: int, interest: int) -> Array:
    """Return the matrix of one behaviour and interest, which may be the same for all; a view."""
    return bilinear if bilinear.ndim == 2 else bilinear[place, interest]


def route(
    votes: Array, logits: Array, iterations: int, axis: str, kind: str, counts: Array
) -> list[Round]:
    """Make the rounds of one user."""
    rounds: list[Round] = []
    for _ in range(iterations):
        if rounds:  # 5: the update of the round before
            logits = logits + agreements(votes, rounds[-1].capsules)
        weights = coupled(logits, axis)
        none = np.zeros(votes.shape[2], votes.dtype)
        pairs = zip((weights * counts).T, votes.swapaxes(0, 1), strict=True)
        sums = [weighted(w, v, none) for w, v in pairs]
        polar = [None if kind == "none" else squash.capsule(z, kind) for z in sums]
        found = [z if p is None else p.unit * p.gain for z, p in zip(sums, polar, strict=True)]
        capsules = np.array(found, votes.dtype).reshape(votes.shape[1:])
        rounds.append(Round(weights, polar, capsules))
    return rounds


def coupled(logits: Array, axis: str) -> Array:
    """Return the softmax of each behaviour over interests, or of each interest over behaviours."""
    weights = np.zeros_like(logits)
    for given, found in slices(axis, logits, weights):
        found[:] = softmax.weights(given)
    return weights


def slices(axis: str, *arrays: Array) -> Any:
    """Yield the slices over which weights sum to one, as views, of several arrays (n, K')."""
    return zip(*(x if axis == "interests" else x.T for x in arrays), strict=True)


def agreements(votes: Array, capsules: Array) -> Array:
    """Return <v_ik, u_k> (n, K')."""
    found = np.zeros(votes.shape[:2], votes.dtype)
    for i, k in np.ndindex(found.shape):
        found[i, k] = dot(votes[i, k], capsules[k])
    return found


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    history, bilinear, users, couplings, gradient, axis, counted = saved
    d_history, d_bilinear = np.zeros_like(history), np.zeros_like(bilinear)
    d_logits, d_log_weights = np.zeros_like(couplings), np.zeros_like(couplings)
    for b, user in enumerate(users):
        v, found, of_counts = unroll(d_capsules[b, user.interests], user, gradient, axis)
        d_logits[b][np.ix_(user.places, user.interests)] = found
        d_log_weights[b][np.ix_(user.places, user.interests)] = user.counts * of_counts
        for i, k in np.ndindex(found.shape):  # 1
            place, interest = user.places[i], user.interests[k]
            matrix = of_pair(bilinear, place, interest)
            d_matrix = of_pair(d_bilinear, place, interest)
            d_history[b, place] += weighted(v[i, k], matrix, history[b, place])
            d_matrix += v[i, k][:, None] * history[b, place]
    gradients = (d_history, d_bilinear, d_logits, d_log_weights)
    return gradients if counted else gradients[:3]


def unroll(u: Array, user: User, gradient: str, axis: str) -> tuple[Array, Array, Array]:
    """Return V (n, K', D), B (n, K') and the gradient of the counts (n, K') of one user.

    u: the gradient of the capsules (K', D).
    """
    votes, rounds = user.votes, user.iterations
    v, d_logits = np.zeros_like(votes), np.zeros(votes.shape[:2], votes.dtype)
    d_counts = np.zeros_like(d_logits)
    for turn in reversed(range(len(rounds))):
        weights, polar, capsules = rounds[turn]
        if turn < len(rounds) - 1:  # 5
            v += d_logits[:, :, None] * capsules
            u = total((b[:, None] * x for b, x in zip(d_logits, votes, strict=True)), 0 * capsules)
        z = [x if p is None else squash.slope(x, p) for x, p in zip(u, polar, strict=True)]  # 4
        z = np.array(z, votes.dtype).reshape(capsules.shape)
        v += (weights * user.counts)[:, :, None] * z  # 3
        d_counted = agreements(votes, z)
        d_counts += d_counted * weights
        if gradient == "last":  # routing-R12
            break
        d_weights = d_counted * user.counts
        for w, g, into in slices(axis, weights, d_weights, d_logits):  # 2
            into += softmax.slope(w, g)
    return v, d_logits, d_counts
