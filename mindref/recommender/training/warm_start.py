"""Warm start: the state of a new training from the model of an earlier run.

Spec: specs/model.md, model-R55 to R59, R63, R70 to R78. Rows of tables are mapped by item id and by
feature value; rows of new items begin at the vectors of their features, or at the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.log import InteractionLog, Ints
from mindref.errors import ConfigError, RunError, say
from mindref.models.family import family_of
from mindref.models.features import Vocabulary, select_features
from mindref.models.parameters import Catalogue, Sizes, flatten, unflatten
from mindref.recommender.held_out import list_trainings, run_label
from mindref.recommender.serving.served_model import ServedModel
from mindref.run import array_files, checkpoint, files
from mindref.run.metadata import EarlierTraining
from mindref.run.source import IN_MEMORY
from mindref.run.training_data import PreparedLog
from mindref.run.validate import one_row_arrays
from mindref.shapes import Array, Bools
from mindref.training.loop import TrainingState


class WarmStart(NamedTuple):
    """The model from which a training starts."""

    served: ServedModel
    run: str = IN_MEMORY  # path as it was given, or IN_MEMORY
    is_command: bool = False  # messages name options

    @classmethod
    def open(cls, run: Path, *, is_command: bool = False) -> WarmStart:
        """Return the start from a run directory. Raises RunError for a run without a model."""
        config, _ = checkpoint.load_config(run)
        check_family(config, f"start from {run}")
        return cls(ServedModel.load(run), str(run), is_command=is_command)

    @property
    def config(self) -> Config:
        """The settings of the earlier run."""
        config: Config = self.served.model.config
        return config

    def check(self, config: Config) -> None:
        """Raise RunError unless the parameters have the same shapes with the new settings."""
        subject = f"start from {self.run}"
        check_family(self.config, subject)
        old = self.config
        settings = [x.name for x in fields(Config)]
        changed = [name for name in settings if getattr(old, name) != getattr(config, name)]
        rejected = [name for name in changed if name in FEATURES]
        if not rejected and parameter_shapes(old) != parameter_shapes(config):
            # if no setting alone changes a shape, all changed settings are named
            rejected = [name for name in changed if changes_shape(old, config, name)] or changed
        if rejected:  # model-R70
            expected = f"the settings of that run, {settings_text(old, rejected)}"
            todo = "leave the setting out, or train without the start"
            raise RunError(say(subject, expected, settings_text(config, rejected), todo))

    def check_items(self, log: InteractionLog) -> None:
        """Raise RunError if the log has no item that the earlier run has trained."""
        ids = self.served.items.ids
        trained = [ids[i] for i in np.flatnonzero(self.trained_items)]
        if trained and set(trained).isdisjoint(log.item_ids[: log.num_used_items]):  # model-R63
            got = f"none of its {len(trained):,}; the log has ids such as {log.item_ids[0]!r}"
            todo = "compare the form of the ids, and the column of the item"
            expected = f"items of that run, such as {trained[0]!r}, in the log"
            raise RunError(say(f"start from {run_label(self.run)}", expected, got, todo))

    def facts(self, rows: Ints, items: int, used: int) -> dict[str, object]:
        """Return the entry `start_from` of config.json.

        rows (V,): the row of each row of the new item table in the earlier table; -1 for a row that
        is new or was not trained. items: the number of items. used: the number of items with an
        interaction, the first ones.
        """
        digest = array_files.arrays_digest(flatten(self.served.model.params), {})
        num_known = int(np.count_nonzero(rows[:items] >= 0))
        num_trained = int(np.count_nonzero(self.trained_items))
        num_trained_and_used = int(np.count_nonzero(rows[:used] >= 0))
        counts = {
            "items": num_known,
            "new_items": items - num_known,
            "trained_items": num_trained,
            "left_out_items": num_trained - num_trained_and_used,
        }
        start = {"run": self.location, "model": digest, "step": self.served.step, **counts}
        trained_on = [asdict(x) for x in self.trainings(digest)]
        return {**start, "trained_on": trained_on}  # model-R59, R77

    @property
    def trained_items(self) -> Bools:
        """Which items (N,) of the earlier run are trained."""
        num_rows = len(self.served.model.params.items)
        return trained_rows(self.served.model.catalogue, num_rows)[: len(self.served.items.ids)]

    @property
    def location(self) -> str:
        """The absolute path of the earlier run, or IN_MEMORY."""
        return self.run if self.run == IN_MEMORY else str(files.real_path(self.run))

    def trainings(self, digest: str = "") -> list[EarlierTraining]:
        """Return the training data of the run and of all runs before it, the latest first."""
        return list_trainings(self.location, digest, self.config, self.served.facts)


def left_out_warnings(start: Mapping[str, Any]) -> list[str]:
    """Return a warning if more than half of the items that the earlier run trained are missing.

    An item is missing if it has no interaction in the log of the new training.
    start: the entry `start_from` of config.json; empty without a start.
    """
    left_out, total = start.get("left_out_items", 0), start.get("trained_items", 0)  # model-R78
    if 2 * left_out <= total:
        return []
    run = run_label(start["run"])
    return [
        f"{left_out:,} of the {total:,} trained items of {run} have no interaction in this log."
        " The log of an update must have the earlier interactions too."
    ]


FEATURES = ("model", "item_features", "user_features")
"""Settings that must be those of the earlier run whatever the shapes of the parameters are."""


def check_family(config: Config, subject: str) -> None:
    """Raise ConfigError for a family that is fitted, or that has parameters of each user."""
    family = family_of(config.model)
    if not family.by_steps or "users" in family.params._fields:  # model-R70
        expected = "a run of a model whose parameters fit another log"
        todo = "train without the start"
        raise ConfigError(say(subject, expected, f"one of {config.model}", todo))


def changes_shape(old: Config, new: Config, name: str) -> bool:
    """Return whether the new value of a setting alone changes a shape of the parameters."""
    try:
        changed = replace(old, **{name: getattr(new, name)})
    except ConfigError:  # valid only together with another change
        return False
    return parameter_shapes(changed) != parameter_shapes(old)


def parameter_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the parameters for one item and one row of user features."""
    sizes = Sizes(items=1, item_rows=1, profile_rows=1, profile_features=len(config.user_features))
    return {name: x.shape for name, x in one_row_arrays(config, sizes).items()}


def settings_text(config: Config, names: Sequence[str]) -> str:
    """Return the named settings as they are typed: `width 64, user_features age,gender`."""
    texts = []
    for name in names:
        value = getattr(config, name)
        if isinstance(value, tuple):
            value = ",".join(map(str, value)) or "none"
        texts.append(f"{name} {value}")
    return ", ".join(texts)


def start_state(
    start: WarmStart, fresh: TrainingState, prepared: PreparedLog, config: Config
) -> tuple[TrainingState, Ints]:
    """Return the state before the first step, and the row (V,) of each row in the earlier table.

    fresh: the drawn state; its tables have the rows of the new log. A row -1 is new.
    """
    log, task = prepared.loaded.log, prepared.task
    served = start.served
    rows = item_table_rows(served, log, config)
    rows_by_table = {"items": rows, "profile": profile_rows(served.vocabulary, prepared.vocabulary)}
    earlier = flatten(served.model.params)
    arrays = {
        name: map_rows(earlier[name], rows_by_table.get(name), new)
        for name, new in flatten(fresh.params).items()
    }
    fill_new_values(arrays["items"], rows, log, config)
    fill_new_items(arrays["items"], rows, task.catalogue)
    return fresh._replace(params=unflatten(arrays, type(fresh.params))), rows  # model-R58


def item_table_rows(served: ServedModel, log: InteractionLog, config: Config) -> Ints:
    """Return for each row of the new item table (V,) its row in the earlier table, or -1.

    An item, or a value of an item feature, has -1 if the earlier table lacks it, or if no training
    example of the earlier run used it: only negatives changed such a row.
    """
    is_trained = trained_rows(served.model.catalogue, len(served.model.params.items))
    ids = served.items.ids
    matched = match_rows(ids, log.item_ids, 0)  # model-R56
    first = len(ids)  # row of the first value of a feature
    earlier_values = served.facts.get("item_features", {})
    for feature in select_features(log.item_features, config.item_features, "item"):
        matched += match_rows(earlier_values[feature.name], feature.values, first)
        first += len(earlier_values[feature.name])
    rows = np.array(matched, np.int64)
    return np.where((rows >= 0) & is_trained[rows], rows, -1)


def match_rows(old: Iterable[str], new: Iterable[str], first: int) -> list[int]:
    """Return for each name of `new` its index in `old` plus `first`; -1 if it is not in `old`."""
    index = {name: first + i for i, name in enumerate(old)}
    return [index.get(name, -1) for name in new]


def trained_rows(catalogue: Catalogue, num_rows: int) -> Bools:
    """Return which rows (V,) of an item table are trained: a served catalogue uses no others."""
    is_trained = np.zeros(num_rows, np.bool_)
    is_trained[catalogue.rows[catalogue.weights > 0]] = True
    return is_trained


def profile_rows(old: Vocabulary, new: Vocabulary) -> Ints:
    """Return for each row of the new profile table (W,) its row in the earlier table.

    A new value has the row "unknown" of its feature, which serving used for it (model-R34).
    """
    rows: list[int] = []
    for name, values in new.values.items():
        unknown = old.starts[name]
        matched = match_rows(old.values[name], values, unknown + 1)
        rows += [unknown, *(unknown if row < 0 else row for row in matched)]  # model-R56
    return np.array(rows, np.int64)


def map_rows(earlier: Array, rows: Ints | None, new: Array) -> Array:
    """Return the earlier array in the rows and the dtype of the new one.

    rows: row of the earlier array for each new row, -1 to keep the new one; None: all rows.
    """
    if rows is None:
        return earlier.astype(new.dtype)  # model-R75: a copy, because steps change it in place
    mapped = new.copy()
    is_known = rows >= 0
    mapped[is_known] = earlier[rows[is_known]]
    return mapped


def fill_new_values(table: Array, rows: Ints, log: InteractionLog, config: Config) -> None:
    """Set the rows of new feature values to the mean of the known rows of their feature.

    rows (V,): row of each table row in the earlier table, -1 for a new one.
    """
    stop = len(log.item_ids)  # the rows of feature values are behind those of ids
    for feature in select_features(log.item_features, config.item_features, "item"):
        start, stop = stop, stop + len(feature.values)
        feature_rows = table[start:stop]  # a view: the table changes
        is_new = rows[start:stop] < 0
        if is_new.any() and not is_new.all():
            feature_rows[is_new] = feature_rows[~is_new].mean(axis=0)  # model-R57


def fill_new_items(table: Array, rows: Ints, catalogue: Catalogue) -> None:
    """Set the id rows of new items to the vector of their features, or to the mean of known items.

    The vector of an item is the weighted mean of its id row and of the rows of its features. If the
    id row is the vector of the features, the mean is this vector too.
    """
    num_items = len(catalogue.rows)
    is_new, id_rows = rows[:num_items] < 0, table[:num_items]  # id_rows: a view
    if is_new.all():
        return
    if is_new.any():
        id_rows[is_new] = id_rows[~is_new].mean(axis=0)  # model-R57; kept without features
    # column 0 has the id rows, the others those of features
    feature_rows, weights = catalogue.rows[is_new, 1:], catalogue.weights[is_new, 1:]
    totals = weights.sum(axis=1)
    has_features = totals > 0
    vectors = np.zeros((int(has_features.sum()), table.shape[1]), table.dtype)
    columns = zip(feature_rows[has_features].T, weights[has_features].T, strict=True)
    for column_rows, column_weights in columns:
        vectors += column_weights[:, None] * table[column_rows]
    id_rows[np.flatnonzero(is_new)[has_features]] = vectors / totals[has_features, None]
