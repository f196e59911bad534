"""Negative samplers, with the exact log expected count of each item (specs/data.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from mindref.data.log import Floats, Ints
from mindref.errors import ConfigError, DataError, say

KINDS = ("uniform", "log_uniform", "unigram", "in_batch", "full")


class Negatives(NamedTuple):
    """Negatives, shared by all examples of a batch."""

    ids: Ints  # (S,)
    log_expected: Floats  # (S,) log of the expected count of the id in a set of negatives
    target_log_expected: Floats  # (B,) the same for the targets of the batch


class Sampler(Protocol):
    """Draws negatives for the targets (B,) of a batch. All randomness comes from `rng`."""

    def draw(self, rng: np.random.Generator, targets: Ints) -> Negatives:
        """Return one set of negatives."""


def make_sampler(
    kind: str,
    counts: Ints,
    *,
    size: int,
    alpha: float = 0.75,
    target_probability: Floats | None = None,
) -> Sampler:
    """Build a sampler over the catalogue.

    Spec: data. `counts` (N,) are occurrences in the training sequences. `size` draws with
    replacement make a set (uniform, log_uniform, unigram); in_batch and full have their own size.
    `alpha` >= 0 is unigram's power. `target_probability` (N,) is what in_batch needs, see
    `TrainingExamples.target_probability`. Errors: `ConfigError` for a value outside its range.
    """
    items = len(counts)
    if items < 1 or size < 1:
        raise ConfigError(say("negatives", "at least one item and one draw", f"{items}, {size}"))
    if kind == "full":
        return FullCatalogueSampler(items)
    if kind == "in_batch":
        if target_probability is None:
            raise ConfigError(say("in_batch negatives", "target_probability", "none"))
        return InBatchSampler(target_probability)
    return IndependentSampler(draw_probabilities(kind, counts, alpha), size)


def draw_probabilities(kind: str, counts: Ints, alpha: float = 0.75) -> Floats:
    """Return the probability (N,) of each item in one draw. All are above 0 and sum to 1.

    Spec: data. uniform: 1/N. log_uniform: log((r + 2) / (r + 1)) / log(N + 1) for popularity rank r
    from 0, ties by lower id. unigram: proportional to max(count, 1)^alpha.
    """
    items = len(counts)
    if kind == "uniform":
        return np.full(items, 1 / items)  # data-R51
    if kind == "log_uniform":
        rank = np.empty(items)
        rank[np.argsort(-counts, kind="stable")] = np.arange(items)  # data-R52
        return np.asarray(np.log1p(1 / (rank + 1)) / np.log(items + 1))
    if kind != "unigram":
        raise ConfigError(say("negatives", " or ".join(KINDS), repr(kind)))
    if not 0 <= alpha < np.inf:
        raise ConfigError(say("alpha", "a number of at least 0", alpha))
    # at most 1, so that no power overflows; an item without training data counts once, data-R53
    weight = np.maximum(counts, 1) / np.maximum(counts.max(), 1)
    powered = weight**alpha
    return np.asarray(powered / powered.sum())


class IndependentSampler:
    """`size` independent draws with replacement. Expected count: size * probability."""

    def __init__(self, probabilities: Floats, size: int) -> None:
        self.size = size
        self._cumulative = np.cumsum(probabilities)
        self._cumulative /= self._cumulative[-1]  # ends at exactly 1, above every random number
        self._log_expected = np.log(size) + np.log(probabilities)  # data-R55

    def draw(self, rng: np.random.Generator, targets: Ints) -> Negatives:
        """Draw by inverting the cumulative distribution."""
        ids = np.searchsorted(self._cumulative, rng.random(self.size), side="right")  # data-R54
        ids = ids.astype(np.int64)
        return Negatives(ids, self._log_expected[ids], self._log_expected[targets])  # data-R56


@dataclass(frozen=True)
class InBatchSampler:
    """The targets of the batch are the negatives. Expected count: B * probability."""

    target_probability: Floats  # (N,)

    def draw(self, rng: np.random.Generator, targets: Ints) -> Negatives:
        """Return the targets. Nothing is drawn."""
        probability = self.target_probability[targets]
        if not (probability > 0).all():
            raise DataError(say("in_batch negatives", "targets that can be drawn", "another item"))
        expected = np.log(len(targets)) + np.log(probability)
        return Negatives(targets.copy(), expected, expected.copy())  # data-R57


@dataclass(frozen=True)
class FullCatalogueSampler:
    """Every item of the catalogue once: full softmax. The log expected count is 0."""

    items: int

    def draw(self, rng: np.random.Generator, targets: Ints) -> Negatives:
        """Return every id. Nothing is drawn."""
        ids = np.arange(self.items, dtype=np.int64)
        return Negatives(ids, np.zeros(self.items), np.zeros(len(targets)))  # data-R58
