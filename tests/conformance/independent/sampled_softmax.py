"""Spec: specs/sampled_softmax.md."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError
from mindref.shapes import Array, Bools, Ints
from tests.conformance.independent.argument_checks import check_axes, check_floats
from tests.conformance.independent.squash import Squash, SquashSaved


class LossSaved(NamedTuple):
    user: Array
    target: Array
    negatives: Array
    units: tuple[SquashSaved, ...] | None  # None without normalise
    p_negatives: Array  # (B, S)
    temperature: float


class SampledSoftmax:
    """The mean loss of targets against shared negatives."""

    def __init__(self, squash: Squash) -> None:
        self.squash = squash

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
    ) -> tuple[Array, LossSaved]:
        logs = (target_log_expected, negative_log_expected)
        self.check_inputs(user, target, negatives, target_ids, negative_ids, *logs, temperature)
        units = None
        if normalise:
            user, of_user = self.to_unit_length(user)
            target, of_target = self.item_to_unit_length(target)
            negatives, of_negatives = self.item_to_unit_length(negatives)
            units = (of_user, of_target, of_negatives)
        tau = self.read_temperature(temperature)
        target_logits = (user * target).sum(axis=1) / tau
        target_logits = target_logits - self.read_log_expected(target_log_expected)
        logits = np.matmul(user, negatives.T) / tau - self.read_log_expected(negative_log_expected)
        usable = np.isfinite(target_logits) & np.isfinite(logits).all(axis=1)
        target_logits = np.where(usable, target_logits, np.nan)
        logits = np.where(self.accidental_hits(target_ids, negative_ids), -np.inf, logits)
        losses, p_negatives = self.cross_entropy(target_logits, logits)
        out = self.mean_loss(losses, logits)
        return out, LossSaved(user, target, negatives, units, p_negatives, tau)

    def check_inputs(
        self,
        user: Array,
        target: Array,
        negatives: Array,
        target_ids: Ints,
        negative_ids: Ints,
        target_log: Array,
        negative_log: Array,
        tau: float,
    ) -> None:
        sizes = check_axes(
            "sampled_softmax",
            user=(user, "BD"),
            target=(target, "BD"),
            negatives=(negatives, "SD"),
            target_ids=(target_ids, "B"),
            negative_ids=(negative_ids, "S"),
            target_log_expected=(target_log, "B"),
            negative_log_expected=(negative_log, "S"),
        )
        logs = {"target_log_expected": target_log, "negative_log_expected": negative_log}
        check_floats("sampled_softmax", user=user, target=target, negatives=negatives, **logs)
        for name, log in logs.items():
            if not np.isfinite(log).all():
                raise ShapeError(
                    f"sampled_softmax: {name}: expected finite logs, got an infinite one or NaN"
                )
        if sizes["B"] == 0:
            raise ShapeError("sampled_softmax: user: expected at least one, got none")
        if not 0 < tau < np.inf:
            raise ShapeError(
                f"sampled_softmax: temperature: expected a finite number above 0, got {tau}"
            )

    def to_unit_length(self, x: Array) -> tuple[Array, SquashSaved]:
        return self.squash.forward(x, kind="unit")

    def item_to_unit_length(self, x: Array) -> tuple[Array, SquashSaved]:
        return self.to_unit_length(x)

    def read_temperature(self, temperature: float) -> float:
        return float(temperature)

    def read_log_expected(self, log_expected: Array) -> Array:
        return log_expected

    def accidental_hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return target_ids[:, None] == negative_ids[None, :]

    def mean_loss(self, losses: Array, logits: Array) -> Any:
        return losses.mean(dtype=losses.dtype)

    def cross_entropy(self, target_logits: Array, logits: Array) -> tuple[Array, Array]:
        """Return the loss of each user (B,) and the probabilities of the negatives (B, S)."""
        largest = logits.max(axis=1, initial=-np.inf)
        largest = np.where(np.isfinite(largest), largest, target_logits)
        with np.errstate(all="ignore"):
            powers = np.exp(logits - largest[:, None])
            log_sum = np.log(powers.sum(axis=1))
            losses = self.softplus((largest - target_logits) + log_sum)
            p_negatives = powers * np.exp((largest - target_logits) - losses)[:, None]
        return losses, p_negatives

    def softplus(self, x: Array) -> Array:
        return np.logaddexp(0, x)

    def backward(self, d_out: Any, saved: LossSaved) -> tuple[Array, ...]:
        p_negatives = saved.p_negatives
        d_logits = p_negatives * (d_out / len(p_negatives)) / saved.temperature
        d_logits = d_logits.astype(p_negatives.dtype, copy=False)
        d_target_logits = -d_logits.sum(axis=1)
        d_user = d_target_logits[:, None] * saved.target + np.matmul(d_logits, saved.negatives)
        d_target = d_target_logits[:, None] * saved.user
        d_negatives = self.negatives_backward(d_logits, saved.user)
        gradients = (d_user, d_target, d_negatives)
        if saved.units is None:
            return gradients
        pairs = zip(gradients, saved.units, strict=True)
        return tuple(self.squash.backward(d_unit, unit) for d_unit, unit in pairs)

    def negatives_backward(self, d_logits: Array, user: Array) -> Array:
        return np.matmul(d_logits.T, user)
