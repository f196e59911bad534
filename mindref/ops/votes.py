"""What behaviours say to interests, and the two contractions that routing makes with it.

Spec: specs/routing.md, forward steps 1, 3 and 5. Votes are (B, L, D) when one matrix serves every
interest (B2I routing), or (B, L, K, D) when each pair has its own (general capsule routing).
"""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array


def project(history: Array, bilinear: Array) -> Array:
    """Return the votes S e of behaviours (B, L, D) under S (D, D), or S_lk e under (L, K, D, D)."""
    if bilinear.ndim == 2:
        return history @ bilinear.T  # (B, L, D)
    return np.einsum("lkde,ble->blkd", bilinear, history)  # routing-R25, R26 (B, L, K, D)


def project_backward(d_votes: Array, history: Array, bilinear: Array) -> tuple[Array, Array]:
    """Return d_history (B, L, D) and d_bilinear (the shape of bilinear)."""
    if bilinear.ndim == 2:
        width = history.shape[2]
        d_bilinear = d_votes.reshape(-1, width).T @ history.reshape(-1, width)
        return d_votes @ bilinear, d_bilinear
    d_history = np.einsum("lkde,blkd->ble", bilinear, d_votes)
    return d_history, np.einsum("blkd,ble->lkde", d_votes, history)


def gather(weights: Array, votes: Array) -> Array:
    """Return sum_l weights[b, l, k] votes[b, l, (k,) :], (B, K, D)."""
    if votes.ndim == 3:
        return weights.transpose(0, 2, 1) @ votes
    return np.einsum("blk,blkd->bkd", weights, votes)


def agree(votes: Array, capsules: Array) -> Array:
    """Return the inner product of each vote with each capsule, (B, L, K)."""
    if votes.ndim == 3:
        return votes @ capsules.transpose(0, 2, 1)
    return np.einsum("blkd,bkd->blk", votes, capsules)


def spread(weights: Array, capsules: Array, votes: Array) -> Array:
    """Return the gradient that `gather` (or `agree`) sends to the votes, in their shape."""
    if votes.ndim == 3:
        return weights @ capsules
    return weights[..., None] * capsules[:, None]
