"""The user tower: the arrays and settings that compute the vectors of a user, for export.

Spec: specs/model.md (serving), specs/mind_plus.md, specs/youtube_dnn.md, specs/onnx.md. Item
vectors include side features, and initial logits are a table of constants. A framework can
therefore evaluate the tower without mindref.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.errors import ConfigError, say
from mindref.models import mind
from mindref.models.family import family_of
from mindref.models.logits import keyed_table
from mindref.models.parameters import Layer
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Model
from mindref.shapes import Array

FAMILIES = ("mind", "mind_plus", "youtube_dnn")
"""Families whose user vectors are a fixed formula of the history (model-R40)."""

FITTED = "whose user vectors are fitted to each history"
NO_TOWER = {
    "maxmf": f"{FITTED} by gradient descent",
    "wals": f"{FITTED} by least squares",
}
"""Why a family with user vectors has no user tower."""


class UserTower(NamedTuple):
    """The arrays of a user tower, float32 and contiguous, and the settings."""

    items: Array  # (M, D) vectors of servable items as inputs of the tower: not normalised
    logits: Array  # (M, K) initial logits of each servable item; (M, 0) without routing
    profile: Array  # (W, Q) values of user features
    bilinear: Array  # (D, D) S; (0, 0) if votes are item vectors or there is no routing
    positions: Array  # (W, C) log weights by age; (W, 0) without any
    layers: tuple[Layer, ...]  # the last one maps to D
    features: int  # G, user features
    vectors: int  # K, vectors of a user, active or not
    config: Config

    @property
    def routes(self) -> bool:
        """Whether the vectors are computed by routing, else from the mean of the behaviours."""
        return bool(family_of(self.config.model).routes)

    def signature(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return name, dtype and shape of inputs and outputs; a named size may be any, also 0."""
        sequence, vectors = ["batch", "length"], ["batch", self.vectors]
        inputs: list[tuple[str, str, list[Any]]] = [
            ("items", "int64", sequence),
            ("mask", "bool", sequence),
        ]
        if self.features:
            inputs.append(("profile", "int64", ["batch", self.features]))
        outputs = [
            ("interests", "float32", [*vectors, self.items.shape[1]]),
            ("active", "bool", vectors),
        ]
        first, second = (
            [{"name": name, "type": dtype, "shape": shape} for name, dtype, shape in tensors]
            for tensors in (inputs, outputs)
        )
        return first, second


def require_tower(config: Any, subject: str, families: Sequence[str]) -> None:
    """Raise ConfigError for a family that is not among those that an exporter writes."""
    if config.model in families:  # model-R40
        return
    expected = f"a run of the model {', '.join(families[:-1])} or {families[-1]}"
    got, todo = f"one of {config.model}", "use mindref recall"
    if config.model in FAMILIES:
        todo = "use --to onnx"
    else:
        got += f", {NO_TOWER.get(config.model, 'which has no user tower')}"
    raise ConfigError(say(subject, expected, got, todo))


def with_keyed_logits(model: Model) -> Model:
    """Return the model with keyed logits, because a file cannot contain logits drawn per call."""
    if model.config.logits != "per_call":
        return model  # routing-R16, R17: keyed in serving
    return model._replace(config=dataclasses.replace(model.config, logits="keyed"))


def user_tower(model: Model, features: int) -> UserTower:
    """Return the user tower of a model of FAMILIES whose users have `features` features."""
    params, config, ids = model.params, model.config, ServableItems.of(model.catalogue).ids
    items, _ = mind.item_vectors(params, ids, model.catalogue)
    logits = initial_logits(config, len(model.catalogue.rows))[ids]
    bilinear = getattr(params, "bilinear", np.zeros((0, 0)))
    # a family without routing has one row for each column
    positions = getattr(params, "positions", np.zeros((config.window, 0)))
    family = family_of(config.model)
    return UserTower(
        items=to_float32(items),
        logits=to_float32(logits),
        profile=to_float32(params.profile),
        bilinear=to_float32(bilinear),
        positions=to_float32(positions if family.routes else positions.T),
        layers=tuple(Layer(*map(to_float32, layer)) for layer in params.layers),
        features=features,
        vectors=family.num_vectors(config),
        config=config,
    )


def initial_logits(config: Config, count: int) -> Array:
    """Return the keyed initial logits (N, K) of `count` items; (N, 0) without routing."""
    columns = family_of(config.model).num_logits(config)
    if columns == 0 or config.routing != "dynamic":
        return np.zeros((count, columns), config.dtype)  # model-R12
    return keyed_table(config.seed, count, columns, config.sigma, config.dtype)  # routing-R15


def to_float32(x: Array) -> Array:
    """Return an array as contiguous float32, the dtype of files for serving."""
    return np.ascontiguousarray(x, np.float32)
