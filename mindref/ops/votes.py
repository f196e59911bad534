"""Compute the votes S e of behaviours e, and the products with votes that routing needs.

Spec: specs/routing.md, forward steps 1, 3 and 5. If one matrix S serves all interests
(behaviour-to-interest routing), votes have the shape (B, L, D). If each pair of behaviour and
interest has a matrix (general capsule routing), votes have the shape (B, L, K, D).
"""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array


def project_votes(history: Array, bilinear: Array) -> Array:
    """Return the votes S e of the behaviours e in history (B, L, D).

    bilinear: S (D, D), or (L, K, D, D) with one matrix for each pair of behaviour and interest.
    """
    if bilinear.ndim == 2:
        return history @ bilinear.T  # (B, L, D)
    return np.einsum("lkde,ble->blkd", bilinear, history)  # routing-R25, R26 (B, L, K, D)


def project_votes_backward(d_votes: Array, history: Array, bilinear: Array) -> tuple[Array, Array]:
    """Return d_history (B, L, D) and d_bilinear (the shape of bilinear)."""
    if bilinear.ndim == 2:
        users, positions, width = history.shape
        flat = (users * positions, width)
        d_bilinear = d_votes.reshape(flat).T @ history.reshape(flat)
        return d_votes @ bilinear, d_bilinear
    d_history = np.einsum("lkde,blkd->ble", bilinear, d_votes)
    return d_history, np.einsum("blkd,ble->lkde", d_votes, history)


def sum_votes(weights: Array, votes: Array) -> Array:
    """Return (B, K, D): the sum over l of weights[b, l, k] times votes[b, l] or votes[b, l, k]."""
    if votes.ndim == 3:
        return weights.transpose(0, 2, 1) @ votes
    return np.einsum("blk,blkd->bkd", weights, votes)


def vote_agreement(votes: Array, capsules: Array) -> Array:
    """Return (B, L, K): inner products of capsules[b, k] with votes[b, l] or votes[b, l, k]."""
    if votes.ndim == 3:
        return votes @ capsules.transpose(0, 2, 1)
    return np.einsum("blkd,bkd->blk", votes, capsules)


def spread_to_votes(weights: Array, capsules: Array, votes: Array) -> Array:
    """Return weights[b, l, k] * capsules[b, k]; if votes has no axis K, summed over k.

    This is the gradient of votes. For `sum_votes`, pass the gradient of the sums as capsules. For
    `vote_agreement`, pass the gradient of the inner products as weights.
    """
    if votes.ndim == 3:
        return weights @ capsules
    return weights[..., None] * capsules[:, None]
