"""Small worlds to test on: a family, parameters, a batch, a catalogue with features, settings."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance import strategies
from mindref.models import din, maxmf, mind, mind_plus, parameters, youtube_dnn
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Catalogue, Sizes, flatten, flatten_gradients, unflatten
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array

ITEMS, ROWS, NEGATIVES, MAXMF_USERS = 6, 10, 9, 4
POOL = (1, 2, 3, 5, 4, 6, 7, 17)  # 17 behaviours have four interests
LENGTHS = np.array([[17], [0], [5], [1]])
"""Behaviours of users with four interests, none to speak of, two, and one."""

LOSS_OPTIONS: list[dict[str, Any]] = [
    {},
    {"last_relu": True},
    {"temperature": 0.5},
    {"normalise": True, "temperature": 0.3},
]
"""Each setting that YouTube DNN reads, by itself."""

OPTIONS: list[dict[str, Any]] = [
    {},
    {"routing": "uniform"},
    {"routing_axis": "behaviours"},
    {"squash": "unit"},
    {"squash": "none"},
    {"interest_count": "fixed"},
    {"attention": "mean"},
    *LOSS_OPTIONS[1:],
]
"""Each named option of MIND by itself."""

PLUS_OPTIONS: list[dict[str, Any]] = [
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
"""Each setting of MIND plus by itself, and with those of MIND that it meets."""

PLUS_LOSSES: list[dict[str, Any]] = [
    {"attention": "label"},
    {"attention": "label", "power": 3.0},
    {"attention": "mean"},
    *({"attention": "pooled", "sharpness": x} for x in (0.0, 0.5, 1.0, np.inf)),
]
DIN_OPTIONS: list[dict[str, Any]] = [
    {},
    {"product": True},
    {"normalise_attention": True},
    {"attention_hidden": (), "hidden": ()},
]


class World(NamedTuple):
    """A family of models, and everything that a call of it needs."""

    params: Any
    batch: Any
    catalogue: Catalogue
    config: Any
    sizes: Sizes
    family: ModuleType = mind

    @property
    def shared(self) -> Any:
        """The part of a batch that all families but DIN share."""
        return getattr(self.batch, "shared", self.batch)

    @property
    def histories(self) -> mind.Histories:
        histories: mind.Histories = self.shared.histories
        return histories

    def loss(self, *args: Any, **options: Any) -> tuple[Any, Any]:
        """Return the loss, and what is saved for backward."""
        given_ = (self.params, self.batch, self.catalogue, self.config)
        loss: tuple[Any, Any] = self.family.loss(*given_, *args, **options)
        return loss

    def gradients(self, **options: Any) -> Any:
        """Return the gradients of the loss, tables as rows."""
        return self.family.backward(self.loss(**options)[1])

    def dense(self, gradients: Any) -> dict[str, Array]:
        """Return gradients as whole arrays under the names of the parameters."""
        named = flatten(self.params)
        return {
            name: g.dense(len(named[name])) if isinstance(g, RowGradient) else g
            for name, g in flatten_gradients(gradients).items()
        }

    def interests(self, **options: Any) -> tuple[Any, Any, Any]:
        """Return the vectors of the users, which of them are active, and what is saved."""
        calls = {mind: "interests", mind_plus: "mind_plus_interests", youtube_dnn: "user_vectors"}
        if self.family is mind_plus:
            options = {"keep": self.batch.keep, **options}
        given_ = (self.params, self.histories, self.catalogue, self.config)
        found: tuple[Any, Any, Any] = getattr(self.family, calls[self.family])(*given_, **options)
        return found

    def with_params(self, **changes: Any) -> World:
        return self._replace(params=self.params._replace(**changes))

    def with_config(self, **changes: Any) -> World:
        return self._replace(config=dataclasses.replace(self.config, **changes))

    def with_shared(self, **changes: Any) -> World:
        """Return the world with other arrays of the batch that all families share."""
        shared = self.shared._replace(**changes)
        return self._replace(
            batch=self.batch._replace(shared=shared) if self.shared is not self.batch else shared
        )

    def with_histories(self, **changes: Any) -> World:
        return self.with_shared(histories=self.histories._replace(**changes))

    def arrays(self) -> list[Array]:
        """Return every array of parameters and batch."""
        rest = [x for x in [*self.shared, *self.batch] if isinstance(x, np.ndarray)]
        return [*flatten(self.params).values(), *self.histories, *rest]


def world(
    rng: np.random.Generator, axes: tuple[int, ...], mask: Any = None, **settings: Any
) -> World:
    """Make a world of B users, L positions, K interests and width D, of MIND.

    Six items serve histories, targets and negatives, so that items repeat in a history, targets
    stand in their own history and among the negatives, and negatives repeat. Features of items
    have weights, some of them zero. Padded positions hold ids that no catalogue has.
    """
    b, l, k, d = axes  # noqa: E741  # the axis letters of specs/notation.md
    plain = {"interests": k, "width": d, "dtype": "float64", "profile_width": 2, "hidden": [9]}
    config = Config.of("mind", {**plain, **settings})
    sizes = Sizes(ITEMS, ROWS, profile_rows=5, profile_features=2)
    items, mask = draw_histories(rng, b, l, mask)
    target = rng.integers(0, ITEMS, b)
    if mask[0].any():
        target[0] = items[0][mask[0]][0]
    negatives = rng.integers(0, ITEMS, NEGATIVES)
    negatives[:3] = target[0], negatives[4], negatives[4]
    logs = [rng.standard_normal(n).astype(config.dtype) for n in (b, NEGATIVES)]
    logits = rng.standard_normal((b, l, k)).astype(config.dtype)
    histories = mind.Histories(items, mask, logits, rng.integers(0, 5, (b, 2)))
    batch = mind.Batch(histories, target, negatives, *logs)
    params = lively(rng, parameters.init(rng, config, sizes))
    return World(params, batch, featured(rng, config.dtype), config, sizes)


def draw_histories(rng: np.random.Generator, b: int, l: int, mask: Any) -> tuple[Any, Any]:  # noqa: E741
    """Return items (B, L) and their mask, which is drawn unless it is known."""
    if mask is None:
        mask = np.arange(l) < rng.integers(0, l + 1, b)[:, None]
    return np.where(mask, rng.integers(0, ITEMS, (b, l)), rng.choice([-9, 10**6])), mask


def lively(rng: np.random.Generator, params: Any) -> Any:
    """Return parameters of the size that training reaches: unit items, biases beside zero."""
    named = dict(flatten(params))
    for name, x in named.items():
        if name in ("items", "profile", "positions") or name.endswith("bias"):
            scale = 0.3 if name.endswith("bias") else 1.0
            named[name] = (scale * rng.standard_normal(x.shape)).astype(x.dtype)
    return unflatten(named, type(params))


def featured(rng: np.random.Generator, dtype: str) -> Catalogue:
    """Return a catalogue whose items have one or two feature values besides their id."""
    features = rng.integers(ITEMS, ROWS, (ITEMS, 2))
    rows = np.concatenate([np.arange(ITEMS)[:, None], features], axis=1)
    second = rng.uniform(0.5, 1, (ITEMS, 3)) * [1, 1, 0]
    weights = second + rng.integers(0, 2, (ITEMS, 1)) * [0, 0, 1]
    return Catalogue(rows, (weights / weights.sum(axis=1, keepdims=True)).astype(dtype))


def plus_world(
    seed: int | np.random.Generator,
    axes: tuple[int, ...] = (4, 17, 4, 5),
    mask: Any = None,
    *,
    keep: bool = False,
    **settings: Any,
) -> World:
    """Make a world of MIND plus; `keep` drops entries."""
    rng = np.random.default_rng(seed)
    settings = {"model": "mind_plus", "window": axes[1], **settings}
    if mask is None and axes[:2] == (4, 17):
        mask = np.arange(17) < LENGTHS
    w = world(rng, axes, mask, **settings)
    factors = None
    if keep:
        stay = rng.random((*axes[:2], axes[3])) >= 0.3
        factors = (stay / 0.7).astype(w.config.dtype)
    params = lively(rng, mind_plus.init(rng, w.config, w.sizes))
    return w._replace(params=params, batch=mind_plus.Batch(w.batch, factors), family=mind_plus)


def plus_config(**changes: Any) -> Config:
    """Return settings of MIND plus in float64."""
    return Config.of("mind", {"model": "mind_plus", "dtype": "float64", **changes})


def youtube_world(
    seed: int | np.random.Generator,
    axes: tuple[int, ...],
    mask: Any = None,
    *,
    recency: bool = True,
    **settings: Any,
) -> World:
    """Make a world of B users, L positions and width D, with log weights or without."""
    rng = np.random.default_rng(seed)
    w = world(rng, (*axes[:2], 2, axes[2]), mask, **settings)
    positions = rng.standard_normal((int(recency), axes[1])).astype(w.config.dtype)
    params = youtube_dnn.Params(w.params.items, w.params.profile, positions, w.params.layers)
    return w._replace(params=params, family=youtube_dnn)


def maxmf_world(
    rng: np.random.Generator, axes: tuple[int, ...], mask: Any = None, **plain: Any
) -> World:
    """Make a world of B pairs, L positions, K interests, width D; it repeats what MIND's does."""
    w = world(rng, axes, mask, **plain)
    shapes = (ROWS, axes[3]), (MAXMF_USERS * axes[2], axes[3])
    params = maxmf.Params(*(rng.standard_normal(x).astype(w.config.dtype) for x in shapes))
    batch = maxmf.Batch(w.batch, rng.integers(0, MAXMF_USERS, axes[0]))
    return w._replace(params=params, batch=batch, family=maxmf)


def din_world(
    rng: np.random.Generator, axes: tuple[int, ...] = (3, 5, 4), mask: Any = None, **settings: Any
) -> World:
    """Make a world of B users, L positions and M candidates; items as in `world`."""
    b, l, m = axes  # noqa: E741  # the axis letters of specs/notation.md
    small = {"width": 4, "profile_width": 2, "attention_hidden": (6, 3), "hidden": (7, 5)}
    config = DinConfig(**{**small, "dtype": "float64", **settings})
    sizes = Sizes(ITEMS, ROWS, profile_rows=5, profile_features=2)
    items, mask = draw_histories(rng, b, l, mask)
    logits = np.zeros((b, l, 0), config.dtype)
    histories = mind.Histories(items, mask, logits, rng.integers(0, 5, (b, 2)))
    batch = din.Batch(histories, rng.integers(0, ITEMS, (b, m)), rng.random((b, m)) < 0.4)
    params = lively(rng, din.init(rng, config, sizes))
    return World(params, batch, featured(rng, config.dtype), config, sizes, din)


HIDDEN = st.sampled_from([[9], [], [11, 8]])


@st.composite
def worlds(draw: st.DrawFn, **settings: Any) -> World:
    """Draw a world of MIND: sizes, mask and one of `OPTIONS`, unless `settings` say otherwise."""
    axes = draw(strategies.distinct_sizes(4, POOL))
    mask = draw(strategies.masks(*axes[:2]))
    drawn = {"hidden": draw(HIDDEN), "iterations": draw(st.integers(1, 4))}
    chosen = {**drawn, **draw(st.sampled_from(OPTIONS)), **settings}
    return world(draw(strategies.generators()), axes, mask, **chosen)


@st.composite
def youtube_worlds(draw: st.DrawFn, **settings: Any) -> World:
    """Draw a world of YouTube DNN, with and without log weights."""
    axes = draw(strategies.distinct_sizes(3, POOL))
    mask = draw(strategies.masks(*axes[:2]))
    chosen = {"hidden": draw(HIDDEN), **draw(st.sampled_from(LOSS_OPTIONS)), **settings}
    assume(axes[2] > 1 or not chosen.get("normalise"))  # of length one is a sign there: steps
    rng = draw(strategies.generators())
    return youtube_world(rng, axes, mask, recency=draw(st.booleans()), **chosen)


@st.composite
def maxmf_worlds(draw: st.DrawFn, **plain: Any) -> World:
    """Draw a world of MaxMF: sizes and mask."""
    axes = draw(strategies.distinct_sizes(4, (2, 1, 3, 5, 4, 6, 7, 8)))
    mask = draw(strategies.masks(*axes[:2]))
    return maxmf_world(draw(strategies.generators()), axes, mask, **plain)
