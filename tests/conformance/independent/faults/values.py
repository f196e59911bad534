"""Faults that are wrong for numbers of some size, or for equal or nearly equal numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Ints
from tests.conformance.independent.faults.catalogue import (
    LONG_AXIS,
    faulty_operator,
)
from tests.conformance.independent.label_attention import LabelAttention
from tests.conformance.independent.relu_layer import ReluLayer
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.softmax import Softmax
from tests.conformance.independent.squash import Squash


@faulty_operator("softmax", "values/large_logits_match_the_reference")
class LogitClamp(Softmax):
    """Logits beyond 60 in absolute value are clamped before the maximum is subtracted."""

    def normalise_logits(self, masked: Array, axis: int) -> Array:
        clamped = np.where(np.isneginf(masked), masked, np.clip(masked, -60, 60))
        return super().normalise_logits(clamped, axis)


@faulty_operator("squash", "values/tiny_vectors_match_the_reference")
class ShortestLength(Squash):
    """A length between 0 and 1e-6 counts as 1e-6."""

    def compute_slopes(self, norm: Array) -> tuple[Array, Array, Array]:
        longer = np.maximum(norm, norm.dtype.type(1e-6))
        return super().compute_slopes(np.where(norm > 0, longer, norm))


@faulty_operator("label_attention", "values/power_infinity_distinguishes_adjacent_scores")
class NearTie(LabelAttention):
    """With p = infinity, a score within 1e-5 of the largest counts as a tie."""

    def index_largest(self, scores: Array) -> Ints:
        with np.errstate(invalid="ignore"):
            largest = scores.max(axis=1, keepdims=True)
            near = scores >= largest - 1e-5 * np.abs(largest)
        return np.where(near.any(axis=1), near.argmax(axis=1), scores.argmax(axis=1))


@faulty_operator("sampled_softmax", "values/small_temperatures_match_the_reference")
class TemperatureFloor(SampledSoftmax):
    """A temperature below 0.001 counts as 0.001."""

    def read_temperature(self, temperature: float) -> float:
        return max(float(temperature), 1e-3)


@faulty_operator("squash", "values/kind_unit_keeps_the_direction_of_the_smallest_float")
class SubnormalIsZero(Squash):
    """A vector whose components are all subnormal counts as zero."""

    def split_vectors(self, x: Array) -> tuple[Array, Array]:
        largest = np.abs(x).max(axis=-1, keepdims=True, initial=0)
        is_subnormal = largest < np.finfo(x.dtype).tiny
        return super().split_vectors(np.where(is_subnormal, x.dtype.type(0), x))


@faulty_operator("sampled_softmax", "sampled_softmax/all_items_as_negatives_equal_the_full_softmax")
class SoftplusLinear(SampledSoftmax):
    """For x above 6, log(1 + exp(x)) is x."""

    def softplus(self, x: Array) -> Array:
        return np.where(x > 6, x, super().softplus(x))


@faulty_operator(
    "sampled_softmax",
    reason="The error of a loss is at most 3 ULP of 1, which numerics allows for a log near zero.",
)
class LossByDifference(SampledSoftmax):
    """A loss is the log of a sum minus the target's logit, so a loss near zero has few digits."""

    def cross_entropy(self, target_logits: Array, logits: Array) -> tuple[Array, Array]:
        _, p_negatives = super().cross_entropy(target_logits, logits)
        with np.errstate(all="ignore"):
            largest = np.maximum(target_logits, logits.max(axis=1, initial=-np.inf))
            total = np.exp(target_logits - largest)
            total = total + np.exp(logits - largest[:, None]).sum(axis=1)
            losses = (largest + np.log(total)) - target_logits
        return losses, p_negatives


@faulty_operator("relu_layer", f"{LONG_AXIS}[relu_layer-M]")
class ReducedPrecisionProduct(ReluLayer):
    """Sums of 64 or more products are in float32, or with factors of 10 bits in float32."""

    def multiply_matrices(self, x: Array, weight: Array) -> Array:
        if x.shape[1] < 64:
            return super().multiply_matrices(x, weight)
        if x.dtype == np.float64:
            with np.errstate(over="ignore", invalid="ignore"):
                product = np.matmul(x.astype(np.float32), weight.astype(np.float32))
                return product.astype(np.float64)
        return np.matmul(self.drop_bits(x), self.drop_bits(weight))

    def drop_bits(self, x: Array) -> Any:
        """Return float32 numbers with the first 10 bits of the mantissa."""
        bits = np.ascontiguousarray(x).view(np.uint32)
        return (bits & np.uint32(0xFFFFE000)).view(np.float32)


@faulty_operator("sampled_softmax", "values/equal_users_match_the_reference")
class EqualUsersOnce(SampledSoftmax):
    """Users with equal vectors count once in d_negatives."""

    def negatives_backward(self, d_logits: Array, user: Array) -> Array:
        _, first = np.unique(user, axis=0, return_index=True)
        first.sort()
        return np.matmul(d_logits[first].T, user[first])


@faulty_operator("sampled_softmax", "values/large_losses_match_the_reference")
class LossCap(SampledSoftmax):
    """A loss above 16.1 counts as 16.1, because the target has a probability of at least 1e-7."""

    def mean_loss(self, losses: Array, logits: Array) -> Any:
        largest = losses.dtype.type(-np.log(1e-7))
        return super().mean_loss(np.minimum(losses, largest), logits)
