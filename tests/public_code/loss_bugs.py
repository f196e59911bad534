"""Public bugs of the sampled softmax and of squash, each in an operator that is otherwise right."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError
from mindref.ops.sampled_softmax import check_inputs
from mindref.shapes import Array, Bools, Ints, common_float_dtype
from tests.public_code.base import Bug, Wrong, direction, unit_slope


class Saved(NamedTuple):
    given: tuple[Array, ...]  # user, target, negatives
    used: tuple[Array, ...]  # the same after normalising
    share: Array  # (B, S) probabilities of the negatives
    temperature: float
    unit: tuple[bool, ...]


class Loss(Wrong):
    """Minus the log of the target's share among itself and the negatives, the mean of users."""

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
        of_target, of_negatives = (self.correction(x) for x in logs)
        given, unit = (user, target, negatives), self.normalised(normalise)
        used = u, t, n = tuple(
            direction(x) if yes else x for x, yes in zip(given, unit, strict=True)
        )
        by = self.divisor(temperature)
        y = np.einsum("bd,bd->b", u, t) / by - of_target
        z = u @ n.T / by - of_negatives
        y = np.where(np.isfinite(y) & np.isfinite(z).all(axis=1), y, np.nan)
        z = np.where(self.hits(target_ids, negative_ids), -np.inf, z)
        with np.errstate(all="ignore"):
            top = np.max(z, axis=1, initial=-np.inf)
            top = np.where(np.isfinite(top), top, y)
            raised = np.exp(z - top[:, None])
            losses = np.logaddexp(0, (top - y) + np.log(raised.sum(axis=1)))
            share = raised * np.exp(top - y - losses)[:, None]
        return losses.mean(dtype=user.dtype), Saved(given, used, share, by, unit)

    def backward(self, d_out: Array, saved: Saved) -> tuple[Array, ...]:
        (u, t, n), users = saved.used, len(saved.share)
        d_z = saved.share * (d_out / users / saved.temperature)
        d_y = -d_z.sum(axis=1, keepdims=True)
        found = (d_y * t + d_z @ n, d_y * u, d_z.T @ u)
        parts = zip(found, saved.given, saved.unit, strict=True)
        return tuple(unit_slope(d, x) if yes else d for d, x, yes in parts)

    def correction(self, log_expected: Array) -> Array:
        return log_expected

    def hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return target_ids[:, None] == negative_ids

    def divisor(self, temperature: float) -> float:
        return temperature

    def normalised(self, normalise: bool) -> tuple[bool, ...]:
        return (normalise, normalise, normalise)


class NoCorrection(Loss):
    bug = Bug(
        "no log-Q correction",
        "EasyRec, TorchEasyRec, torch-rechub, CoreRec",
        "sampled_softmax-R2",
    )

    def correction(self, log_expected: Array) -> Array:
        return np.zeros_like(log_expected)


class HitsKept(Loss):
    bug = Bug("accidental hits are kept", "torch-rechub, REMI, TorchEasyRec", "sampled_softmax-R3")

    def hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return np.zeros((len(target_ids), len(negative_ids)), bool)


class TemperatureUnused(Loss):
    bug = Bug("the temperature is accepted and not used", "torch-rechub", "sampled_softmax-R6")

    def divisor(self, temperature: float) -> float:
        return 1.0


class UserAloneNormalised(Loss):
    bug = Bug("users are normalised to length one, items are not", "fun-rec", "sampled_softmax-R7")

    def normalised(self, normalise: bool) -> tuple[bool, ...]:
        return (normalise, False, False)


class EpsilonSquash(Wrong):
    bug = Bug(
        "1e-9 is added to the squared length under the root",
        "DeepMatch, ComiRec, torch-rechub and derived code",
        "squash-R5",
    )
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
        """x h(q) with q the squared length: h d_out + 2 h'(q) <x, d_out> x."""
        with np.errstate(all="ignore"):
            q = (x * x).sum(axis=-1, keepdims=True)
            root = np.sqrt(q + 1e-9).astype(x.dtype)
            h = q / (1 + q) / root
            slope = 1 / ((1 + q) * root) - h / (1 + q) - h / (2 * root * root)
            return h * d_out + 2 * slope * (x * d_out).sum(axis=-1, keepdims=True) * x
