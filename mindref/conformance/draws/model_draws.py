"""Draw small models and batches, for checks of backend levels 2 (model) and 3 (training).

The models are those of MIND, or of another family if the setting `model` is fixed.

Losses are differentiable. Items have features, some of weight 0. Some users have no behaviours.
Some targets occur in the history and among the negatives. Negatives repeat. Item ids in padded
positions need not be in the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance.draws.additions import ADDITIONS
from mindref.conformance.draws.nondifferentiable import is_differentiable
from mindref.conformance.runner.call import Call
from mindref.conformance.strategies import (
    Sizes,
    distinct_sizes,
    generators,
    masks,
    most_positions,
    share_strategy,
)
from mindref.data.log import Ragged
from mindref.models.family import Draw, family_of
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Layer
from mindref.models.parameters import Sizes as TableSizes
from mindref.shapes import Bools, Ints

ITEMS, FEATURE_ROWS, PROFILES = 6, 4, 5
POOL = (1, 2, 3, 5, 4, 6, 7, 17)  # 17 behaviours give up to four active interests (log2)
TRIES = 30
"""Hypothesis rejects an example after this number of rejected models."""

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
"""Settings to draw: the defaults, or one or two settings that differ from the defaults."""

SMOOTH: dict[str, Any] = {
    "hidden": (),
    "power": 1.0,
    "iterations": 2,
    "epsilon": 0.1,
    "temperature": 1.0,
}
"""Settings for which the loss has a derivative everywhere, except at a score of 0."""


class ModelCase(NamedTuple):
    """The inputs of a model or training call: parameters, batches, catalogue and configuration."""

    params: Any  # of the family
    batches: tuple[Any, ...]
    catalogue: Catalogue
    config: Config


@st.composite
def draw_settings(draw: st.DrawFn, /, **fixed: Any) -> dict[str, Any]:
    """Draw the settings of a model; settings in `fixed` replace drawn settings."""
    draw_additions = ADDITIONS.get(fixed.get("model", ""))
    additions = draw(draw_additions(**fixed)) if draw_additions else {}
    drawn = {
        "hidden": draw(st.sampled_from(((9,), (), (11, 8)))),
        "iterations": draw(st.integers(1, 4)),
        "power": draw(st.sampled_from((float("inf"), 2.0, 1.0, 0.5, 0.0))),
        "routing_gradient": draw(st.sampled_from(("all", "last"))),
    }
    return {**drawn, **draw(st.sampled_from(OPTIONS)), **additions, **fixed}


@share_strategy
@st.composite
def draw_models(
    draw: st.DrawFn,
    /,
    *,
    steps: int = 1,
    features: int | None = None,
    pool: tuple[int, ...] = POOL,
    sizes: Sizes = None,
    items: int = ITEMS,
    accept: Callable[[ModelCase], bool] | None = None,
    **fixed: Any,
) -> ModelCase:
    """Draw a model and `steps` batches, with `features` user features, that `accept` accepts.

    sizes: of the axes B, L, K, D; then most positions are behaviours. items: the number of items.
    """
    axes, chosen = sizes or draw(distinct_sizes(4, pool)), draw(draw_settings(**fixed))
    mask = None if sizes else draw(masks(*axes[:2]))
    count, rng = draw(st.integers(0, 2)) if features is None else features, draw(generators())
    mask = most_positions(rng, *axes[:2]) if mask is None else mask
    model_draw = ModelDraw(axes, mask, features=count, steps=steps, settings=chosen, items=items)
    return first_accepted(rng, model_draw._replace(accept=accept or losses_are_differentiable))


def losses_are_differentiable(world: ModelCase) -> bool:
    """Return whether the loss of each batch is differentiable at the parameters and near them."""
    params, batches, catalogue, config = world
    return all(is_differentiable(params, batch, catalogue, config) for batch in batches)


class ModelDraw(NamedTuple):
    """What a drawn model and its batches must have."""

    axes: tuple[int, ...]  # sizes of B, L, K, D
    mask: Bools  # (B, L) of the first batch; later batches have shuffled columns
    features: int  # number of user features
    steps: int  # number of batches
    settings: Mapping[str, object]
    items: int = ITEMS
    accept: Callable[[ModelCase], bool] = losses_are_differentiable


def first_accepted(rng: np.random.Generator, model_draw: ModelDraw) -> ModelCase:
    """Draw up to `TRIES` models; return the first accepted model, or reject the example."""
    for _ in range(TRIES):
        world = build_case(rng, model_draw)
        if model_draw.accept(world):
            return world
    reject()


@st.composite
def every_history_length(draw: st.DrawFn, /, **fixed: Any) -> Call:
    """Draw a call that computes the interests of 18 users with 0, 1, ..., 17 behaviours."""
    rng, interests = draw(generators()), draw(st.integers(1, 6))
    mask = np.arange(17) < np.arange(18)[:, None]
    chosen = {**draw(draw_settings()), "iterations": 1, "hidden": (), "power": 0.0, **fixed}
    axes = (18, 17, interests, 3)
    model_draw = ModelDraw(axes, mask, features=1, steps=1, settings=chosen)
    return serving_call(first_accepted(rng, model_draw))


@st.composite
def long_history_lengths(draw: st.DrawFn) -> Call:
    """Draw a call that computes the interests of users with up to 513 behaviours.

    For K = 10, the lengths are the powers of two from 1 to 512, their neighbours, and 0 and 300.
    """
    lengths = sorted({0, 300, *(2**k + n for k in range(10) for n in (-1, 0, 1))})
    mask = np.arange(lengths[-1]) < np.array(lengths)[:, None]
    settings = {"hidden": (), "power": 0.0, "iterations": 1, "interest_count": "log2"}
    model_draw = ModelDraw(
        (*mask.shape, 10, 2),
        mask,
        features=0,
        steps=1,
        settings=settings,
        accept=lambda world: True,
    )
    return serving_call(first_accepted(draw(generators()), model_draw))


@share_strategy
def loss_calls(**fixed: Any) -> st.SearchStrategy[Call]:
    """Draw calls that compute the loss of a batch and its gradients."""
    return draw_models(**fixed).map(loss_call)


@share_strategy
def serving_calls(**fixed: Any) -> st.SearchStrategy[Call]:
    """Draw calls that compute the interests of users."""
    return draw_models(**fixed).map(serving_call)


def loss_call(world: ModelCase) -> Call:
    """Return the call that computes the loss of the first batch of `world`."""
    params, (batch, *_), catalogue, _ = world
    arrays = {"params": params, "batch": batch, "catalogue": catalogue}
    return Call("loss", arrays, {"config": world.config})


def serving_call(world: ModelCase) -> Call:
    """Return the call that computes the interests of the users in the first batch of `world`."""
    (batch, *_) = world.batches
    histories = getattr(batch, "shared", batch).histories
    arrays = {"params": world.params, "histories": histories, "catalogue": world.catalogue}
    return Call("interests", arrays, {"config": world.config})


def build_case(rng: np.random.Generator, model_draw: ModelDraw) -> ModelCase:
    """Return a model and its batches, which need not be accepted."""
    axes, features, items = model_draw.axes, model_draw.features, model_draw.items
    fixed = {"interests": axes[2], "width": axes[3], "profile_width": 2, "dtype": "float64"}
    config = Config.of("mind", {**fixed, **model_draw.settings})
    shapes = TableSizes(items, items + FEATURE_ROWS, PROFILES if features else 0, features)
    later = (rng.permuted(model_draw.mask, axis=0) for _ in range(model_draw.steps - 1))
    batches = tuple(
        build_batch(rng, axes, batch_mask, features, items)
        for batch_mask in (model_draw.mask, *later)
    )
    family = family_of(config.model)
    params = trained_scale_params(family.init(rng, config, shapes), rng)
    catalogue = build_catalogue(rng, items)
    no_rows = np.zeros(0, np.int64)  # no drawn family reads training rows
    source = Draw(rng, no_rows, Ragged.of([]), shapes, config)
    return ModelCase(
        params, tuple(family.make_batch(batch, source) for batch in batches), catalogue, config
    )


def build_batch(
    rng: np.random.Generator, axes: tuple[int, ...], mask: Bools, features: int, count: int
) -> Batch:
    """Return a batch that uses a random subset of the items. count: the number of items."""
    users, length, interests, _ = axes
    ids = rng.choice(count, size=int(rng.integers(2, count + 1)), replace=False)
    items = np.where(mask, rng.choice(ids, mask.shape), rng.choice([-9, 0, 10**6]))
    target = rng.choice(ids, users)
    history = items[0][mask[0]]
    target[0] = history[0] if history.size else target[0]
    negatives = rng.choice(ids, int(rng.integers(4, count + 4)))
    negatives[:3] = target[0], negatives[3], negatives[3]
    logits = rng.standard_normal((users, length, interests))
    profile = rng.integers(0, PROFILES, (users, features))
    expected = (rng.standard_normal(n) for n in (users, len(negatives)))
    return Batch(Histories(items, mask, logits, profile), target, negatives, *expected)


def trained_scale_params(params: Any, rng: np.random.Generator) -> Any:
    """Return `params` with tables drawn from N(0, 1) and non-zero biases, as after training."""
    names = [name for name in ("items", "profile", "positions") if hasattr(params, name)]
    tables = {name: rng.standard_normal(getattr(params, name).shape) for name in names}
    layers = tuple(Layer(x.weight, 0.3 * rng.standard_normal(x.bias.shape)) for x in params.layers)
    return params._replace(**tables, layers=layers)


def build_catalogue(rng: np.random.Generator, items: int) -> Catalogue:
    """Return a catalogue of items with two features each; the second may have weight 0."""
    features = rng.integers(items, items + FEATURE_ROWS, (items, 2))
    rows = np.column_stack([np.arange(items), features])
    used = np.ones((items, 3), int)
    used[:, 2] = rng.integers(0, 2, items)
    weights = rng.uniform(0.5, 1, (items, 3)) * used
    return Catalogue(rows, weights / weights.sum(axis=1, keepdims=True))


def full_softmax_batch(one: Batch) -> Batch:
    """Return `one` with every item once as a negative and no log-Q correction (model-R15)."""
    logs = np.zeros(len(one.target)), np.zeros(ITEMS)
    return Batch(one.histories, one.target, np.arange(ITEMS), *logs)


def looked_up_rows(batch: Batch, catalogue: Catalogue) -> Ints:
    """Return the item table rows that a batch looks up, in ascending order (model-R8, R10)."""
    histories = batch.histories
    ids = np.concatenate([histories.items[histories.mask], batch.target, batch.negatives])
    return np.unique(catalogue.rows[ids][catalogue.weights[ids] != 0])


def with_full_softmax(call: Call) -> Call:
    """Return a loss call with every item once as a negative (model-R15)."""
    return call.change(batch=full_softmax_batch(call.arrays["batch"]))


def expected_active(call: Call) -> Bools:
    """Return the expected mask of active interests, by integer arithmetic (model-R3, R7, R17)."""
    mask, config = call.arrays["histories"].mask, call.numbers["config"]
    counts = [int(n) for n in mask.sum(axis=1)]
    if config.interest_count == "log2":
        counts = [min(config.interests, n.bit_length() - 1) for n in counts]
    else:
        counts = [config.interests if n else 1 for n in counts]
    return np.arange(config.interests) < np.maximum(counts, 1)[:, None]


def with_layers(call: Call, layers: tuple[Layer, ...]) -> Call:
    """Return `call` with the layers of its parameters replaced by `layers`."""
    return call.change(params=call.arrays["params"]._replace(layers=layers))
