"""Small worlds of MIND plus: those of MIND, with weights by age, contexts and dropout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance import strategies
from mindref.models import mind_plus
from mindref.models.mind_plus import Batch, Gradients, Params
from mindref.models.parameters import Catalogue, Layer, Sizes, flatten, flatten_gradients, unflatten
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from tests.models.worlds import POOL, world

OPTIONS: list[dict[str, Any]] = [
    {},
    {"recency": "shared"},
    {"recency": "interests"},
    {"contexts": 1},
    {"contexts": 3, "recency": "interests"},
    {"votes": "items"},
    {"votes": "items", "contexts": 2, "recency": "shared"},
    {"head": "residual"},
    {"head": "residual", "last_relu": True, "contexts": 1},
    {"head": "none"},
    {"head": "none", "votes": "items", "recency": "interests"},
    {"routing": "uniform", "recency": "interests", "contexts": 2},
    {"routing_axis": "behaviours", "recency": "interests", "contexts": 2},
    {"squash": "unit", "recency": "interests", "contexts": 2},
    {"squash": "none", "recency": "shared", "contexts": 1},
    {"interest_count": "fixed", "recency": "interests"},
    {"normalise": True, "temperature": 0.3, "recency": "interests", "contexts": 1},
]
"""Each setting of the family by itself, and with those of MIND that it meets."""

LOSSES: list[dict[str, Any]] = [
    {"attention": "label"},
    {"attention": "label", "power": 3.0},
    {"attention": "mean"},
    {"attention": "pooled", "sharpness": 0.0},
    {"attention": "pooled", "sharpness": 0.5},
    {"attention": "pooled", "sharpness": 1.0},
    {"attention": "pooled", "sharpness": np.inf},
]

LENGTHS = np.array([[17], [0], [5], [1]])
"""Behaviours of users with four interests, none to speak of, two, and one."""


class World(NamedTuple):
    """Everything that a call of the model needs."""

    params: Params
    batch: Batch
    catalogue: Catalogue
    config: Config
    sizes: Sizes


def made(
    seed: int | np.random.Generator,
    axes: tuple[int, int, int, int] = (4, 17, 4, 5),
    mask: Any = None,
    *,
    keep: bool = False,
    **settings: Any,
) -> World:
    """Make a world of B users, L places, K interests and width D; `keep` drops entries."""
    rng = np.random.default_rng(seed)
    settings = {"model": "mind_plus", "window": axes[1], **settings}
    if mask is None and axes[:2] == (4, 17):
        mask = np.arange(17) < LENGTHS
    w = world(rng, axes, mask, **settings)
    factors = None
    if keep:
        stay = rng.random((*axes[:2], axes[3])) >= 0.3
        factors = (stay / 0.7).astype(w.config.dtype)
    params = lively(rng, w.config, w.sizes)
    return World(params, Batch(w.batch, factors), w.catalogue, w.config, w.sizes)


def lively(rng: np.random.Generator, config: Config, sizes: Sizes) -> Params:
    """Return parameters of the size that training reaches, weights by age of no order."""
    params = mind_plus.init(rng, config, sizes)

    def like(x: Array, scale: float = 1.0) -> Array:
        return (scale * rng.standard_normal(x.shape)).astype(config.dtype)

    layers = tuple(Layer(x.weight, like(x.bias, 0.3)) for x in params.layers)
    items, profile, positions = like(params.items), like(params.profile), like(params.positions)
    return Params(items, profile, params.bilinear, positions, layers)


@st.composite
def drawn(draw: st.DrawFn, **settings: Any) -> World:
    """Draw a world: sizes, mask, dropout or none, and one of `OPTIONS`."""
    axes = draw(strategies.distinct_sizes(4, POOL))
    mask = draw(strategies.masks(*axes[:2]))
    chosen = {
        "hidden": draw(st.sampled_from([[9], [], [11, 8]])),
        "iterations": draw(st.integers(1, 4)),
        **draw(st.sampled_from(OPTIONS)),
        **settings,
    }
    assume(axes[3] > 1 or not chosen.get("normalise"))  # of length one is a sign there: steps
    rng = draw(strategies.generators())
    return made(rng, (axes[0], axes[1], axes[2], axes[3]), mask, keep=draw(st.booleans()), **chosen)


def config_of(**changes: Any) -> Config:
    """Return settings of the family in float64."""
    return Config.of("default", {"model": "mind_plus", "dtype": "float64", **changes})


def arrays(params: Params) -> list[Array]:
    """Return every array that is learned."""
    return list(flatten(params).values())


def of_arrays(found: Any, like: Params) -> Params:
    """Return the parameters that `arrays` took apart."""
    params: Params = unflatten(dict(zip(flatten(like), found, strict=True)), Params)
    return params


def dense(gradients: Gradients, params: Params) -> list[Array]:
    """Return gradients as whole arrays, in the order of `arrays`."""
    named = flatten(params)
    return [
        g.dense(len(named[name])) if isinstance(g, RowGradient) else g
        for name, g in flatten_gradients(gradients).items()
    ]


def loss_of(w: World) -> Any:
    return mind_plus.loss(w.params, w.batch, w.catalogue, w.config)[0]


def interests_of(w: World) -> Any:
    histories = w.batch.shared.histories
    keep = w.batch.keep
    return mind_plus.mind_plus_interests(w.params, histories, w.catalogue, w.config, keep=keep)
