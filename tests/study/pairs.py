"""Training pairs with random parameters, and the settings that change a computation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Sizes, init
from mindref.shapes import Array
from mindref.study.models.study_model import StudyModel
from mindref.study.traced_user import open_traced_user
from mindref.study.tracing import TrainingPair

TARGET = 7
SETTINGS: dict[str, dict[str, Any]] = {
    "paper": {"power": 2.0, "last_relu": True, "iterations": 3},
    "default": {"iterations": 4},
    "behaviours": {"routing_axis": "behaviours", "power": 1.0},
    "unit": {"squash": "unit", "power": 0.5, "normalise": True, "temperature": 0.3},
    "uniform": {"routing": "uniform", "attention": "mean"},
    "one_round": {"iterations": 1, "power": 3.0, "squash": "none"},
}

VARIED: dict[str, dict[str, Any]] = {
    "plain": {},
    "padded": {"pads": 3},
    "normalised": {"normalise": True},
    "last round only": {"routing_gradient": "last"},
    "softmax over behaviours": {"routing_axis": "behaviours"},
    "unit": {"squash": "unit"},
    "no squash": {"squash": "none"},
    "mean of interests": {"attention": "mean"},
    "best interest alone": {"power": float("inf")},
    "no power": {"power": 0.0},
    "odd power": {"power": 0.5},
    "all rectified": {"last_relu": True},
    "one layer": {"hidden": ()},
    "three layers": {"hidden": (5, 7)},
    "uniform": {"routing": "uniform"},
    "one round": {"iterations": 1},
    "one interest": {"interests": 1},
    "all interests": {"interest_count": "fixed"},
    "one behaviour": {"length": 1},
    "temperature": {"temperature": 0.3},
    "sum of scores": {"score": "sum"},
    "sum of cosines": {"score": "sum", "normalise": True},
    "large catalogue": {"items": 300},
    "logits of zero": {"sigma": 0.0},
    "uniform negatives": {"sampler": "uniform"},
    "whole catalogue": {"loss": "full"},
}
"""Every setting that changes which steps there are or what they say."""


def make_pair(
    seed: int,
    *,
    length: int = 9,
    pads: int = 0,
    items: int = 30,
    users: int = 1,
    num_negatives: int = 6,
    profile_features: int = 2,
    item_fields: int = 1,
    scale: float = 1.0,
    **changes: Any,
) -> TrainingPair:
    """Return a pair with one negative that is a hit and one negative drawn twice.

    scale: factor of the item vectors; changes: settings.
    """
    rng = np.random.default_rng(seed)
    config = Config.of("mind", {"dtype": "float64", "sigma": 1.0, **changes})

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(config.dtype)

    params = init(rng, config, Sizes(items, items + 5, 6, profile_features))
    layers = tuple(x._replace(bias=draw(*x.bias.shape) / 4) for x in params.layers)
    params = params._replace(items=params.items * np.array(scale, config.dtype), layers=layers)
    shape = (users, length + pads)
    histories = Histories(
        rng.integers(0, items, shape),
        np.broadcast_to(np.arange(length + pads) < length, shape),
        draw(*shape, config.interests) * np.array(config.sigma, config.dtype),
        rng.integers(0, 6, (users, profile_features)),
    )
    negatives = rng.integers(0, items, num_negatives)
    negatives[:3] = TARGET, negatives[3], negatives[3]
    batch = Batch(histories, np.full(users, TARGET), negatives, draw(users), draw(num_negatives))
    rows = np.stack([np.arange(items), items + np.arange(items) % 5], axis=1)[:, :item_fields]
    catalogue = Catalogue(rows, np.full(rows.shape, 1 / item_fields, config.dtype))
    return TrainingPair(params, batch, catalogue, config)


def make_random_pair(seed: int = 0, **changes: Any) -> TrainingPair:
    """Return a pair whose items have no features."""
    settings = {"interests": 4, "width": 8, "iterations": 3, "hidden": (12,), "power": 2.0}
    routing = {"profile_width": 3, "routing_gradient": "all"}
    return make_pair(seed, **{**settings, **routing, **changes})


def make_small_pair(seed: int = 0, pads: int = 0, **changes: Any) -> TrainingPair:
    """Return a pair that is small enough to take every derivative of."""
    settings = {"interests": 3, "width": 4, "hidden": (7,), "profile_width": 2, "scale": 2.0}
    return make_pair(seed, pads=pads, item_fields=2, **{**settings, **changes})


def change_settings(study_model: StudyModel, **changes: Any) -> StudyModel:
    config = replace(study_model.model.config, **changes)
    return study_model._replace(model=study_model.model._replace(config=config))


def make_built_in_pair() -> TrainingPair:
    """Return the pair of the user with the median length in the built-in model."""
    return open_traced_user(None).pair
