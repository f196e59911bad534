"""Users small enough to take every derivative of, in all settings that change the computation."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Sizes, init
from mindref.study.models.study_model import choose_user, open_study_model, sample_pair
from mindref.study.tracing import TrainingPair

SETTINGS: dict[str, dict[str, Any]] = {
    "paper": {"power": 2.0, "last_relu": True, "iterations": 3},
    "default": {"iterations": 4},
    "behaviours": {"routing_axis": "behaviours", "power": 1.0},
    "unit": {"squash": "unit", "power": 0.5, "normalise": True, "temperature": 0.3},
    "uniform": {"routing": "uniform", "attention": "mean"},
    "one_round": {"iterations": 1, "power": 3.0, "squash": "none"},
}


def make_small_pair(
    seed: int = 0, pads: int = 0, scale: float = 2.0, **changes: Any
) -> TrainingPair:
    """Return a user with nine behaviours, a profile of two features and items of two fields."""
    settings = {"interests": 3, "width": 4, "hidden": (7,), "profile_width": 2, "sigma": 1.0}
    config = Config.of("default", {**settings, "dtype": "float64", **changes})
    rng = np.random.default_rng(seed)
    params = init(rng, config, Sizes(items=30, item_rows=35, profile_rows=6, profile_features=2))
    layers = tuple(
        layer._replace(bias=rng.standard_normal(layer.bias.shape) / 4) for layer in params.layers
    )
    params = params._replace(items=scale * params.items, layers=layers)
    rows = np.stack([np.arange(30), 30 + np.arange(30) % 5], axis=1)
    catalogue = Catalogue(rows, np.full((30, 2), 0.5))
    length = 9 + pads
    histories = Histories(
        rng.integers(0, 30, (1, length)),
        np.arange(length)[None] < 9,
        rng.standard_normal((1, length, config.interests)),
        np.array([[1, 4]]),
    )
    target = np.array([3])
    negatives = np.array([5, 3, 8, 8, 20, 11])  # a hit, and one drawn twice
    logs = rng.standard_normal(1), rng.standard_normal(6)
    return TrainingPair(params, Batch(histories, target, negatives, *logs), catalogue, config)


def make_built_in_pair() -> TrainingPair:
    """Return the pair of the user with the median length in the built-in model."""
    study_model = open_study_model()
    model = study_model.model
    batch = sample_pair(study_model, choose_user(study_model, "median").user).batch
    return TrainingPair(model.params, batch, model.catalogue, model.config)
