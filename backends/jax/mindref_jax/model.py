"""MIND and mind_plus as pure functions of JAX: interests of histories, and the loss of a batch.

Spec: specs/model.md, specs/mind_plus.md. Parameters are a dictionary with the names that mindref
uses in files: items, profile, bilinear, positions, layers.0.weight, layers.0.bias, ...
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mindref.config import Config
from mindref.models import mind, mind_plus
from mindref.models.mind_plus import ages
from mindref.models.parameters import Catalogue, Sizes
from mindref.ops.sampled_softmax import require_finite_logs
from mindref.shapes import bind_axes, common_float_dtype, require_bool
from mindref_jax.embedding import look_up_rows, pool_rows
from mindref_jax.label_attention import label_attention
from mindref_jax.mind_plus import apply_dropout, check_ages, check_dropout, item_votes, weigh_by_age
from mindref_jax.pooled_softmax import pooled_softmax
from mindref_jax.relu_layer import first_layer, relu_layer
from mindref_jax.routing import route_votes
from mindref_jax.sampled_softmax import sampled_softmax
from mindref_jax.shapes import check_row_indices, has_values, reject_rounding, values_or_ones

Params = dict[str, Array]


class Histories(NamedTuple):
    """Histories of users: the input at serving."""

    items: Array  # (B, L) ids; padding may have any value
    mask: Array  # (B, L) true for a behaviour
    init_logits: Array  # (B, L, K)
    profile: Array  # (B, G) rows of the profile table; G may be 0


class Batch(NamedTuple):
    """The input of a training step."""

    histories: Histories
    target: Array  # (B,)
    negatives: Array  # (S,)
    target_log_expected: Array  # (B,)
    negative_log_expected: Array  # (S,)
    keep: Array | None = None  # (B, L, D) factors of the behaviours' vectors, for dropout


AnyBatch = Batch | mind.Batch | mind_plus.Batch
"""A batch of this package, or of mindref."""


class ItemRows(NamedTuple):
    """Items of any shape (...) as rows of the item table with weights."""

    rows: Array  # (..., F)
    weights: Array  # (..., F)


def init(key: Array, config: Config, sizes: Sizes) -> Params:
    """Draw initial parameters from a JAX key, in the dtype of the configuration."""
    width = config.width
    tables = {
        "items": ((sizes.item_rows, width), 1 / width),  # model-R20
        "profile": ((sizes.profile_rows, config.profile_width), 1 / width),
        "bilinear": ((width, width), 1 / width),
    }
    inputs = width + sizes.profile_features * config.profile_width + config.contexts * width
    widths = (inputs, *config.hidden, width)  # mind_plus-R20
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
    if config.model == "mind_plus":  # mind_plus-R2
        params["positions"] = jnp.asarray(ages.start(config))
    if config.initial_matrices == "identity":  # mind_plus-R23
        params["bilinear"] = jnp.eye(width, dtype=config.dtype)
        if config.head == "residual":
            params[[*layers][-1]] *= 0
    if config.votes == "items":  # mind_plus-R8
        params["bilinear"] = params["bilinear"][:0, :0]
    without_layers = {name: x for name, x in params.items() if name not in layers}
    return without_layers if config.head == "none" else params | biases  # mind_plus-R11


def loss(params: Params, batch: AnyBatch, catalogue: Catalogue, config: Config) -> Array:
    """Return the mean loss () of a batch. Compiled for each set of shapes.

    Arrays are NumPy or JAX arrays. Raises ShapeError for invalid arrays, and for an item that is
    not in the catalogue. While JAX traces, such an item makes the loss NaN.
    """
    return compiled_loss(params, check_batch(params, batch, catalogue, config), catalogue, config)


def interests(
    params: Params, histories: Histories, catalogue: Catalogue, config: Config
) -> tuple[Array, Array]:
    """Map histories to interests v (B, K, D), zero where inactive, and active (B, K).

    Compiled for each set of shapes. Arrays and errors are as in `loss`.
    """
    check_model_inputs(params, histories, catalogue, config)
    return compiled_interests(params, histories, catalogue, config)


@partial(jax.jit, static_argnames="config")
def compiled_loss(params: Params, batch: Batch, catalogue: Catalogue, config: Config) -> Array:
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
    params: Params, histories: Histories, catalogue: Catalogue, config: Config
) -> tuple[Array, Array]:
    """Return the interests of checked histories."""
    behaviours = look_up_items(histories.items, catalogue)
    return interests_from_rows(params, histories._replace(items=behaviours), config)


def look_up_items(ids: Array, catalogue: Catalogue) -> ItemRows:
    """Return the rows of items (...); unknown items get a row outside the table."""
    largest = np.iinfo(catalogue.rows.dtype).max
    return ItemRows(
        look_up_rows(catalogue.rows, ids, fill_value=int(largest)),
        look_up_rows(catalogue.weights, ids, fill_value=0),
    )


def loss_from_rows(params: Params, batch: Batch, ids: tuple[Array, Array], config: Config) -> Array:
    """Return the mean loss () of a batch of `ItemRows`; ids are those of targets and negatives."""
    table = params["items"]
    users, active = interests_from_rows(params, batch.histories, config, batch.keep)  # 1
    target = item_vectors(table, batch.target)  # 2
    negatives = item_vectors(table, batch.negatives)  # 3
    if config.attention == "pooled":  # 4 and 5, mind_plus-R17
        loss_of_users = partial(pooled_softmax, users, active, sharpness=config.sharpness)
    else:
        power = config.effective_power  # model-R14
        user = label_attention(users, target, active, power=power)  # 4, model-R9
        loss_of_users = partial(sampled_softmax, user)  # 5
    target_ids, negative_ids = ids
    return loss_of_users(
        target,
        negatives,
        target_ids,
        negative_ids,
        batch.target_log_expected,
        batch.negative_log_expected,
        temperature=config.temperature,
        normalise=config.normalise,
    )


def interests_from_rows(
    params: Params, histories: Histories, config: Config, keep: Array | None = None
) -> tuple[Array, Array]:
    """Return interests and active interests of histories of `ItemRows`; keep: see `Batch`."""
    history = apply_dropout(item_vectors(params["items"], histories.items), keep)  # 1
    history = jnp.where(histories.mask[:, :, None], history, 0)  # model-R8
    votes = item_votes(params["bilinear"], history, config)
    profile = look_up_rows(params["profile"], histories.profile)  # 2
    profiles = profile.reshape(len(profile), profile.shape[1] * profile.shape[2])  # model-R2
    mask, logits, dynamic = histories.mask, histories.init_logits, config.routing == "dynamic"
    active = active_interests(mask.sum(1), config)
    capsules, _ = route_votes(  # 3
        votes,
        mask,
        logits if dynamic else jnp.zeros_like(logits),  # model-R12
        active,
        weigh_by_age(params.get("positions"), mask, config),  # mind_plus-R4
        iterations=config.iterations if dynamic else 1,
        gradient=config.routing_gradient,  # model-R11
        axis=config.routing_axis,
        kind=config.squash,  # model-R13
    )
    capsules, contexts = jnp.split(capsules, [config.interests], axis=1)
    contexts = contexts.reshape(len(mask), contexts.shape[1] * contexts.shape[2])
    further_inputs = [profiles, contexts]  # mind_plus-R9
    x = apply_layers(params, capsules, jnp.concatenate(further_inputs, 1), config)
    return jnp.where(active[:, :, None], x, 0), active  # 6, model-R6, mind_plus-R12


def apply_layers(params: Params, capsules: Array, further_inputs: Array, config: Config) -> Array:
    """Return (B, K, D) from capsules (B, K, D) and further inputs of the layers (B, I)."""
    if config.head == "none":  # mind_plus-R11
        return capsules
    users, count, width = capsules.shape
    x = capsules.reshape(users * count, width)
    num_layers = sum(name.endswith(".weight") for name in params)
    for i in range(num_layers):  # 5, model-R5
        relu = config.last_relu or i < num_layers - 1
        weight, bias = params[f"layers.{i}.weight"], params[f"layers.{i}.bias"]
        if i == 0 and further_inputs.shape[1]:  # 4, model-R4
            x = first_layer(capsules, further_inputs, weight, bias, relu=relu)
        else:
            x = relu_layer(x, weight, bias, relu=relu)
    x = x.reshape(users, count, width)
    return capsules + x if config.head == "residual" else x  # mind_plus-R10


def active_interests(lengths: Array, config: Config) -> Array:
    """Return the mask of active interests (B, K) for numbers of behaviours (B,)."""
    limit = config.interests
    if config.interest_count == "log2":
        # interest k is active from 2^k behaviours, k >= 2; no mask has 2^31 positions
        thresholds = 2 ** jnp.arange(2, min(limit, 30) + 1)
        num_active = 1 + (lengths[:, None] >= thresholds).sum(1)  # model-R3, routing-R10
    else:
        num_active = jnp.where(lengths > 0, limit, 1)  # model-R7
    return jnp.arange(limit) < num_active[:, None]


def item_vectors(table: Array, items: ItemRows) -> Array:
    """Return the vectors (..., D) of items: the mean of id and side features (model-R1)."""
    return pool_rows(look_up_rows(table, items.rows), items.weights)


def check_batch(params: Params, batch: AnyBatch, catalogue: Catalogue, config: Config) -> Batch:
    """Return a batch of MIND or mind_plus as a `Batch`. Raises ShapeError if it is invalid."""
    if isinstance(batch, mind_plus.Batch):
        checked = Batch(**batch.shared._asdict(), keep=batch.keep)
    else:
        checked = Batch(**batch._asdict())
    check_model_inputs(params, checked.histories, catalogue, config)
    for ids in (checked.target, checked.negatives):
        check_row_indices("items", ids, len(catalogue.rows))  # model-R18
    check_dropout(checked.keep, checked.histories.mask, params["items"])
    names = ("target_log_expected", "negative_log_expected")
    logs = {name: values_or_ones(getattr(checked, name)) for name in names}
    operator = "pooled_softmax" if config.attention == "pooled" else "sampled_softmax"
    require_finite_logs(operator, **logs)  # pooled_softmax-R20, sampled_softmax-R15
    return checked


def check_model_inputs(
    params: Params, histories: Histories, catalogue: Catalogue, config: Config
) -> None:
    """Raise ShapeError unless histories, catalogue, parameters and settings match."""
    items, mask, logits, profile = histories
    bind_axes(
        "histories",
        items=(items, "BL"),
        mask=(mask, "BL"),
        init_logits=(logits, "BLK"),
        profile=(profile, "BG"),
    )
    bind_axes("catalogue", rows=(catalogue.rows, "NF"), weights=(catalogue.weights, "NF"))
    common_float_dtype("model", **params, weights=catalogue.weights, init_logits=logits)
    reject_rounding("model", logits)
    require_bool("histories", mask=mask)
    check_row_indices("profile", profile, len(params["profile"]))
    if "positions" in params:
        check_ages(params["positions"], mask, config)
    if has_values(items) and has_values(mask):  # padding is not checked
        items = np.asarray(items)[np.asarray(mask)]
    check_row_indices("items", items, len(catalogue.rows))  # model-R18
