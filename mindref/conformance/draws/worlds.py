"""Small whole models that the checks of levels 2 and 3 are fed with, away from every bend.

A world has items with features, some of weight zero; users with and without behaviours; targets in
their own history and among the negatives; repeated negatives; padding with ids that nobody has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance.draws.bends import clear
from mindref.conformance.judging.call import Call
from mindref.conformance.strategies import generators, masks, sizes
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Layer, Params, Sizes, init
from mindref.shapes import Bools, Ints

ITEMS, ROWS, PROFILES = 6, 10, 5
POOL = (1, 2, 3, 5, 4, 6, 7, 17)  # 17 behaviours have four interests
TRIES = 30
"""Worlds that are made from one seed before it is given up: one in five stays clear of bends."""

OPTIONS: tuple[dict[str, Any], ...] = (
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
)
"""Each named option of the model by itself."""


class World(NamedTuple):
    """Everything that a call of levels 2 and 3 needs."""

    params: Params
    batches: tuple[Batch, ...]
    catalogue: Catalogue
    config: Config


@st.composite
def settings(draw: st.DrawFn, /, **fixed: Any) -> dict[str, Any]:
    """Draw layers, rounds, power and gradient, and one of `OPTIONS`, unless they are fixed."""
    drawn = {
        "hidden": draw(st.sampled_from(((9,), (), (11, 8)))),
        "iterations": draw(st.integers(1, 4)),
        "power": draw(st.sampled_from((float("inf"), 2.0, 1.0, 0.5, 0.0))),
        "routing_gradient": draw(st.sampled_from(("all", "last"))),
    }
    return {**drawn, **draw(st.sampled_from(OPTIONS)), **fixed}


@st.composite
def worlds(
    draw: st.DrawFn,
    /,
    *,
    steps: int = 1,
    features: int | None = None,
    pool: tuple[int, ...] = POOL,
    accept: Callable[[World], bool] | None = None,
    **fixed: Any,
) -> World:
    """Draw a world of `steps` batches with `features` of users, that is clear of bends."""
    axes, chosen = draw(sizes(4, pool)), draw(settings(**fixed))
    mask = draw(masks(*axes[:2]))
    count = draw(st.integers(0, 2)) if features is None else features
    return first_accepted(draw(generators()), axes, mask, count, steps, chosen, accept or away)


def first_accepted(rng: np.random.Generator, *parts: Any) -> World:
    """Make worlds until one is accepted; give up the example if none is."""
    *how, accept = parts
    for _ in range(TRIES):
        world = made(rng, *how)
        if accept(world):
            return world
    reject()


def away(world: World) -> bool:
    """Return whether the losses of a world keep their distance from every bend."""
    return all(clear(world.params, b, world.catalogue, world.config) for b in world.batches)


@st.composite
def every_length(draw: st.DrawFn, /, **fixed: Any) -> Call:
    """Draw users with 0 to 17 behaviours, one of each."""
    rng, interests = draw(generators()), draw(st.integers(1, 6))
    mask = np.arange(17) < np.arange(18)[:, None]
    chosen = {**draw(settings()), "iterations": 1, "hidden": (), "power": 0.0, **fixed}
    world = first_accepted(rng, (18, 17, interests, 3), mask, 1, 1, chosen, away)
    return serving_call(world)


def losses(**fixed: Any) -> st.SearchStrategy[Call]:
    """Draw calls for the loss of a batch and its gradients."""
    return worlds(**fixed).map(loss_call)


def servings(**fixed: Any) -> st.SearchStrategy[Call]:
    """Draw calls for the interests of users."""
    return worlds(**fixed).map(serving_call)


def loss_call(world: World) -> Call:
    """Return the question for the loss of the first batch."""
    arrays = {
        "params": world.params,
        "batch": world.batches[0],
        "catalogue": world.catalogue,
    }
    return Call("loss", arrays, {"config": world.config})


def serving_call(world: World) -> Call:
    """Return the question for the interests of the users of the first batch."""
    histories = world.batches[0].histories
    arrays = {"params": world.params, "histories": histories, "catalogue": world.catalogue}
    return Call("interests", arrays, {"config": world.config})


def made(
    rng: np.random.Generator,
    axes: tuple[int, ...],
    mask: Bools,
    features: int,
    steps: int,
    chosen: Mapping[str, Any],
) -> World:
    """Make a world with this mask in its first batch, and permutations of it in the others."""
    fixed = {"interests": axes[2], "width": axes[3], "profile_width": 2, "dtype": "float64"}
    config = Config.of("default", {**fixed, **chosen})
    shapes = Sizes(ITEMS, ROWS, PROFILES if features else 0, features)
    later = (rng.permuted(mask, axis=0) for _ in range(steps - 1))
    batches = tuple(batch(rng, axes, some, features) for some in (mask, *later))
    return World(lively(init(rng, config, shapes), rng), batches, featured(rng), config)


def batch(rng: np.random.Generator, axes: tuple[int, ...], mask: Bools, features: int) -> Batch:
    """Make a batch out of some of the items, so that another batch may miss them."""
    users, length, interests, _ = axes
    known = rng.choice(ITEMS, size=int(rng.integers(2, ITEMS + 1)), replace=False)
    items = np.where(mask, rng.choice(known, mask.shape), rng.choice([-9, 0, 10**6]))
    target = rng.choice(known, users)
    own = items[0][mask[0]]
    target[0] = own[0] if own.size else target[0]
    negatives = rng.choice(known, int(rng.integers(4, 10)))
    negatives[:3] = target[0], negatives[3], negatives[3]
    logits = rng.standard_normal((users, length, interests))
    profile = rng.integers(0, PROFILES, (users, features))
    expected = (rng.standard_normal(n) for n in (users, len(negatives)))
    return Batch(Histories(items, mask, logits, profile), target, negatives, *expected)


def lively(params: Params, rng: np.random.Generator) -> Params:
    """Return parameters of the size that training reaches: unit items, biases beside zero."""
    items, profile = (rng.standard_normal(x.shape) for x in (params.items, params.profile))
    layers = tuple(Layer(x.weight, 0.3 * rng.standard_normal(x.bias.shape)) for x in params.layers)
    return Params(items, profile, params.bilinear, layers)


def featured(rng: np.random.Generator) -> Catalogue:
    """Make a catalogue whose items have one or two values besides their id; a gap weighs zero."""
    rows = np.concatenate(
        [np.arange(ITEMS)[:, None], rng.integers(ITEMS, ROWS, (ITEMS, 2))], axis=1
    )
    second = rng.integers(0, 2, ITEMS)
    weights = rng.uniform(0.5, 1, (ITEMS, 3)) * np.stack(
        [second * 0 + 1, second * 0 + 1, second], 1
    )
    return Catalogue(rows, weights / weights.sum(axis=1, keepdims=True))


def everything_in(one: Batch) -> Batch:
    """Return a batch with every item as a negative once, uncorrected (model-R15)."""
    logs = np.zeros(len(one.target)), np.zeros(ITEMS)
    return Batch(one.histories, one.target, np.arange(ITEMS), *logs)


def rows_of(batch: Batch, catalogue: Catalogue) -> Ints:
    """Return the rows of the item table that a batch looks up, ascending (model-R8, R10)."""
    histories = batch.histories
    ids = np.concatenate([histories.items[histories.mask], batch.target, batch.negatives])
    return np.unique(catalogue.rows[ids][catalogue.weights[ids] != 0])


def against_everything(call: Call) -> Call:
    """Return a call for the loss with every item as a negative once, uncorrected (model-R15)."""
    return call.change(batch=everything_in(call.arrays["batch"]))


def active_interests(call: Call) -> Bools:
    """Return which interests are active, counted in whole numbers (model-R3, R7, R17)."""
    mask, config = call.arrays["histories"].mask, call.numbers["config"]
    counts = [int(n) for n in mask.sum(axis=1)]
    if config.interest_count == "log2":
        counts = [min(config.interests, n.bit_length() - 1) for n in counts]
    else:
        counts = [config.interests if n else 1 for n in counts]
    return np.arange(config.interests) < np.maximum(counts, 1)[:, None]


def with_layers(call: Call, layers: tuple[Layer, ...]) -> Call:
    """Return the same question with other layers."""
    return call.change(params=call.arrays["params"]._replace(layers=layers))


def changed(config: Config, **settings: Any) -> Config:
    """Return the configuration with other settings."""
    return dataclasses.replace(config, **settings)
