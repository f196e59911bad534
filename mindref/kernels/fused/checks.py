"""What compiled functions do not look at: shapes, types and rows, before anything is computed.

They read and write where they are told to: with a wrong shape, in memory that is not theirs. What
is refused, and in which words, is said by the operators of the reference. Shapes and types that
were found to fit by the step before are not looked at again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.kernels.fused.workspace import Workspace
from mindref.kernels.routing import one_matrix
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, Params
from mindref.ops import routing, sampled_softmax
from mindref.ops.embedding import check_rows
from mindref.shapes import Array, bind, same_float

Look = tuple[Any, ...]
"""Shapes and types: the very same object for as long as they are equal."""


def check_model(
    work: Workspace, params: Params, histories: Histories, catalogue: Catalogue, config: Config
) -> Look:
    """Raise ShapeError for histories or parameters that the model cannot take."""
    table, profile, bilinear, layers = params
    arrays = (table, profile, bilinear, *sum(layers, ()), *histories, *catalogue)
    look = look_of(arrays), len(layers), config

    def check() -> Look:
        integers("items", histories.items)
        integers("embedding", catalogue.rows)
        one_matrix(bilinear)
        check_shapes(params, histories, catalogue, config)
        return look

    found: Look = work.once("model", look, check)
    check_rows("embedding", histories.profile, len(profile))
    return found


def check_shapes(
    params: Params, histories: Histories, catalogue: Catalogue, config: Config
) -> None:
    """Raise ShapeError unless parameters, histories and catalogue fit each other."""
    table, rows, weights = params.items, catalogue.rows, catalogue.weights
    bind("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    same_float("embedding", table=table, weights=weights)
    own, profile = histories.profile, params.profile
    bind("embedding", mask=(histories.mask, "BL"), rows=(own, "BG"), table=(profile, "WQ"))
    history = seen(table, *histories.items.shape)
    active = np.broadcast_to(np.True_, (len(histories.mask), config.interests))
    options = (config.iterations, config.routing_gradient, config.routing_axis)
    routing.check(history, histories.mask, params.bilinear, histories.init_logits, active, *options)
    width = table.shape[1] + own.shape[1] * profile.shape[1]
    for weight, bias in params.layers:
        x = np.broadcast_to(np.zeros((), profile.dtype), (active.size, width))
        bind("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
        same_float("relu_layer", x=table, profile=profile, weight=weight, bias=bias)
        width = weight.shape[1]
    out = np.broadcast_to(np.zeros((), table.dtype), (*active.shape, width))
    bind("label_attention", interests=(out, "BKD"), target=(seen(table, len(active)), "BD"))


def check_batch(work: Workspace, params: Params, batch: Batch, config: Config) -> None:
    """Raise ShapeError for targets or negatives that the loss cannot take, their logs apart."""
    table, users = params.items, len(batch.histories.mask)
    logs = batch.target_log_expected, batch.negative_log_expected
    look = look_of((table, batch.target, batch.negatives, *logs)), users, config.temperature

    def check() -> None:
        zero, other = (np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in logs)
        for ids in (batch.target, batch.negatives):
            integers("items", ids)  # model-R18
        sampled_softmax.check(
            seen(table, users),
            seen(table, len(batch.target)),
            seen(table, len(batch.negatives)),
            batch.target,
            batch.negatives,
            zero,  # `merged` looks at the logs themselves
            other,
            config.temperature,
        )

    work.once("batch", look, check)


def look_of(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return all that a check of shapes and types sees of arrays."""
    return tuple((x.shape, x.dtype) for x in arrays)


def integers(where: str, ids: Any) -> None:
    """Raise ShapeError unless ids are integers: a copy would make some of anything."""
    check_rows(where, ids[:0], 0)


def seen(table: Array, *places: int) -> Array:
    """Return what vectors of items at so many places look like: shape and type, all alike."""
    return np.broadcast_to(np.zeros(table.shape[1], table.dtype), (*places, table.shape[1]))
