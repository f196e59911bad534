"""Public bugs of label-aware attention; each changes one step of a correct operator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.ops.label_attention import check_inputs
from mindref.shapes import Array, Bools
from tests.public_code.base import BuggyOperator, softmax, softmax_backward

WIDE = np.longdouble  # dtype of powers, so that correct powers do not overflow


class Saved(NamedTuple):
    v: Array  # (B, K, D), zero for inactive interests
    e: Array  # (B, D)
    scores: Array
    weights: Array
    active: Bools
    power: float


class Attention(BuggyOperator):
    """Scores, power, softmax, sum; for p = infinity and p = 0 the weights are constant."""

    stem = "label_attention"

    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, Saved]:
        check_inputs(interests, target, active, power)
        v = np.where(active[..., None], interests, 0)
        scores = np.einsum("bkd,bd->bk", v, target)
        weights = self.weigh(scores, active, power).astype(scores.dtype)
        out = np.einsum("bk,bkd->bd", weights, v)
        return out, Saved(v, target, scores, weights, active, power)

    def backward(self, d_out: Array, saved: Saved) -> tuple[Array, Array]:
        v, e, scores, weights, active, _ = saved
        d_weights = np.einsum("bd,bkd->bk", d_out, v)
        d_scores = self.weigh_backward(d_weights, saved).astype(scores.dtype)
        d_v = weights[..., None] * d_out[:, None] + d_scores[..., None] * e[:, None]
        return np.where(active[..., None], d_v, 0), np.einsum("bk,bkd->bd", d_scores, v)

    def weigh(self, scores: Array, active: Bools, power: float) -> Array:
        if np.isinf(power):
            return one_hot_of_largest(scores, active)
        with np.errstate(all="ignore"):
            return softmax(self.raised(scores.astype(WIDE), power), active, 1)

    def weigh_backward(self, d_weights: Array, saved: Saved) -> Array:
        scores, power = saved.scores.astype(WIDE), saved.power
        if power == 0 or np.isinf(power):
            return np.zeros_like(d_weights)
        with np.errstate(all="ignore"):
            return softmax_backward(d_weights, saved.weights, 1) * self.slope(scores, power)

    def raised(self, scores: Array, power: float) -> Array:
        return np.sign(scores) * np.abs(scores) ** power if power else 0 * scores

    def slope(self, scores: Array, power: float) -> Array:
        slope = power * np.abs(scores) ** (power - 1)
        return np.where(np.isinf(slope), 0, slope)


def one_hot_of_largest(scores: Array, active: Bools) -> Array:
    best = np.argmax(np.where(active, scores, -np.inf), axis=1)
    return np.eye(scores.shape[1], dtype=scores.dtype)[best]


class PowerBeforeArgmax(Attention):
    deviation = "argmax for p >= 100, but of the powers"
    seen_in, rule = "DeepMatch, fun-rec", "label_attention-R6"
    mutants = ("power-before-argmax",)

    def weigh(self, scores: Array, active: Bools, power: float) -> Array:
        if power < 100:
            return super().weigh(scores, active, power)
        with np.errstate(all="ignore"):
            return one_hot_of_largest(scores**power, active)

    def weigh_backward(self, d_weights: Array, saved: Saved) -> Array:
        if saved.power < 100:
            return super().weigh_backward(d_weights, saved)
        return np.zeros_like(d_weights)


class RawPower(Attention):
    deviation = "the power of a signed score"
    seen_in = "PaddleRec, DeepMatch, fun-rec, Wang-Yu-Qing, DeepMatch-Torch"
    rule = "label_attention-R2"
    mutants = ("power-of-a-signed-score", "power-loses-the-sign")

    def raised(self, scores: Array, power: float) -> Array:
        return scores**power

    def slope(self, scores: Array, power: float) -> Array:
        return power * scores ** (power - 1)


class PowerMultiplied(Attention):
    deviation = "the score is multiplied by p"
    seen_in, rule = "EasyRec, TorchEasyRec", "label_attention-R2"
    mutants = ("power-multiplies",)

    def raised(self, scores: Array, power: float) -> Array:
        return power * scores

    def slope(self, scores: Array, power: float) -> Array:
        return np.full_like(scores, power)


class AlwaysArgmax(Attention):
    deviation = "only the best interest, for every p"
    seen_in, rule = "ComiRec, torch-rechub, REMI", "label_attention-R3"
    mutants = ("power-is-always-infinite",)

    def weigh(self, scores: Array, active: Bools, power: float) -> Array:
        return one_hot_of_largest(scores, active)

    def weigh_backward(self, d_weights: Array, saved: Saved) -> Array:
        return np.zeros_like(d_weights)


class InactiveAttended(Attention):
    deviation = "inactive interests are in the softmax"
    seen_in, rule = "fun-rec", "label_attention-R3"
    mutants = (
        "inactive-interests-are-read",
        "softmax-masked-after-the-sum",
        "weights-not-normalised-over-active",
    )

    def weigh(self, scores: Array, active: Bools, power: float) -> Array:
        return super().weigh(scores, np.ones_like(active), power)


class SizeOneAxis(Attention):
    deviation = "softmax over an axis of size one: all weights are 1"
    seen_in, rule = "deep_ctr", "label_attention-R3"
    mutants = ("attention-over-an-axis-of-one",)

    def weigh(self, scores: Array, active: Bools, power: float) -> Array:
        return active.astype(scores.dtype)

    def weigh_backward(self, d_weights: Array, saved: Saved) -> Array:
        return np.zeros_like(d_weights)
