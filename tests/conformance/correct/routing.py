"""Spec: specs/routing.md. Whole arrays; a vote for each pair, be it one matrix or many."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.ops import routing as reference
from mindref.shapes import Array, Bools
from tests.conformance.correct import softmax, squash
from tests.conformance.correct.sums import contract


class Saved(NamedTuple):
    history: Array  # (B, L, D) zero in padded places
    bilinear: Array
    votes: Array  # (B, L, K, D)
    iterations: list[tuple[Any, Any, Array]]  # of softmax, of squash, capsules
    couplings: Array
    gradient: str
    factors: Array | None  # exp of the log weights (B, L, K)


def check_inputs(
    *arrays: Any,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
    log_weights: Array | None = None,
) -> None:
    optional = arrays[5:] if log_weights is None else (log_weights,)
    reference.check_inputs(*arrays[:5], *optional)
    reference.check_routing_options(iterations, gradient, axis)
    squash.check_inputs(arrays[0], kind=kind)


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
    history = np.where(mask[:, :, None], history, 0).astype(history.dtype)
    allowed = mask[:, :, None] & active[:, None, :]
    votes = vote(history, bilinear, init_logits.shape[2])
    factors, counted = None, votes
    if log_weights is not None:
        factors = np.exp(np.where(allowed, log_weights, 0)).astype(history.dtype)
        counted = factors[..., None] * votes  # as often as they count
    logits, saved_iterations = init_logits, []
    for iteration in range(iterations):
        if iteration:  # 5: the update of the iteration before
            logits = contract("blkd,bkd->blk", votes, saved_iterations[-1][2]) + logits
        w, of_softmax = softmax.forward(logits, allowed, axis=1 if axis == "behaviours" else 2)
        capsules, of_squash = squash.forward(contract("blk,blkd->bkd", w, counted), kind=kind)
        saved_iterations.append((of_softmax, of_squash, capsules))
    return capsules, Saved(history, bilinear, votes, saved_iterations, w, gradient, factors)


def vote(history: Array, bilinear: Array, interests: int) -> Array:
    """Return S e, or S_lk e, for every place and interest (B, L, K, D)."""
    if bilinear.ndim == 4:
        return contract("lkde,ble->blkd", bilinear, history)
    votes = contract("de,ble->bld", bilinear, history)
    return np.repeat(votes[:, :, None], interests, axis=2)


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    history, bilinear, votes, saved_iterations, couplings, gradient, factors = saved
    d_votes, d_logits = np.zeros_like(votes), np.zeros_like(couplings)
    d_counted = np.zeros_like(votes)
    counted = votes if factors is None else factors[..., None] * votes
    last = len(saved_iterations) - 1
    for iteration in range(last, -1, -1):
        of_softmax, of_squash, capsules = saved_iterations[iteration]
        if iteration < last:  # 5
            d_votes = d_logits[..., None] * capsules[:, None] + d_votes
            d_capsules = contract("blk,blkd->bkd", d_logits, votes)
        d_sums = squash.backward(d_capsules, of_squash)  # 4
        d_counted = of_softmax[0][..., None] * d_sums[:, None] + d_counted  # 3
        if gradient == "last":  # routing-R12
            break
        d_weights = contract("blkd,bkd->blk", counted, d_sums)
        d_logits = softmax.backward(d_weights, of_softmax) + d_logits  # 2
    if factors is None:
        return *unvote(d_votes + d_counted, history, bilinear), d_logits  # 1
    d_votes = factors[..., None] * d_counted + d_votes
    d_log_weights = contract("blkd,blkd->blk", counted, d_counted)
    return *unvote(d_votes, history, bilinear), d_logits, d_log_weights  # 1


def unvote(d_votes: Array, history: Array, bilinear: Array) -> tuple[Array, Array]:
    """Return the gradients by history and bilinear."""
    if bilinear.ndim == 4:
        d_history = contract("blkd,lkde->ble", d_votes, bilinear)
        return d_history, contract("blkd,ble->lkde", d_votes, history)
    d_history = contract("blkd,de->ble", d_votes, bilinear)
    return d_history, contract("blkd,ble->de", d_votes, history)
