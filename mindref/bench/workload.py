"""A synthetic catalogue with batches and users, a function of its settings and the seed.

The settings name a recipe: MIND, the preset recommended, or YouTube DNN.

Item ids follow Zipf's law: the item of rank r (from 1) has probability proportional to 1 / r.
Ranks are assigned to ids at random. Histories have lengths uniform from 1 to `length`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mindref.bench.choices import MODELS
from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.log import Floats, Ragged
from mindref.data.negatives import Sampler, make_sampler
from mindref.models.family import Draw, family_of, settings_without_effect
from mindref.models.logits import draw_logits
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Sizes, catalogue_of_ids
from mindref.presets import PRESETS
from mindref.shapes import Ints

NUM_BATCHES = 8  # used in turn; several, because their sizes differ
TOTAL_COUNT = 1e9  # sum of the item counts
LEARNING_RATE = 1e-6
"""A step takes the same time as with any learning rate, but the batches are not memorised.
After memorisation, coupling weights and probabilities would be about exp(-90). Such subnormal
numbers do not occur in a real training, and some processors need 100 times as long for them."""


@dataclass(frozen=True)
class WorkloadSettings:
    """The sizes of a workload."""

    batch: int = 256  # B
    length: int = 50  # L
    width: int = 64  # D
    interests: int = 4  # K
    iterations: int = 3  # r
    hidden: tuple[int, ...] = (256,)
    negatives: int = 1280  # S
    catalogue: int = 100_000  # N
    power: float = float("inf")  # p of label-aware attention
    users: int = 4096  # in inference, evaluation and recall
    top: int = 100  # n of the top-n lists
    dtype: str = "float32"
    seed: int = 0
    threads: int = 2
    model: str = "mind"  # of choices.MODELS

    @classmethod
    def for_model(cls, model: str, **changes: Any) -> WorkloadSettings:
        """Return the sizes of a recipe with changes; by default, sizes for MIND."""
        config, sizes = recipe_config(model), {}
        if MODELS.index(model) > 0:
            sizes = {name: getattr(config, setting) for name, setting in SIZES.items()}
        return cls(**{**sizes, **changes, "model": model})

    @classmethod
    def of(cls, values: dict[str, Any]) -> WorkloadSettings:
        """Return settings from JSON values."""
        power = float(values["power"])
        return cls(**{**values, "hidden": tuple(values["hidden"]), "power": power})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `power=inf` is written "inf"."""
        values = dataclasses.asdict(self)
        return {**values, "power": "inf" if self.power == float("inf") else self.power}

    def config(self) -> Config:
        """Return the training settings for these sizes. Raises ConfigError."""
        changes = {setting: getattr(self, name) for name, setting in SIZES.items()}
        changes |= {name: getattr(self, name) for name in ("dtype", "seed")}
        changes |= {"learning_rate": LEARNING_RATE, "decay": "none"}
        return recipe_config(self.model, changes)


SIZES = {
    **{x: x for x in ("batch", "width", "interests", "iterations", "hidden", "negatives", "power")},
    "length": "window",
}
"""Size of a workload -> setting of the training."""


def recipe_config(recipe: str, changes: dict[str, Any] | None = None) -> Config:
    """Return the settings of a preset or family with changes. Raises ConfigError."""
    if recipe in PRESETS:
        return Config.of(recipe, changes)
    return Config.of("mind", {"model": recipe, **(changes or {})})


def unused_sizes(config: Config) -> tuple[str, ...]:
    """Return the sizes of `WorkloadSettings` that have no effect on a step with these settings."""
    unused = settings_without_effect(config)
    if not family_of(config.model).routes:
        unused |= {"interests", "iterations", "power"}
    return tuple(name for name in SIZES if name in unused)


class Workload:
    """Catalogue, batches and users; arrays are drawn on first use."""

    def __init__(self, settings: WorkloadSettings) -> None:
        self.settings, self.config = settings, settings.config()
        self.family = family_of(self.config.model)
        self.sizes = Sizes(settings.catalogue, settings.catalogue, 0, 0)

    def generator(self, *purpose: int) -> np.random.Generator:
        """Return a new random generator for a purpose."""
        return np.random.default_rng([self.settings.seed, *purpose])

    def shared_batches(self) -> list[Batch]:
        """Return the batches without the fields that only their family has."""
        return [x if isinstance(x, Batch) else x.shared for x in self.batches]

    @cached_property
    def probabilities(self) -> Floats:
        """Probability of each item (N,)."""
        items = self.settings.catalogue
        ranks = self.generator(0).permutation(items) + 1.0
        return np.asarray(1 / ranks / (1 / ranks).sum())

    @cached_property
    def sampler(self) -> Sampler:
        """Sampler of the negatives, as in training."""
        counts = (self.probabilities * TOTAL_COUNT).astype(np.int64) + 1
        kind, alpha = self.config.sampler, self.config.alpha
        return make_sampler(kind, counts, size=self.settings.negatives, alpha=alpha)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Items without features."""
        return catalogue_of_ids(self.settings.catalogue, self.settings.dtype)

    @cached_property
    def cumulative(self) -> Floats:
        """Cumulative probabilities (N,); the last is 1."""
        sums = np.cumsum(self.probabilities)
        return np.asarray(sums / sums[-1])

    def draw_items(self, rng: np.random.Generator, count: int) -> Ints:
        """Draw items (count,)."""
        return np.searchsorted(self.cumulative, rng.random(count), side="right").astype(np.int64)

    def draw_histories(self, rng: np.random.Generator, rows: int) -> Ragged:
        """Draw the histories of users."""
        lengths = rng.integers(1, self.settings.length + 1, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Ragged(offsets, self.draw_items(rng, int(offsets[-1])))

    def draw_batch(self, number: int) -> Any:
        """Draw a batch of the family, as in training (BatchLoader)."""
        config, rng = self.config, self.generator(1, number)
        sequences = self.draw_histories(rng, config.batch)
        history, mask = pad_histories(sequences, config.window)
        target = self.draw_items(rng, config.batch)
        negatives = self.sampler.draw(rng, target)
        shape = (*history.shape, self.family.num_logits(config))
        logits = draw_logits(rng, shape, config.sigma, config.dtype)
        profile = np.zeros((config.batch, 0), np.int64)
        batch = Batch(
            Histories(history, mask, logits, profile),
            target,
            negatives.ids,
            negatives.target_log_expected.astype(config.dtype),
            negatives.log_expected.astype(config.dtype),
        )
        draw = Draw(rng, np.arange(config.batch), sequences, self.sizes, config)
        return self.family.make_batch(batch, draw)

    @cached_property
    def batches(self) -> tuple[Any, ...]:
        """The batches of the steps."""
        return tuple(self.draw_batch(number) for number in range(NUM_BATCHES))

    @cached_property
    def histories(self) -> Ragged:
        """The histories of the served users."""
        return self.draw_histories(self.generator(2), self.settings.users)

    def params(self) -> Any:
        """Draw initial parameters of the family in new arrays."""
        return self.family.init(self.generator(3), self.config, self.sizes)
