"""Spec: specs/routing.md, steps 1, 3 and 5, for behaviours of which each is projected once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array, Bools, Ints


class Shared(NamedTuple):
    """One matrix for all: distinct behaviours (R, D) and which each real one is."""

    bilinear: Array
    distinct: Array
    which: Ints
    by_user: list[Array]  # votes (n, D)

    def before(self, v: Array, positions: Ints, interests: Ints) -> Array:
        """Return the gradient of one user's behaviours."""
        return np.dot(v, self.bilinear)

    def d_bilinear(self, d_votes: Sequence[Array]) -> Array:
        """Return the gradient of the matrix, repetitions added up first."""
        sums = np.zeros_like(self.distinct)
        np.add.at(sums, self.which, np.concatenate([sums[:0], *d_votes]))
        return np.dot(sums.T, self.distinct)


class Pairs(NamedTuple):
    """A matrix (D, D) for each place and interest."""

    bilinear: Array
    users: list[tuple[Array, Any]]  # behaviours (n, D), which matrices (n, K')
    by_user: list[Array]  # votes (n, K', D)

    def before(self, v: Array, positions: Ints, interests: Ints) -> Array:
        """Return the gradient of one user's behaviours."""
        matrices = self.bilinear[np.ix_(positions, interests)]
        return np.tensordot(np.ones(len(interests), v.dtype), turned(matrices, v), (0, 1))

    def d_bilinear(self, d_votes: Sequence[Array]) -> Array:
        """Return the gradient of every matrix."""
        d_matrices = np.zeros_like(self.bilinear)
        for (behaviours, pairs), v in zip(self.users, d_votes, strict=True):
            d_matrices[pairs] += v[..., None] * behaviours[:, None, None, :]
        return d_matrices


def turned(matrices: Array, v: Array) -> Array:
    """Return S' v for every pair (n, K', D)."""
    return np.matmul(v[:, :, None, :], matrices)[:, :, 0]


def project(history: Array, mask: Bools, bilinear: Array, active: Bools) -> Shared | Pairs:
    """Return the votes of each user's real behaviours, for the active interests if it matters."""
    if bilinear.ndim == 2:
        distinct, which = np.unique(history[mask], axis=0, return_inverse=True)
        which = which.reshape(-1)
        votes = np.dot(distinct, bilinear.T)[which]
        return Shared(bilinear, distinct, which, np.split(votes, np.cumsum(mask.sum(axis=1)))[:-1])
    pairs = [
        np.ix_(np.flatnonzero(m), np.flatnonzero(a)) for m, a in zip(mask, active, strict=True)
    ]
    users = [(e[m], p) for e, m, p in zip(history, mask, pairs, strict=True)]
    by_user = [np.matmul(bilinear[p], e[:, None, :, None])[..., 0] for e, p in users]
    return Pairs(bilinear, users, by_user)


def gather(weights: Array, votes: Array) -> Array:
    """Return the sum over behaviours of weights (n, K') times votes, (K', D)."""
    if votes.ndim == 2:
        return np.dot(weights.T, votes)
    return np.matmul(weights.T[:, None, :], votes.swapaxes(0, 1))[:, 0]


def agree(votes: Array, capsules: Array) -> Array:
    """Return the inner product of each vote with each capsule, (n, K')."""
    if votes.ndim == 2:
        return np.dot(votes, capsules.T)
    return np.matmul(votes[:, :, None, :], capsules[:, :, None])[:, :, 0, 0]


def spread(weights: Array, capsules: Array, votes: Array) -> Array:
    """Return what `gather` and `agree` send back to the votes, in their shape."""
    if votes.ndim == 2:
        return np.dot(weights, capsules)
    return weights[:, :, None] * capsules
