"""MIND as pure functions of JAX: interests of histories, and the loss of a batch.

Spec: specs/model.md. Parameters are a dictionary with the names that mindref uses in files:
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
from mindref_jax.embedding import look_up_rows, pool_rows
from mindref_jax.label_attention import label_attention
from mindref_jax.relu_layer import relu_layer
from mindref_jax.routing import routing
from mindref_jax.sampled_softmax import sampled_softmax
from mindref_jax.shapes import (
    bind_axes,
    check_row_indices,
    has_values,
    require_bool,
    require_float_dtype,
)

Params = dict[str, Any]


class Histories(NamedTuple):
    """Histories of users: the input at serving."""

    items: Any  # (B, L) ids; padding may have any value
    mask: Any  # (B, L) true for a behaviour
    init_logits: Any  # (B, L, K)
    profile: Any  # (B, G) rows of the profile table; G may be 0


class Batch(NamedTuple):
    """The input of a training step."""

    histories: Histories
    target: Any  # (B,)
    negatives: Any  # (S,)
    target_log_expected: Any  # (B,)
    negative_log_expected: Any  # (S,)


class ItemRows(NamedTuple):
    """Items of any shape (...) as rows of the item table with weights."""

    rows: Any  # (..., F)
    weights: Any  # (..., F)


def init(key: Any, config: Config, sizes: Sizes) -> Params:
    """Draw initial parameters from a JAX key, in the dtype of the configuration."""
    width = config.width
    tables = {
        "items": ((sizes.item_rows, width), 1 / width),  # model-R20
        "profile": ((sizes.profile_rows, config.profile_width), 1 / width),
        "bilinear": ((width, width), 1 / width),
    }
    widths = (width + sizes.profile_features * config.profile_width, *config.hidden, width)
    layers = {f"layers.{i}.weight": (x, 2 / x[0]) for i, x in enumerate(pairwise(widths))}  # R21
    distributions = tables | layers
    keys = jax.random.split(key, len(distributions))
    params = {
        name: variance**0.5 * jax.random.normal(parameter_key, shape, config.dtype)
        for parameter_key, (name, (shape, variance)) in zip(
            keys, distributions.items(), strict=True
        )
    }
    biases = {f"layers.{i}.bias": jnp.zeros(o, config.dtype) for i, o in enumerate(widths[1:])}
    return params | biases


def loss(params: Params, batch: Any, catalogue: Catalogue, config: Config) -> Any:
    """Return the mean loss () of a batch. Compiled for each set of shapes.

    Arrays are NumPy or JAX arrays. Raises ShapeError for invalid arrays, and for an item that is
    not in the catalogue. While JAX traces, such an item makes the loss NaN.
    """
    check_model_inputs(params, batch.histories, catalogue)
    for ids in (batch.target, batch.negatives):
        check_row_indices("items", ids, len(catalogue.rows))  # model-R18
    return compiled_loss(params, batch, catalogue, config)


def interests(params: Params, histories: Any, catalogue: Catalogue, config: Config) -> Any:
    """Map histories to interests v (B, K, D), zero where inactive, and active (B, K).

    Compiled for each set of shapes. Arrays and errors are as in `loss`.
    """
    check_model_inputs(params, histories, catalogue)
    return compiled_interests(params, histories, catalogue, config)


@partial(jax.jit, static_argnames="config")
def compiled_loss(params: Params, batch: Any, catalogue: Any, config: Config) -> Any:
    """Return the loss of a checked batch."""
    histories = batch.histories
    behaviours, target, negatives = (
        look_up_items(ids, catalogue) for ids in (histories.items, batch.target, batch.negatives)
    )
    numbered = histories._replace(items=behaviours)
    rows = batch._replace(histories=numbered, target=target, negatives=negatives)
    return loss_from_rows(params, rows, (batch.target, batch.negatives), config)


@partial(jax.jit, static_argnames="config")
def compiled_interests(
    params: Params, histories: Any, catalogue: Any, config: Config
) -> tuple[Any, Any]:
    """Return the interests of checked histories."""
    behaviours = look_up_items(histories.items, catalogue)
    return interests_from_rows(params, histories._replace(items=behaviours), config)


def look_up_items(ids: Any, catalogue: Any) -> ItemRows:
    """Return the rows of items (...); unknown items get a row outside the table."""
    options = {"mode": "fill", "wrap_negative_indices": False}
    rows, weights = (jnp.asarray(x) for x in catalogue)
    return ItemRows(
        rows.at[ids].get(fill_value=jnp.iinfo(rows.dtype).max, **options),
        weights.at[ids].get(fill_value=0, **options),
    )


def loss_from_rows(params: Params, batch: Any, ids: tuple[Any, Any], config: Config) -> Any:
    """Return the mean loss () of a batch of `ItemRows`; ids are those of targets and negatives."""
    table = params["items"]
    users, active = interests_from_rows(params, batch.histories, config)  # 1
    target = item_vectors(table, batch.target)  # 2
    negatives = item_vectors(table, batch.negatives)  # 3
    power = config.power if config.attention == "label" else 0.0  # model-R14
    user = label_attention(users, target, active, power=power)  # 4, model-R9
    target_ids, negative_ids = ids
    return sampled_softmax(
        user,
        target,
        negatives,
        target_ids,
        negative_ids,
        batch.target_log_expected,
        batch.negative_log_expected,
        temperature=config.temperature,
        normalise=config.normalise,
    )  # 5


def interests_from_rows(params: Params, histories: Any, config: Config) -> tuple[Any, Any]:
    """Return interests and active interests of histories of `ItemRows`."""
    capsules, active = route_histories(params, histories, config)  # 1, 3
    profile = look_up_rows(params["profile"], histories.profile)  # 2
    users, count, width = capsules.shape
    profiles = profile.reshape(users, 1, profile.shape[1] * profile.shape[2])  # model-R2
    profiles = jnp.broadcast_to(profiles, (users, count, profiles.shape[2]))
    x = jnp.concatenate([capsules, profiles], 2)  # 4, model-R4
    x = x.reshape(users * count, x.shape[2])
    num_layers = sum(name.endswith(".weight") for name in params)
    for i in range(num_layers):  # 5, model-R5
        relu = config.last_relu or i < num_layers - 1
        x = relu_layer(x, params[f"layers.{i}.weight"], params[f"layers.{i}.bias"], relu=relu)
    return jnp.where(active[:, :, None], x.reshape(users, count, width), 0), active  # 6, R6


def route_histories(params: Params, histories: Any, config: Config) -> tuple[Any, Any]:
    """Return capsules u (B, K, D) and the mask of active interests (B, K)."""
    mask, logits = histories.mask, histories.init_logits
    active = active_interests(mask.sum(1), config)
    dynamic = config.routing == "dynamic"
    capsules, _ = routing(
        item_vectors(params["items"], histories.items),  # routing masks the padding: model-R8
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
    """Return the mask of active interests (B, K) for numbers of behaviours (B,)."""
    limit = config.interests
    if config.interest_count == "log2":
        # interest k is active from 2^k behaviours, k >= 2; no mask has 2^31 positions
        thresholds = 2 ** jnp.arange(2, min(limit, 30) + 1)
        num_active = 1 + (lengths[:, None] >= thresholds).sum(1)  # model-R3, routing-R10
    else:
        num_active = jnp.where(lengths > 0, limit, 1)  # model-R7
    return jnp.arange(limit) < num_active[:, None]


def item_vectors(table: Any, items: ItemRows) -> Any:
    """Return the vectors (..., D) of items: the mean of id and side features (model-R1)."""
    return pool_rows(look_up_rows(table, items.rows), items.weights)


def check_model_inputs(params: Params, histories: Any, catalogue: Catalogue) -> None:
    """Raise ShapeError unless histories, catalogue and parameters match."""
    items, mask, logits, profile = histories
    bind_axes(
        "histories",
        items=(items, "BL"),
        mask=(mask, "BL"),
        init_logits=(logits, "BLK"),
        profile=(profile, "BG"),
    )
    bind_axes("catalogue", rows=(catalogue.rows, "NF"), weights=(catalogue.weights, "NF"))
    require_float_dtype("model", **params, weights=catalogue.weights, init_logits=logits)
    require_bool("histories", mask=mask)
    check_row_indices("profile", profile, len(params["profile"]))
    if has_values(items) and has_values(mask):  # padding is not checked
        items = np.asarray(items)[np.asarray(mask)]
    check_row_indices("items", items, len(catalogue.rows))  # model-R18
