"""Harder negatives, after REMI (Xie et al., RecSys 2023): both losses with a hardness.

REMI wants negatives drawn in proportion to exp(hardness x score) over the catalogue, and weighs
those that were drawn otherwise. With z = score - log E the logits of the negatives, y the target's
and h the hardness, the log of the sum of a user's exponentials becomes

    r = lse(z + h score) - lse(-log E + h score) + lse(-log E)

where lse is the log of the sum of exponentials over the negatives that are no hits: exp z times a
weight, exp(h score) over its mean in the catalogue, which the draws estimate, each for 1 / E items.
h = 0 is the loss of the pages. REMI's code draws uniformly, so that all E are alike, keeps hits
and differentiates the weights:

    d r / d score = (1 + h) softmax(z + h score) - h softmax(-log E + h score)

which is below zero for easy negatives: these are drawn nearer. With weights taken as constants it
is softmax(z + h score) and above zero. Both are here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.ops import pooled_softmax, sampled_softmax
from mindref.ops.sampled_softmax import unit
from mindref.shapes import Array, Bools


class Hardness(NamedTuple):
    """How hard negatives are to be, and whether the weights are differentiated."""

    value: float
    differentiated: bool = True

    def lose(self, y: Array, scores: Array, logs: Array, hits: Bools) -> tuple[Array, Array]:
        """Return losses (B,), and their slopes by the scores (B, S) of negatives.

        y (B,): logits of the targets. logs (S,): of the expected counts. hits (B, S). Those of a
        user add up to what the slope by y lacks to zero.
        """
        base = np.broadcast_to(-logs, scores.shape)
        base = np.where(hits, -np.inf, base)
        weighed = base + self.value * scores
        top, of_top = lse(weighed + scores)
        low, of_low = lse(weighed)
        x = top - low + lse(base)[0] - y
        losses = np.logaddexp(0, x)
        lack = np.exp(x - losses)[:, None]
        if not self.differentiated:
            return losses, lack * of_top
        return losses, lack * ((1 + self.value) * of_top - self.value * of_low)


def lse(x: Array) -> tuple[Array, Array]:
    """Return the log of the sum of exponentials of each row, and the softmax that is its slope."""
    top = x.max(axis=1, keepdims=True)
    raised = np.exp(x - top)
    total = raised.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], raised / total


class Pooled:
    """pooled_softmax with a hardness; every user has a negative that is no hit."""

    def __init__(self, hardness: Hardness) -> None:
        self.hardness = hardness
        self.backward = pooled_softmax.backward

    def forward(
        self,
        interests: Array,
        active: Bools,
        target: Array,
        negatives: Array,
        target_ids: Array,
        negative_ids: Array,
        target_logs: Array,
        logs: Array,
        *,
        sharpness: float,
        temperature: float,
        normalise: bool,
    ) -> tuple[Any, pooled_softmax.Saved]:
        """Return the mean loss, and what the operator's own backward needs."""
        interests = np.where(active[..., None], interests, 0)
        made = [unit(x, normalise) for x in (interests, target, negatives)]
        (interests, target, negatives), units = zip(*made, strict=True)
        users, count, width = interests.shape
        products = interests.reshape(users * count, width) @ negatives.T / temperature
        own = np.einsum("bkd,bd->bk", interests, target)[..., None] / temperature
        own, own_weights = pooled_softmax.pool(own, active, sharpness)
        scores, weights = pooled_softmax.pool(
            products.reshape(users, count, len(negatives)), active, sharpness
        )
        hits = negative_ids == target_ids[:, None]
        losses, slopes = self.hardness.lose(own[:, 0] - target_logs, scores, logs, hits)
        at_target = -slopes.sum(axis=1)[:, None] * own_weights[..., 0]
        weights *= slopes[:, None, :]
        saved = (interests, active, target, negatives, units, at_target, weights, temperature)
        return losses.mean(dtype=interests.dtype), pooled_softmax.Saved(*saved)


class Sampled:
    """sampled_softmax with a hardness; every user has a negative that is no hit."""

    def __init__(self, hardness: Hardness) -> None:
        self.hardness = hardness
        self.backward = sampled_softmax.backward

    def forward(
        self,
        user: Array,
        target: Array,
        negatives: Array,
        target_ids: Array,
        negative_ids: Array,
        target_logs: Array,
        logs: Array,
        *,
        temperature: float,
        normalise: bool,
    ) -> tuple[Any, sampled_softmax.Saved]:
        """Return the mean loss, and what the operator's own backward needs."""
        made = [unit(x, normalise) for x in (user, target, negatives)]
        (user, target, negatives), units = zip(*made, strict=True)
        y = np.einsum("bd,bd->b", user, target) / temperature - target_logs
        scores = user @ negatives.T / temperature
        hits = negative_ids == target_ids[:, None]
        losses, slopes = self.hardness.lose(y, scores, logs, hits)
        saved = (user, target, negatives, units, slopes, temperature)
        return losses.mean(dtype=user.dtype), sampled_softmax.Saved(*saved)
