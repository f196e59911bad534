"""Check shapes, dtypes and ids before a compiled function is called.

A compiled function does not check its arguments. With a wrong shape, it would access memory of
other arrays. The checks and their messages are those of the reference operators. If all shapes and
dtypes are those of the previous call, the checks of shapes and dtypes are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.config import Config
from mindref.errors import ShapeError, say
from mindref.kernels.fused.additions import RoutedInputs, additions_of
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.routing import check_one_matrix
from mindref.models import mind_plus
from mindref.models.mind import Batch, Histories
from mindref.models.mind_plus import ages
from mindref.models.parameters import Catalogue, Params, flatten
from mindref.ops import routing, sampled_softmax
from mindref.ops.embedding import check_row_indices
from mindref.shapes import Array, Bools, Ints, bind_axes, common_float_dtype

InputKey = tuple[object, ...]
"""Shapes, dtypes and settings of a call; equal keys of successive calls are checked once."""


def check_model_inputs(
    work: KernelWorkspace,
    inputs: RoutedInputs,
    catalogue: Catalogue,
    dropout_factors: Array | None,
) -> InputKey:
    """Return a cache key of shapes and settings. Raises ShapeError if inputs do not fit."""
    params, histories, config = inputs
    profile, bilinear = params.profile, params.bilinear
    optional = () if dropout_factors is None else (dropout_factors,)
    arrays = (*flatten(params).values(), *histories, *catalogue, *optional)
    key = input_key(arrays), type(params), len(params.layers), config

    def check() -> InputKey:  # of shapes, dtypes and settings: only if the key is new
        check_integers("items", histories.items)
        check_integers("embedding", catalogue.rows)
        check_one_matrix(bilinear)
        check_model_shapes(params, histories, catalogue, config)
        if isinstance(params, mind_plus.Params):
            check_additions(params, histories, config, dropout_factors)
        return key

    # the equal key of an earlier call: comparing an object with itself is fast
    stored_key: InputKey = work.cached("model", key, check)

    # the values are checked in each call
    check_row_indices("embedding", histories.profile, len(profile))
    if isinstance(params, mind_plus.Params) and histories.mask.shape[1] > len(params.positions):
        lengths = histories.mask.sum(axis=1)
        oldest_ages = lengths[lengths > 0] - 1  # mind_plus-R5
        check_row_indices("positions", oldest_ages, len(params.positions))
    return stored_key


def check_additions(
    params: mind_plus.Params, histories: Histories, config: Config, dropout_factors: Array | None
) -> None:
    """Raise ShapeError if the log weights by age or the factors of dropout do not fit."""
    is_mean = additions_of(params, config).weights_are_logits
    model, axis = ("youtube_dnn", "row") if is_mean else ("mind_plus", "column")
    shape, table = params.positions.shape, params.items
    if shape[1:] != (ages.columns(config),):
        expected = f"{ages.columns(config)} {axis}s"
        got = f"shape {shape[::-1] if is_mean else shape}"  # those of YouTube DNN are transposed
        raise ShapeError(say(f"{model}: positions", expected, got))
    common_float_dtype(model, positions=params.positions, table=table)
    if dropout_factors is not None:
        bind_axes(
            "mind_plus",
            keep=(dropout_factors, "BLD"),
            mask=(histories.mask, "BL"),
            table=(table, "VD"),
        )
        common_float_dtype("mind_plus", keep=dropout_factors, table=table)


def check_model_shapes(
    params: Params | mind_plus.Params, histories: Histories, catalogue: Catalogue, config: Config
) -> None:
    """Raise ShapeError if parameters, histories and catalogue do not fit each other."""
    additions, table, profile = additions_of(params, config), params.items, params.profile

    # the item table and the catalogue
    rows, weights = catalogue.rows, catalogue.weights
    bind_axes("embedding", table=(table, "VD"), rows=(rows, "MF"), weights=(weights, "MF"))
    common_float_dtype("embedding", table=table, weights=weights)

    # the profile of each user
    mask, profile_rows = histories.mask, histories.profile
    bind_axes("embedding", mask=(mask, "BL"), rows=(profile_rows, "BG"), table=(profile, "WQ"))

    # routing
    history = item_vector_probe(table, *histories.items.shape)
    active = np.broadcast_to(np.True_, (len(mask), config.interests))
    identity = np.eye(table.shape[1], dtype=table.dtype)
    matrix = params.bilinear if additions.learned_votes else identity
    routing.check_inputs(history, mask, matrix, histories.init_logits, active)
    routing.check_routing_options(config.iterations, config.routing_gradient, config.routing_axis)

    # the layers: each reads the output of the previous one
    width = table.shape[1]
    if additions.head != "none":  # mind_plus-R11
        width += profile_rows.shape[1] * profile.shape[1] + additions.contexts * width
    for weight, bias in params.layers:
        x = np.broadcast_to(np.zeros((), profile.dtype), (active.size, width))
        bind_axes("relu_layer", x=(x, "MI"), weight=(weight, "IO"), bias=(bias, "O"))
        common_float_dtype("relu_layer", x=table, profile=profile, weight=weight, bias=bias)
        width = weight.shape[1]

    # the interests, which the loss multiplies by item vectors
    interests = np.broadcast_to(np.zeros((), table.dtype), (*active.shape, width))
    target = item_vector_probe(table, len(active))
    bind_axes("label_attention", interests=(interests, "BKD"), target=(target, "BD"))


def check_loss_inputs(work: KernelWorkspace, table: Array, batch: Batch, config: Config) -> None:
    """Raise ShapeError if targets or negatives do not fit the loss; table: of items.

    Only shapes and dtypes are checked, once for equal keys. `merge_negatives` checks that log
    expected counts are finite in every step, so zeros of the same shape replace them here.
    """
    users = len(batch.histories.mask)
    logs = batch.target_log_expected, batch.negative_log_expected
    key = input_key((table, batch.target, batch.negatives, *logs)), users, config.temperature

    def check() -> None:
        target_logs, negative_logs = (np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in logs)
        for ids in (batch.target, batch.negatives):
            check_integers("items", ids)  # model-R18
        sampled_softmax.check_inputs(
            item_vector_probe(table, users),
            item_vector_probe(table, len(batch.target)),
            item_vector_probe(table, len(batch.negatives)),
            batch.target,
            batch.negatives,
            target_logs,
            negative_logs,
            temperature=config.temperature,
        )

    work.cached("batch", key, check)


def input_key(arrays: Sequence[Array | Ints | Bools]) -> InputKey:
    """Return the shape and the dtype of each array."""
    return tuple((x.shape, x.dtype) for x in arrays)


def check_integers(name: str, ids: Ints) -> None:
    """Raise ShapeError unless ids are integers, because a later copy casts any number to int64."""
    check_row_indices(name, ids[:0], 0)


def item_vector_probe(table: Array, *shape: int) -> Array:
    """Return zeros (*shape, D) of the dtype of item vectors, using almost no memory."""
    return np.broadcast_to(np.zeros(table.shape[1], table.dtype), (*shape, table.shape[1]))
