"""Side features of items and profiles of users, as rows of the two tables.

Spec: specs/model.md. An item is the mean over its fields: its id is one field, each named feature
another. A field with several values is their mean. Users have one row per named feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.log import Feature, InteractionLog, Ints
from mindref.errors import ConfigError, say
from mindref.models.parameters import Catalogue


class Vocabulary(NamedTuple):
    """The values of each user feature, in the order of the profile table after `unknown`."""

    values: Mapping[str, Sequence[str]]  # feature -> values; row 0 of each feature is "unknown"

    @property
    def starts(self) -> dict[str, int]:
        """First row of each feature in the profile table."""
        sizes = [1 + len(values) for values in self.values.values()]
        firsts = np.cumsum([0, *sizes])[:-1]
        return {name: int(first) for name, first in zip(self.values, firsts, strict=True)}

    @property
    def rows(self) -> int:
        """Rows of the profile table."""
        return sum(1 + len(values) for values in self.values.values())


def select_features(features: Sequence[Feature], names: Sequence[str], kind: str) -> list[Feature]:
    """Return the features of these names. Raises ConfigError for one that the data lacks."""
    by_name = {feature.name: feature for feature in features}
    for name in names:
        if name not in by_name:
            have = ", ".join(by_name) or "none"
            raise ConfigError(say(f"{kind}_features", f"features of the data ({have})", repr(name)))
    return [by_name[name] for name in names]


def item_catalogue(log: InteractionLog, config: Config) -> tuple[Catalogue, int]:
    """Return the rows and weights of every item (model-R1), and the size of the item table."""
    features = select_features(log.item_features, config.item_features, "item")
    items = len(log.item_ids)
    has = [feature.codes.lengths > 0 for feature in features]  # model-R33
    fields = 1 + np.sum(has, axis=0, dtype=np.int64) + np.zeros(items, np.int64)  # (N,)
    columns = [np.arange(items, dtype=np.int64)[:, None]]
    weights = [(1 / fields)[:, None]]  # model-R32
    first = items
    for feature in features:
        lengths = feature.codes.lengths
        column_index = np.arange(max(int(lengths.max(initial=0)), 1))
        has_value = column_index < lengths[:, None]  # (N, F)
        rows = np.zeros(has_value.shape, np.int64)
        rows[has_value] = first + feature.codes.values
        columns.append(rows)
        share = 1 / (fields * np.maximum(lengths, 1))
        weights.append(np.where(has_value, share[:, None], 0))
        first += len(feature.values)
    stacked = np.concatenate(weights, axis=1).astype(config.dtype)
    return Catalogue(np.concatenate(columns, axis=1), stacked), first


def item_vocabulary(log: InteractionLog, config: Config) -> dict[str, dict[str, list[str]]]:
    """Return the entry of config.json with the values of the item features; {} without features.

    The values are in the order of their rows of the item table.
    """
    features = select_features(log.item_features, config.item_features, "item")
    if not features:
        return {}
    return {"item_features": {feature.name: list(feature.values) for feature in features}}


def user_vocabulary(log: InteractionLog, config: Config) -> Vocabulary:
    """Return the values of the user features that the settings name."""
    features = select_features(log.user_features, config.user_features, "user")
    return Vocabulary({feature.name: list(feature.values) for feature in features})


def user_profiles(log: InteractionLog, vocabulary: Vocabulary, users: Ints) -> Ints:
    """Return rows of the profile table (C, G); a user without a known value has row "unknown"."""
    columns = []
    for name, start in vocabulary.starts.items():
        row_of_value = {value: start + 1 + i for i, value in enumerate(vocabulary.values[name])}
        feature = next((f for f in log.user_features if f.name == name), None)
        column = np.full(len(users), start, np.int64)  # model-R34
        if feature is not None:
            row_of = np.array([row_of_value.get(x, start) for x in feature.values], np.int64)
            has = feature.codes.lengths[users] > 0
            firsts = feature.codes.values[feature.codes.offsets[users[has]]]  # model-R35
            column[has] = row_of[firsts]
        columns.append(column)
    return np.stack(columns, axis=1) if columns else np.zeros((len(users), 0), np.int64)
