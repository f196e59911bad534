"""MIND as pure functions of JAX: histories to interests, and a batch to its loss.

Spec: specs/model.md. Parameters are a dictionary under the names by which mindref stores them:
items, profile, bilinear, layers.0.weight, layers.0.bias, ...
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mindref.config import Config
from mindref.models.parameters import Catalogue, Sizes
from mindref_jax.checks import bind, boolean, known, rows_within, same_float
from mindref_jax.embedding import look_up, pooled
from mindref_jax.label_attention import label_attention
from mindref_jax.relu_layer import relu_layer
from mindref_jax.routing import routing
from mindref_jax.sampled_softmax import sampled_softmax

Params = dict[str, Any]


class Histories(NamedTuple):
    """What is known of users when they are served."""

    items: Any  # (B, L) ids, padded with anything
    mask: Any  # (B, L) true for a behaviour
    init_logits: Any  # (B, L, K)
    profile: Any  # (B, G) rows of the profile table; G may be 0


class Batch(NamedTuple):
    """What a training step sees."""

    histories: Histories
    target: Any  # (B,)
    negatives: Any  # (S,)
    target_log_expected: Any  # (B,)
    negative_log_expected: Any  # (S,)


class Items(NamedTuple):
    """Items of any shape (...), as the rows of the table that make them up."""

    rows: Any  # (..., F)
    weights: Any  # (..., F)


def init(key: Any, config: Config, sizes: Sizes) -> Params:
    """Draw initial parameters from a key of JAX, in the type of the configuration."""
    width = config.width
    tables = {
        "items": ((sizes.item_rows, width), 1 / width),  # model-R20
        "profile": ((sizes.profile_rows, config.profile_width), 1 / width),
        "bilinear": ((width, width), 1 / width),
    }
    widths = (width + sizes.profile_features * config.profile_width, *config.hidden, width)
    layers = {f"layers.{i}.weight": (x, 2 / x[0]) for i, x in enumerate(pairwise(widths))}  # R21
    drawn = tables | layers
    keys = jax.random.split(key, len(drawn))
    params = {
        name: variance**0.5 * jax.random.normal(own, shape, config.dtype)
        for own, (name, (shape, variance)) in zip(keys, drawn.items(), strict=True)
    }
    biases = {f"layers.{i}.bias": jnp.zeros(o, config.dtype) for i, o in enumerate(widths[1:])}
    return params | biases


def loss(params: Params, batch: Any, catalogue: Catalogue, config: Config) -> Any:
    """Return the mean loss () of a batch. Compiled for each set of shapes.

    Arrays are of NumPy or of JAX. Raises ShapeError for what does not fit, and for an item that the
    catalogue does not have; while JAX traces the batch, such an item makes the loss NaN.
    """
    check(params, batch.histories, catalogue)
    for ids in (batch.target, batch.negatives):
        rows_within("items", ids, len(catalogue.rows))  # model-R18
    return loss_of_batch(params, batch, catalogue, config)


def interests(params: Params, histories: Any, catalogue: Catalogue, config: Config) -> Any:
    """Map histories to interests (B, K, D), zero where inactive, and active (B, K).

    Compiled for each set of shapes. Arrays and errors as for `loss`.
    """
    check(params, histories, catalogue)
    return interests_of_histories(params, histories, catalogue, config)


@partial(jax.jit, static_argnames="config")
def loss_of_batch(params: Params, batch: Any, catalogue: Any, config: Config) -> Any:
    """Return the loss of a batch that was checked."""
    histories = batch.histories
    behaviours, target, negatives = (
        named(ids, catalogue) for ids in (histories.items, batch.target, batch.negatives)
    )
    given = histories._replace(items=behaviours)
    return loss_of(params, Batch(given, target, negatives, *batch[3:]), batch[1:3], config)


@partial(jax.jit, static_argnames="config")
def interests_of_histories(
    params: Params, histories: Any, catalogue: Any, config: Config
) -> tuple[Any, Any]:
    """Return the interests of histories that were checked."""
    behaviours = named(histories.items, catalogue)
    return interests_of(params, histories._replace(items=behaviours), config)


def named(ids: Any, catalogue: Any) -> Items:
    """Return the rows of items (...); of one that the catalogue lacks, a row that no table has."""
    strict = {"mode": "fill", "wrap_negative_indices": False}
    rows, weights = (jnp.asarray(x) for x in catalogue)
    return Items(
        rows.at[ids].get(fill_value=jnp.iinfo(rows.dtype).max, **strict),
        weights.at[ids].get(fill_value=0, **strict),
    )


def loss_of(params: Params, batch: Any, ids: tuple[Any, Any], config: Config) -> Any:
    """Return the mean loss of a batch whose items are `Items`; ids of targets and negatives."""
    table = params["items"]
    users, active = interests_of(params, batch.histories, config)  # 1
    target, negatives = vectors_of(table, batch.target), vectors_of(table, batch.negatives)  # 2, 3
    power = config.power if config.attention == "label" else 0.0  # model-R14
    user = label_attention(users, target, active, power=power)  # 4, model-R9
    return sampled_softmax(  # 5
        *(user, target, negatives, *ids),
        *(batch.target_log_expected, batch.negative_log_expected),
        temperature=config.temperature,
        normalise=config.normalise,
    )


def interests_of(params: Params, histories: Any, config: Config) -> tuple[Any, Any]:
    """Return interests and active of histories whose items are `Items`."""
    capsules, active = capsules_of(params, histories, config)  # 1, 3
    profile = look_up(params["profile"], histories.profile)  # 2
    users, count, width = capsules.shape
    beside = profile.reshape(users, 1, profile.shape[1] * profile.shape[2])  # model-R2
    beside = jnp.broadcast_to(beside, (users, count, beside.shape[2]))
    x = jnp.concatenate([capsules, beside], 2)  # 4, model-R4
    x = x.reshape(users * count, x.shape[2])
    layers = sum(name.endswith(".weight") for name in params)
    for i in range(layers):  # 5, model-R5
        relu = config.last_relu or i < layers - 1
        x = relu_layer(x, params[f"layers.{i}.weight"], params[f"layers.{i}.bias"], relu=relu)
    return jnp.where(active[:, :, None], x.reshape(users, count, width), 0), active  # 6, R6


def capsules_of(params: Params, histories: Any, config: Config) -> tuple[Any, Any]:
    """Return capsules (B, K, D), and which interests are active (B, K)."""
    mask, logits = histories.mask, histories.init_logits
    active = active_interests(mask.sum(1), config)
    dynamic = config.routing == "dynamic"
    capsules, _ = routing(
        vectors_of(params["items"], histories.items),  # pads are masked there: model-R8
        mask,
        params["bilinear"],
        logits if dynamic else jnp.zeros_like(logits),  # model-R12
        active,
        iterations=config.iterations if dynamic else 1,
        gradient=config.routing_gradient,  # model-R11
        axis=config.routing_axis,
        kind=config.squash,  # model-R13
    )
    return capsules, active


def active_interests(lengths: Any, config: Config) -> Any:
    """Return which interests users have (B, K), from their numbers of behaviours (B,)."""
    most = config.interests
    if config.interest_count == "log2":
        # the second interest begins at 2^2 behaviours, the third at 2^3; no mask has 2^31 places
        starts = 2 ** jnp.arange(2, min(most, 30) + 1)
        count = 1 + (lengths[:, None] >= starts).sum(1)  # model-R3, routing-R10
    else:
        count = jnp.where(lengths > 0, most, 1)  # model-R7
    return jnp.arange(most) < count[:, None]


def vectors_of(table: Any, items: Items) -> Any:
    """Return the vectors (..., D) of items: id and side features, averaged (model-R1)."""
    return pooled(look_up(table, items.rows), items.weights)


def check(params: Params, histories: Any, catalogue: Catalogue) -> None:
    """Raise ShapeError for histories and a catalogue that do not fit each other or parameters."""
    items, mask, logits, profile = histories
    bind(
        "histories",
        items=(items, "BL"),
        mask=(mask, "BL"),
        init_logits=(logits, "BLK"),
        profile=(profile, "BG"),
    )
    bind("catalogue", rows=(catalogue.rows, "NF"), weights=(catalogue.weights, "NF"))
    same_float("model", **params, weights=catalogue.weights, init_logits=logits)
    boolean("histories", mask=mask)
    rows_within("profile", profile, len(params["profile"]))
    if known(items) and known(mask):  # what stands in a padded place is no item
        items = np.asarray(items)[np.asarray(mask)]
    rows_within("items", items, len(catalogue.rows))  # model-R18
