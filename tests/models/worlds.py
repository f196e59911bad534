"""Small whole models to test on: parameters, a batch, a catalogue with item features, settings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance import strategies
from mindref.models import mind, parameters
from mindref.models.parameters import Catalogue, Layer, Params, Sizes

ITEMS, ROWS, NEGATIVES = 6, 10, 9
POOL = (1, 2, 3, 5, 4, 6, 7, 17)  # 17 behaviours have four interests

OPTIONS: list[dict[str, Any]] = [
    {},
    {"routing": "uniform"},
    {"routing_axis": "behaviours"},
    {"squash": "unit"},
    {"squash": "none"},
    {"interest_count": "fixed"},
    {"attention": "mean"},
    {"last_relu": True},
    {"temperature": 0.5},
    {"normalise": True, "temperature": 0.3},
]
"""Each named option of the model by itself."""


class World(NamedTuple):
    """Everything that a call of the model needs."""

    params: Params
    batch: mind.Batch
    catalogue: Catalogue
    config: Config
    sizes: Sizes


def world(
    rng: np.random.Generator, axes: tuple[int, ...], mask: Any = None, **settings: Any
) -> World:
    """Make a world of B users, L places, K interests and width D.

    Six items serve histories, targets and negatives, so that items repeat in a history, targets
    stand in their own history and among the negatives, and negatives repeat. Features of items
    have weights, some of them zero. Padded places hold ids that no catalogue has.
    """
    b, l, k, d = axes  # noqa: E741  # the axis letters of specs/notation.md
    plain = {"interests": k, "width": d, "dtype": "float64", "profile_width": 2, "hidden": [9]}
    config = Config.of("default", {**plain, **settings})
    sizes = Sizes(ITEMS, ROWS, profile_rows=5, profile_features=2)
    if mask is None:
        mask = np.arange(l) < rng.integers(0, l + 1, b)[:, None]
    items = np.where(mask, rng.integers(0, ITEMS, (b, l)), rng.choice([-9, 10**6]))
    target = rng.integers(0, ITEMS, b)
    if mask[0].any():
        target[0] = items[0][mask[0]][0]
    negatives = rng.integers(0, ITEMS, NEGATIVES)
    negatives[:3] = target[0], negatives[4], negatives[4]
    logs = [rng.standard_normal(n).astype(config.dtype) for n in (b, NEGATIVES)]
    logits = rng.standard_normal((b, l, k)).astype(config.dtype)
    histories = mind.Histories(items, mask, logits, rng.integers(0, 5, (b, 2)))
    batch = mind.Batch(histories, target, negatives, *logs)
    return World(lively(rng, config, sizes), batch, featured(rng, config), config, sizes)


def lively(rng: np.random.Generator, config: Config, sizes: Sizes) -> Params:
    """Return parameters of the size that training reaches: unit items, biases beside zero."""
    params = parameters.init(rng, config, sizes)
    items, profile = (
        rng.standard_normal(x.shape).astype(config.dtype) for x in (params.items, params.profile)
    )
    layers = tuple(
        Layer(x.weight, (0.3 * rng.standard_normal(x.bias.shape)).astype(config.dtype))
        for x in params.layers
    )
    return Params(items, profile, params.bilinear, layers)


def featured(rng: np.random.Generator, config: Config) -> Catalogue:
    """Return a catalogue whose items have one or two feature values besides their id."""
    features = rng.integers(ITEMS, ROWS, (ITEMS, 2))
    rows = np.concatenate([np.arange(ITEMS)[:, None], features], axis=1)
    weights = rng.uniform(0.5, 1, (ITEMS, 3)) * [1, 1, 0] + rng.integers(0, 2, (ITEMS, 1)) * [
        0,
        0,
        1,
    ]
    return Catalogue(rows, (weights / weights.sum(axis=1, keepdims=True)).astype(config.dtype))


@st.composite
def worlds(draw: st.DrawFn, **settings: Any) -> World:
    """Draw a world: sizes, mask and one of `OPTIONS`, unless `settings` say otherwise."""
    axes = draw(strategies.distinct_sizes(4, POOL))
    mask = draw(strategies.masks(*axes[:2]))
    hidden = draw(st.sampled_from([[9], [], [11, 8]]))
    rounds = draw(st.integers(1, 4))
    option = draw(st.sampled_from(OPTIONS))
    chosen = {"hidden": hidden, "iterations": rounds, **option, **settings}
    return world(draw(strategies.generators()), axes, mask, **chosen)
