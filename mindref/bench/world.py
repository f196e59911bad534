"""A made-up catalogue with batches and users of it: a function of its settings and the seed.

Item ids follow Zipf's law, the chance of rank r (from 1) proportional to r^-zipf, and popular items
stand anywhere in the table. Ragged histories have 1 to `length` behaviours, all equally likely.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.data.batches import lay_out_histories
from mindref.data.log import Floats, Ragged
from mindref.data.negatives import Sampler, make_sampler
from mindref.models.logits import drawn
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Params, Sizes, catalogue_of_ids, init
from mindref.shapes import Ints

BATCHES = 8  # that a run goes through again and again: more than one, as their sizes differ
COUNTED = 1e9  # events that the counts of items stand for
RATE = 1e-6
"""Learning rate: a step of it costs what any does, and thousands do not learn the batches by heart.
Who has them by heart computes shares of exp(-90), which no training has that sees each batch once:
subnormal numbers, with which some processors take a hundred times as long."""


@dataclass(frozen=True)
class Settings:
    """The sizes of what is timed."""

    batch: int = 256  # B
    length: int = 50  # L
    ragged: bool = True
    width: int = 64  # D
    interests: int = 4  # K
    iterations: int = 3  # r
    hidden: tuple[int, ...] = (256,)
    negatives: int = 1280  # S
    catalogue: int = 100_000  # N
    zipf: float = 1.0
    power: float = float("inf")  # of the attention
    users: int = 4096  # of inference, evaluation and recall
    top: int = 100  # length of the lists
    dtype: str = "float32"
    seed: int = 0
    threads: int = 2

    @classmethod
    def of(cls, words: dict[str, Any]) -> Settings:
        """Return the settings that came through JSON."""
        return cls(**{**words, "hidden": tuple(words["hidden"]), "power": float(words["power"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an infinite power is the word inf."""
        words = dataclasses.asdict(self)
        return {**words, "power": "inf" if self.power == float("inf") else self.power}

    def config(self) -> Config:
        """Return the settings of a training with these sizes. Raises ConfigError."""
        return Config.of(
            "default",
            {
                "batch": self.batch,
                "window": self.length,
                "width": self.width,
                "interests": self.interests,
                "iterations": self.iterations,
                "hidden": self.hidden,
                "negatives": self.negatives,
                "power": self.power,
                "dtype": self.dtype,
                "seed": self.seed,
                "learning_rate": RATE,
                "decay": "none",
            },
        )


class World:
    """Catalogue, batches and users; arrays are made when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.config = settings, settings.config()

    def random(self, *purpose: int) -> np.random.Generator:
        """Return a fresh generator for a purpose."""
        return np.random.default_rng([self.settings.seed, *purpose])

    @cached_property
    def chances(self) -> Floats:
        """The chance of each item (N,)."""
        items = self.settings.catalogue
        ranks = self.random(0).permutation(items) + 1.0
        weights = ranks**-self.settings.zipf
        return np.asarray(weights / weights.sum())

    @cached_property
    def sampler(self) -> Sampler:
        """Who draws the negatives, as in training."""
        counts = (self.chances * COUNTED).astype(np.int64) + 1
        kind, alpha = self.config.sampler, self.config.alpha
        return make_sampler(kind, counts, size=self.settings.negatives, alpha=alpha)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Items that have nothing but their id."""
        return catalogue_of_ids(self.settings.catalogue, self.settings.dtype)

    @cached_property
    def cumulative(self) -> Floats:
        """Sums of the chances (N,), the last one above every random number."""
        sums = np.cumsum(self.chances)
        return np.asarray(sums / sums[-1])

    def items(self, rng: np.random.Generator, count: int) -> Ints:
        """Draw items (count,)."""
        return np.searchsorted(self.cumulative, rng.random(count), side="right").astype(np.int64)

    def ragged(self, rng: np.random.Generator, rows: int) -> Ragged:
        """Draw the behaviours of users."""
        low = 1 if self.settings.ragged else self.settings.length
        lengths = rng.integers(low, self.settings.length + 1, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Ragged(offsets, self.items(rng, int(offsets[-1])))

    def batch(self, number: int) -> Batch:
        """Draw a batch, laid out as `mindref.training.loop` lays it out."""
        config, rng = self.config, self.random(1, number)
        history, mask = lay_out_histories(self.ragged(rng, config.batch), config.window)
        target = self.items(rng, config.batch)
        negatives = self.sampler.draw(rng, target)
        logits = drawn(rng, (*history.shape, config.interests), config.sigma, config.dtype)
        profile = np.zeros((config.batch, 0), np.int64)
        return Batch(
            Histories(history, mask, logits, profile),
            target,
            negatives.ids,
            negatives.target_log_expected.astype(config.dtype),
            negatives.log_expected.astype(config.dtype),
        )

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """What the steps go through."""
        return tuple(self.batch(number) for number in range(BATCHES))

    @cached_property
    def histories(self) -> Ragged:
        """The behaviours of the users who are served."""
        return self.ragged(self.random(2), self.settings.users)

    def params(self) -> Params:
        """Draw initial parameters, in arrays of their own."""
        items = self.settings.catalogue
        return init(self.random(3), self.config, Sizes(items, items, 0, 0))
