"""WARP: pairwise hinge loss, weighted by the estimated rank of the positive item.

Spec: specs/maxmf.md. Source: Weston, Bengio and Usunier, IJCAI 2011, used by Weston, Weiss and Yee,
RecSys 2013. Differs: the pairs of a batch share the S negatives, each pair starts its trials at
another negative, and a pair has at most S trials.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ConfigError, ShapeError, say
from mindref.shapes import Array, Bools, Ints, bind_axes, common_float_dtype, require_bool

PAIR_LOSSES = ("warp", "auc")


class Saved(NamedTuple):
    """Weights of the hinges, which are constants in the gradient."""

    weights: Array  # (B, S) zero where the hinge of a negative is not in the loss


def forward(
    at_target: Array, at_negatives: Array, usable: Bools, *, items: int, pair_loss: str = "warp"
) -> tuple[Array, Saved]:
    """Map scores of targets (B,) and of negatives (B, S) to the mean pair loss ().

    usable (B, S) true for a negative that the user does not have; items N >= 1 of the catalogue.
    pair_loss "warp": the hinge of the first negative within the margin, weighted by the estimated
    rank of the target. "auc": the mean hinge of all usable negatives. Raises ShapeError for wrong
    shapes or dtypes and for an empty batch, ConfigError for another pair loss.
    """
    check_pair_inputs(at_target, at_negatives, usable, pair_loss)
    hinges = 1 - at_target[:, None] + at_negatives  # 1, maxmf-R3 (B, S)
    violates = usable & (hinges > 0)  # 2, maxmf-R4, maxmf-R5
    if pair_loss == "warp":
        weights = first_violator_weights(violates, usable, items)  # 3
    else:
        weights = violates / np.maximum(usable.sum(axis=1, keepdims=True), 1)  # 3, maxmf-R10
    is_finite = np.isfinite(hinges).all(axis=1) & np.isfinite(at_target)  # (B,)
    weights = np.where(is_finite[:, None], weights, np.nan).astype(hinges.dtype)  # maxmf-R11
    losses = (weights * np.where(violates, hinges, 0)).sum(axis=1)  # 4 (B,)
    losses = np.where(is_finite, losses, np.nan)  # maxmf-R11: also without negatives
    return losses.mean(dtype=hinges.dtype), Saved(weights)  # 5, maxmf-R9


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array]:
    """Return d_at_target (B,) and d_at_negatives (B, S)."""
    d_at_negatives = saved.weights * (d_out / len(saved.weights))  # 5, 4, 1
    return -d_at_negatives.sum(axis=1), d_at_negatives  # 1


def first_violator_weights(violates: Bools, usable: Bools, items: int) -> Array:
    """Return Phi(rank) at the first violator of each pair and zero elsewhere (B, S)."""
    if not violates.any():
        return np.zeros(violates.shape)
    order = trial_order(*violates.shape)  # (B, S) negative of each trial
    in_order = np.take_along_axis(violates, order, axis=1)
    trials = np.cumsum(np.take_along_axis(usable, order, axis=1), axis=1)  # maxmf-R4
    turn = in_order.argmax(axis=1)[:, None]  # maxmf-R6 (B, 1)
    tried = np.maximum(np.take_along_axis(trials, turn, axis=1), 1)
    rank = np.maximum((items - 1) // tried, 1)  # maxmf-R7 (B, 1)
    weight = np.where(in_order.any(axis=1, keepdims=True), harmonic_numbers(items)[rank], 0)
    weights = np.zeros(violates.shape)
    np.put_along_axis(weights, np.take_along_axis(order, turn, axis=1), weight, axis=1)
    return weights


def trial_order(pairs: int, negatives: int) -> Ints:
    """Return the order in which each pair tries the negatives (B, S): the drawn order, rotated.

    With one order for all pairs, most pairs would use only the first negatives.
    """
    begins = np.arange(pairs)[:, None] * negatives // pairs  # maxmf-R6
    return (begins + np.arange(negatives)) % negatives


def harmonic_numbers(items: int) -> Array:
    """Return Phi(rank) = 1 + 1/2 + ... + 1/rank for each rank from 0 to max(items - 1, 1)."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, max(items, 2)))])  # maxmf-R8


def check_pair_inputs(at_target: Array, at_negatives: Array, usable: Bools, pair_loss: str) -> None:
    """Raise ShapeError or ConfigError for invalid arguments of `forward`."""
    sizes = bind_axes(
        "maxmf",
        at_target=(at_target, "B"),
        at_negatives=(at_negatives, "BS"),
        usable=(usable, "BS"),
    )
    common_float_dtype("maxmf", at_target=at_target, at_negatives=at_negatives)
    require_bool("maxmf", usable=usable)
    if sizes["B"] == 0:  # maxmf-R12
        raise ShapeError(say("maxmf: target", "at least one", "none"))
    if pair_loss not in PAIR_LOSSES:  # maxmf-R12
        raise ConfigError(say("maxmf: pair_loss", " or ".join(PAIR_LOSSES), repr(pair_loss)))
