"""Faults that are wrong from a size on."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Bools, Ints
from tests.conformance.independent.embedding import Embedding
from tests.conformance.independent.faults.catalogue import (
    LONG_AXIS,
    LONG_MODEL_AXIS,
    FaultyBackend,
    faulty_backend,
    faulty_operator,
)
from tests.conformance.independent.label_attention import AttentionSaved, LabelAttention
from tests.conformance.independent.levels import TrainingState
from tests.conformance.independent.relu_layer import ReluLayer
from tests.conformance.independent.routing import Iteration, Routing
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.squash import Squash


@faulty_operator("routing", f"{LONG_AXIS}[routing-L]")
class HistoryTail(Routing):
    """From L = 65 on, the sum of votes leaves out an incomplete block of 64 behaviours."""

    def sum_votes(self, weights: Array, votes: Array) -> Array:
        length = votes.shape[1]
        if length > 64:
            complete = length - length % 64
            weights, votes = weights[:, :complete], votes[:, :complete]
        return super().sum_votes(weights, votes)


@faulty_operator("squash", f"{LONG_AXIS}[squash-D]")
class WideVectorTail(Squash):
    """From D = 257 on, the sum of squares leaves out the last D mod 8 components."""

    def sum_squares(self, x: Array) -> Array:
        width = x.shape[-1]
        if width > 256:
            x = x[..., : width - width % 8]
        return super().sum_squares(x)


@faulty_operator("label_attention", f"{LONG_AXIS}[label_attention-K]")
class ActiveWord(LabelAttention):
    """From K = 33 on, active interests beyond a word of 32 bits are lost."""

    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, AttentionSaved]:
        if active.ndim == 2 and active.dtype == bool:
            active = active & (np.arange(active.shape[1]) < 32)
        return super().forward(interests, target, active, power=power)


@faulty_operator("sampled_softmax", f"{LONG_AXIS}[sampled_softmax-S]")
class BlockSumNotRescaled(SampledSoftmax):
    """From S = 2049 on, a block with a larger maximum does not rescale the sum before it."""

    def cross_entropy(self, target_logits: Array, logits: Array) -> tuple[Array, Array]:
        if logits.shape[1] <= 2048:
            return super().cross_entropy(target_logits, logits)
        with np.errstate(all="ignore"):
            largest = np.full(len(logits), -np.inf, logits.dtype)
            total = np.zeros(len(logits), logits.dtype)
            for start in range(0, logits.shape[1], 2048):
                block = logits[:, start : start + 2048]
                largest = np.maximum(largest, block.max(axis=1))
                block_sum = np.exp(block - largest[:, None]).sum(axis=1)
                total = total + np.where(np.isneginf(largest), 0, block_sum)
            largest = np.where(np.isfinite(largest), largest, target_logits)
            gaps = largest - target_logits
            losses = np.logaddexp(0, gaps + np.log(total))
            p_negatives = np.exp(logits - largest[:, None]) * np.exp(gaps - losses)[:, None]
        return losses, p_negatives


@faulty_operator("embedding", f"{LONG_AXIS}[embedding-V]")
class ShortRowNumbers(Embedding):
    """From row 65,536 on, a row number is read as uint16, which is another row."""

    def gather_rows(self, table: Array, rows: Ints) -> Array:
        return table[rows.astype(np.uint16)]


@faulty_operator("embedding", f"{LONG_AXIS}[embedding-F]")
class WeightsModuloEight(Embedding):
    """From F = 9 on, row f of a vector has the weight of row f mod 8."""

    def pool_rows(self, table: Array, rows: Ints, weights: Array) -> Array:
        return super().pool_rows(table, rows, weights[:, np.arange(rows.shape[1]) % 8])


@faulty_operator("relu_layer", f"{LONG_AXIS}[relu_layer-M]")
class BiasOfLastChunk(ReluLayer):
    """From M = 1025 on, each chunk of 1024 rows replaces the sum of d_bias before it."""

    def bias_backward(self, d_a: Array) -> Array:
        total = np.zeros(d_a.shape[1], d_a.dtype)
        for start in range(0, len(d_a), 1024):
            total = d_a[start : start + 1024].sum(axis=0)
        return total


@faulty_operator("routing", f"{LONG_AXIS}[routing-iterations]")
class SixteenIterationsSaved(Routing):
    """From 17 iterations on, backward ends after the last 16 iterations."""

    def select_saved(self, iterations: list[Iteration]) -> list[Iteration]:
        return iterations[-16:]


@faulty_backend(f"{LONG_MODEL_AXIS}[interests-B]")
class ProfileOfBlock(FaultyBackend):
    """From B = 129 on, each block of 128 users has the profiles of the first block."""

    def repeat_profile(self, profile: Array, interests: int) -> Array:
        return super().repeat_profile(profile[np.arange(len(profile)) % 128], interests)


@faulty_backend(f"{LONG_MODEL_AXIS}[training-N]")
class DenseFromHalf(FaultyBackend):
    """From a table of 256 rows on, a gradient of more than half of the rows updates all rows."""

    def update_table(
        self,
        name: str,
        state: TrainingState,
        gradient: Any,
        config: Config,
        rate: float,
        epsilon: float,
    ) -> None:
        if isinstance(gradient, RowGradient):
            count = len(state.params[name])
            if count >= 256 and 2 * len(gradient.rows) > count:
                gradient = gradient.dense(count)
        super().update_table(name, state, gradient, config, rate, epsilon)
