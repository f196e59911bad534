"""Public bugs of the sampled softmax; each changes one step of a correct operator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.ops.sampled_softmax import check_inputs
from mindref.shapes import Array, Bools, Ints
from tests.public_code.base import BuggyOperator, squash, squash_backward


class Saved(NamedTuple):
    inputs: tuple[Array, ...]  # user, target, negatives
    vectors: tuple[Array, ...]  # the inputs after normalisation
    probabilities: Array  # (B, S) probabilities of the negatives
    temperature: float
    unit: tuple[bool, ...]


class Loss(BuggyOperator):
    """Mean over users of -log softmax of the target and the negatives."""

    stem = "sampled_softmax"

    def forward(
        self,
        user: Array,
        target: Array,
        negatives: Array,
        target_ids: Ints,
        negative_ids: Ints,
        target_log_expected: Array,
        negative_log_expected: Array,
        *,
        temperature: float = 1.0,
        normalise: bool = False,
    ) -> tuple[Array, Saved]:
        logs = (target_log_expected, negative_log_expected)
        check_inputs(user, target, negatives, target_ids, negative_ids, *logs, temperature)
        target_correction, negative_correction = (self.correction(x) for x in logs)
        inputs, unit = (user, target, negatives), self.normalised(normalise)
        vectors = u, t, n = tuple(
            squash(x, kind="unit") if yes else x for x, yes in zip(inputs, unit, strict=True)
        )
        divisor = self.divisor(temperature)
        y = np.einsum("bd,bd->b", u, t) / divisor - target_correction
        z = u @ n.T / divisor - negative_correction
        y = np.where(np.isfinite(y) & np.isfinite(z).all(axis=1), y, np.nan)
        z = np.where(self.hits(target_ids, negative_ids), -np.inf, z)
        with np.errstate(all="ignore"):
            top = np.max(z, axis=1, initial=-np.inf)
            top = np.where(np.isfinite(top), top, y)
            exponentials = np.exp(z - top[:, None])
            losses = np.logaddexp(0, (top - y) + np.log(exponentials.sum(axis=1)))
            probabilities = exponentials * np.exp(top - y - losses)[:, None]
        return losses.mean(dtype=user.dtype), Saved(inputs, vectors, probabilities, divisor, unit)

    def backward(self, d_out: Array, saved: Saved) -> tuple[Array, ...]:
        (u, t, n), users = saved.vectors, len(saved.probabilities)
        d_z = saved.probabilities * (d_out / users / saved.temperature)
        d_y = -d_z.sum(axis=1, keepdims=True)
        gradients = (d_y * t + d_z @ n, d_y * u, d_z.T @ u)
        parts = zip(gradients, saved.inputs, saved.unit, strict=True)
        return tuple(squash_backward(d, x, kind="unit") if yes else d for d, x, yes in parts)

    def correction(self, log_expected: Array) -> Array:
        return log_expected

    def hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return target_ids[:, None] == negative_ids

    def divisor(self, temperature: float) -> float:
        return temperature

    def normalised(self, normalise: bool) -> tuple[bool, ...]:
        return (normalise, normalise, normalise)


class NoCorrection(Loss):
    deviation = "no log-Q correction"
    seen_in, rule = "EasyRec, TorchEasyRec, torch-rechub, CoreRec", "sampled_softmax-R2"
    mutants = ("no-log-q",)

    def correction(self, log_expected: Array) -> Array:
        return np.zeros_like(log_expected)


class AccidentalHitsKept(Loss):
    deviation = "accidental hits are kept"
    seen_in, rule = "torch-rechub, REMI, TorchEasyRec", "sampled_softmax-R3"
    mutants = ("hits-kept",)

    def hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return np.zeros((len(target_ids), len(negative_ids)), bool)


class TemperatureUnused(Loss):
    deviation = "the temperature is accepted and not used"
    seen_in, rule = "torch-rechub", "sampled_softmax-R6"
    mutants = ("temperature-unused",)

    def divisor(self, temperature: float) -> float:
        return 1.0


class OnlyUsersNormalised(Loss):
    deviation = "users are normalised to length one, items are not"
    seen_in, rule = "fun-rec", "sampled_softmax-R7"
    mutants = ("only-users-normalised",)

    def normalised(self, normalise: bool) -> tuple[bool, ...]:
        return (normalise, False, False)
