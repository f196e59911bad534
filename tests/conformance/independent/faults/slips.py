"""Faults of the mathematics: a wrong formula of forward or of a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Bools
from tests.conformance.independent.embedding import Embedding, EmbeddingSaved
from tests.conformance.independent.faults.catalogue import (
    FaultyBackend,
    faulty_backend,
    faulty_operator,
)
from tests.conformance.independent.label_attention import LabelAttention
from tests.conformance.independent.routing import Iteration, Routing
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.softmax import Softmax, SoftmaxSaved
from tests.conformance.independent.squash import Squash


@faulty_operator("softmax", "softmax/softmax_gradient_matches_the_reference")
class InnerOverLastAxis(Softmax):
    """If `axis` is not the last axis, the inner product of backward is over the wrong axis."""

    def backward(self, d_out: Array, saved: SoftmaxSaved) -> Array:
        return super().backward(d_out, saved._replace(axis=-1))


@faulty_operator("squash", "squash/squash_gradient_matches_the_reference")
class SlopeOfRatio(Squash):
    """The slope along x is the derivative of n / (1 + n^2) instead of n^2 / (1 + n^2)."""

    def compute_slopes(self, norm: Array) -> tuple[Array, Array, Array]:
        length, across, along = super().compute_slopes(norm)
        short = norm <= 1
        ratio = np.where(short, norm, 1 / np.where(short, 1, norm))
        square = ratio * ratio
        slope = np.where(short, 1 - square, square * (square - 1)) / (1 + square) ** 2
        return length, across, np.where(norm == 0, along, slope)


@faulty_operator("routing", "routing/two_iterations_history_gradient_matches")
class NextCapsules(Routing):
    """From 2 iterations on, step 5 of backward reads the capsules of the next iteration."""

    def read_capsules(self, iterations: list[Iteration], index: int) -> Array:
        return iterations[index + 1].capsules


@faulty_operator("routing", "routing/log_weights_match_the_reference")
class FactorsAtTheEnd(Routing):
    """From 2 iterations on, the log weights change only the sum of the last iteration."""

    def scale_weights(self, weights: Array, factors: Array | None, *, is_last: bool) -> Array:
        return super().scale_weights(weights, factors if is_last else None, is_last=is_last)


@faulty_operator("routing", "routing/log_weight_gradients_match_the_reference")
class FactorMissing(Routing):
    """With log weights and gradient "all", d_w lacks the factor exp(lambda)."""

    def factors_backward(self, d_scaled: Array, factors: Array | None) -> Array:
        return d_scaled


@faulty_operator("label_attention", "label_attention/interest_gradients_match_the_reference")
class SignOfScore(LabelAttention):
    """If a score is below zero, the slope of the power has the wrong sign."""

    def power_backward(self, d_logits: Array, scores: Array, power: float) -> Array:
        sign = np.where(scores < 0, scores.dtype.type(-1), scores.dtype.type(1))
        return super().power_backward(d_logits, scores, power) * sign


@faulty_operator("sampled_softmax", "sampled_softmax/every_user_has_equal_weight_in_the_mean")
class MeanOverUsable(SampledSoftmax):
    """If all negatives of a user are accidental hits, the mean leaves the user out."""

    def mean_loss(self, losses: Array, logits: Array) -> Any:
        usable = ~np.isneginf(logits).all(axis=1) | np.isnan(losses)
        return super().mean_loss(losses[usable], logits) if usable.any() else losses.dtype.type(0)


@faulty_operator("embedding", "embedding/gradient_of_a_repeated_row_is_summed")
class RepeatCountedOnce(Embedding):
    """If a row is twice in one vector, it counts once in backward, with the last weight."""

    def backward(self, d_out: Array, saved: EmbeddingSaved) -> RowGradient:
        rows, weights = saved.rows, saved.weights.copy()
        for f in range(rows.shape[1] - 1):
            weights[(rows[:, f : f + 1] == rows[:, f + 1 :]).any(axis=1), f] = 0
        return super().backward(d_out, saved._replace(weights=weights))


@faulty_backend("model/one_iteration_model_gradients_match")
class ProfileMean(FaultyBackend):
    """From two active interests on, the gradient of a profile is a mean, not a sum."""

    def profile_backward(self, d_profile: Array, active: Bools) -> Array:
        num_active = active.sum(axis=1, keepdims=True).astype(d_profile.dtype)
        return super().profile_backward(d_profile, active) / num_active


@faulty_operator("routing", "routing/general_routing_gradients_match_the_reference")
class GeneralTransposed(Routing):
    """With a matrix for each pair, the gradient of each matrix S_lk is transposed."""

    def votes_backward(
        self, d_votes: Array, history: Array, bilinear: Array
    ) -> tuple[Array, Array]:
        d_history, d_bilinear = super().votes_backward(d_votes, history, bilinear)
        if bilinear.ndim == 2:
            return d_history, d_bilinear
        return d_history, d_bilinear.swapaxes(2, 3).copy()
