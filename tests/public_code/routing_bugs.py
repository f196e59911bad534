"""Public bugs of routing and squash; each changes one step of a correct operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.errors import ShapeError
from mindref.shapes import Array, Bools, common_float_dtype
from tests.public_code.base import (
    BuggyOperator,
    softmax,
    softmax_backward,
    squash,
    squash_backward,
)
from tests.public_code.routing import Routing, Saved


class PositionsCompete(Routing):
    deviation = "softmax over the positions, padding zeroed afterwards"
    seen_in, rule = "pytorch_ComiRec, torch-rechub, rec_pangu, REMI, BaM", "routing-R2"
    mutants = ("routing-padding-zeroed-after-the-softmax",)

    def weigh(self, b: Array, allowed: Bools) -> Array:
        return np.where(allowed, softmax(b, np.ones_like(allowed), 1), 0)

    def weigh_backward(self, d_w: Array, b: Array, w: Array, allowed: Bools) -> Array:
        couplings = softmax(b, np.ones_like(allowed), 1)
        return softmax_backward(np.where(allowed, d_w, 0), couplings, 1)


class LogitsStored(Routing):
    deviation = "logits stored as a variable that every call adds to"
    seen_in, rule = "DeepMatch up to 0.2.0, fun-rec, deep_ctr", "routing-R19"
    mutants = ("routing-logits-kept-between-calls",)

    def __init__(self) -> None:
        self.stored: dict[tuple[int, ...], Array] = {}

    def start_logits(self, init_logits: Array) -> Array:
        self.shape = init_logits.shape[1:]
        return (init_logits + self.stored.get(self.shape, 0)).astype(init_logits.dtype)

    def update(self, b: Array, w: Array, agreement: Array) -> Array:
        self.stored[self.shape] = self.stored.get(self.shape, 0) + agreement.sum(axis=0)
        return b + agreement


class UpdateSummedOverBatch(Routing):
    deviation = "the agreement is summed over the users of the batch"
    seen_in, rule = "DeepMatch up to 0.2.0, fun-rec, deep_ctr", "routing-R20"
    mutants = ("routing-update-summed-over-the-batch",)

    def update(self, b: Array, w: Array, agreement: Array) -> Array:
        return b + agreement.sum(axis=0)

    def update_backward(self, d_b: Array) -> tuple[Array, Any, Array]:
        return d_b, 0, np.broadcast_to(d_b.sum(axis=0), d_b.shape)


class AddedToWeights(Routing):
    deviation = "the agreement is added to the softmax weights"
    seen_in, rule = "TorchEasyRec", "routing-R8"
    mutants = ("routing-agreement-added-to-the-weights",)

    def update(self, b: Array, w: Array, agreement: Array) -> Array:
        return w + agreement

    def update_backward(self, d_b: Array) -> tuple[Array, Any, Array]:
        return np.zeros_like(d_b), d_b, d_b


class LogitsReplaced(Routing):
    deviation = "the agreement replaces the logits"
    seen_in, rule = "EasyRec", "routing-R8"
    mutants = ("routing-logits-replaced",)

    def update(self, b: Array, w: Array, agreement: Array) -> Array:
        return agreement

    def update_backward(self, d_b: Array) -> tuple[Array, Any, Array]:
        return np.zeros_like(d_b), 0, d_b


class BiasedVotes(Routing):
    deviation = "the votes have a bias: S e + c"
    seen_in, rule = "ComiRec", "routing-R1"
    mutants = ("routing-vote-with-a-bias",)

    def project_votes(self, e: Array, s: Array) -> Array:
        return e @ s.T + np.cos(np.arange(len(s))).astype(s.dtype)


class NoMatrix(Routing):
    deviation = "no S: the vote is the behaviour"
    seen_in, rule = "RecLearn", "routing-R1"
    mutants = ("routing-without-a-matrix",)

    def project_votes(self, e: Array, s: Array) -> Array:
        return e.copy()

    def project_votes_backward(self, d_votes: Array, e: Array, s: Array) -> tuple[Array, Array]:
        return d_votes, np.zeros_like(s)


class UnitBetweenIterations(Routing):
    deviation = "capsules of length one instead of squash between iterations"
    seen_in, rule = "EasyRec, TorchEasyRec", "routing-R4"
    mutants = ("routing-length-one-between-iterations",)

    def inner_squash(self, z: Array) -> Array:
        return squash(z, kind="unit")

    def inner_squash_backward(self, d_u: Array, z: Array) -> Array:
        return squash_backward(d_u, z, kind="unit")


class AlwaysThreeIterations(Routing):
    deviation = "three iterations, for every r"
    seen_in, rule = "ComiRec, RecLearn", "routing-R5"
    mutants = ("routing-always-three-iterations",)

    def num_iterations(self, iterations: int) -> int:
        return 3


class GradientOfThirdIteration(Routing):
    deviation = "no update after the second iteration; one or two iterations have no gradient"
    seen_in, rule = "pytorch_ComiRec, torch-rechub, REMI, BaM", "routing-R5"
    mutants = (
        "routing-no-update-after-the-third-iteration",
        "routing-last-only-from-three-iterations-on",
    )

    def num_iterations(self, iterations: int) -> int:
        return min(iterations, 3)  # later iterations repeat the third

    def backward(self, d_capsules: Array, saved: Saved) -> tuple[Array, Array, Array]:
        gradients = super().backward(d_capsules, saved)
        if saved.gradient == "last" and len(saved.iterations) < 3:
            return np.zeros_like(gradients[0]), np.zeros_like(gradients[1]), gradients[2]
        return gradients


class ZeroLogits(Routing):
    deviation = "routing starts from zero logits"
    seen_in, rule = "CoreRec, DeepMatch-Torch", "routing-R5"
    mutants = ("routing-starts-from-zero",)

    def start_logits(self, init_logits: Array) -> Array:
        return np.zeros_like(init_logits)

    def start_logits_backward(self, d_b: Array) -> Array:
        return np.zeros_like(d_b)


class InactiveCompete(Routing):
    deviation = "inactive interests get weight in the softmax and are zeroed afterwards"
    seen_in = "torch-rechub's argument for masking afterwards, on an axis where it is wrong"
    rule = "routing-R7"
    mutants = ("routing-inactive-zeroed-after-each-softmax",)

    def weigh(self, b: Array, allowed: Bools) -> Array:
        return np.where(allowed, softmax(b, behaviours(allowed), 2), 0)

    def weigh_backward(self, d_w: Array, b: Array, w: Array, allowed: Bools) -> Array:
        couplings = softmax(b, behaviours(allowed), 2)
        return softmax_backward(np.where(allowed, d_w, 0), couplings, 2)


def behaviours(allowed: Bools) -> Bools:
    """Return a mask of all interests of the behaviours that are not padding."""
    return np.broadcast_to(allowed.any(axis=2, keepdims=True), allowed.shape)


class EpsilonSquash(BuggyOperator):
    deviation = "1e-9 is added to the squared length under the root"
    seen_in, rule = "DeepMatch, ComiRec, torch-rechub and derived code", "squash-R5"
    mutants = ("squash-epsilon-under-the-root",)
    stem = "squash"

    def forward(self, x: Array, *, kind: str = "squash") -> tuple[Array, Any]:
        common_float_dtype("squash", x=x)
        if kind in ("unit", "none"):
            raise NotImplementedError(f"no {kind}")
        if kind != "squash":
            raise ShapeError(f"squash: kind: expected squash, got {kind}")
        with np.errstate(all="ignore"):
            square = (x * x).sum(axis=-1, keepdims=True)
            return x * (square / (1 + square) / np.sqrt(square + 1e-9).astype(x.dtype)), x

    def backward(self, d_out: Array, x: Array) -> Array:
        """Return h d_out + 2 h'(q) <x, d_out> x for x h(q) with the squared length q."""
        with np.errstate(all="ignore"):
            q = (x * x).sum(axis=-1, keepdims=True)
            root = np.sqrt(q + 1e-9).astype(x.dtype)
            h = q / (1 + q) / root
            slope = 1 / ((1 + q) * root) - h / (1 + q) - h / (2 * root * root)
            return h * d_out + 2 * slope * (x * d_out).sum(axis=-1, keepdims=True) * x
