"""Small computations to trace: made-up parameters, one user, one training pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.parameters import Sizes, catalogue_of_ids, init
from mindref.study.tracing import TrainingPair

DEFAULT_SETTINGS: dict[str, Any] = {
    "interests": 4,
    "width": 8,
    "iterations": 3,
    "hidden": (12,),
    "power": 2.0,
    "sigma": 1.0,
    "profile_width": 3,
    "routing_gradient": "all",
}


def make_random_pair(
    seed: int = 0,
    *,
    length: int = 9,
    pads: int = 0,
    items: int = 30,
    users: int = 1,
    **changes: Any,
) -> TrainingPair:
    """Return a training pair of made-up numbers; negative 0 of the batch is an accidental hit."""
    rng = np.random.default_rng(seed)
    dtype = changes.get("dtype", "float64")
    config = Config.of("default", {**DEFAULT_SETTINGS, "dtype": "float64", **changes})
    shape = (users, length + pads)
    mask = np.broadcast_to(np.arange(length + pads) < length, shape)
    histories = mind.Histories(
        rng.integers(0, items, shape),
        mask,
        (config.sigma * rng.standard_normal((*shape, config.interests))).astype(dtype),
        rng.integers(0, 5, (users, 2)),
    )
    negatives = rng.integers(0, items, 6)
    batch = mind.Batch(
        histories,
        np.full(users, negatives[0]),
        negatives,
        np.zeros(users, dtype),
        np.log(rng.uniform(0.1, 2, 6)).astype(dtype),
    )
    params = init(rng, config, Sizes(items, items, 5, 2))
    return TrainingPair(params, batch, catalogue_of_ids(items, dtype), config)


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
