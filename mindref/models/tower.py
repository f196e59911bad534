"""The user tower: the arrays and settings that compute interests of MIND or mind_plus, for export.

Spec: specs/model.md (serving), specs/mind_plus.md. Item vectors include side features, and initial
logits are a table of constants. A framework can therefore evaluate the tower without mindref.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.logits import keyed_table
from mindref.models.parameters import Layer
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Model
from mindref.shapes import Array


class UserTower(NamedTuple):
    """The arrays of a user tower, float32 and contiguous, and the settings."""

    items: Array  # (M, D) vectors of servable items as inputs of routing: not normalised
    logits: Array  # (M, K) initial logits of each servable item
    profile: Array  # (W, Q) values of user features
    bilinear: Array  # (D, D) S; (0, 0) if votes are item vectors
    positions: Array  # (W, C) log weights by age; (W, 0) for MIND
    layers: tuple[Layer, ...]  # the last one maps to D
    features: int  # G, user features
    config: Config


def with_keyed_logits(model: Model) -> Model:
    """Return the model with keyed logits, because a file cannot contain logits drawn per call."""
    if model.config.logits != "per_call":
        return model  # routing-R16, R17: keyed in serving
    return model._replace(config=dataclasses.replace(model.config, logits="keyed"))


def user_tower(model: Model, features: int) -> UserTower:
    """Return the user tower of a model whose users have `features` features."""
    params, config, ids = model.params, model.config, ServableItems.of(model.catalogue).ids
    count = len(model.catalogue.rows)
    items, _ = mind.item_vectors(params, ids, model.catalogue)
    if config.routing == "dynamic":
        logits = keyed_table(  # routing-R15
            config.seed, count, config.interests, config.sigma, config.dtype
        )[ids]
    else:
        logits = np.zeros((len(ids), config.interests), config.dtype)  # model-R12
    profile, bilinear = to_float32(params.profile), to_float32(params.bilinear)
    layers = tuple(Layer(*map(to_float32, layer)) for layer in params.layers)
    positions = getattr(params, "positions", np.zeros((config.window, 0)))
    tables = (to_float32(items), to_float32(logits), profile, bilinear, to_float32(positions))
    return UserTower(*tables, layers, features, config)


def to_float32(x: Array) -> Array:
    """Return an array as contiguous float32, the dtype of files for serving."""
    return np.ascontiguousarray(x, np.float32)
