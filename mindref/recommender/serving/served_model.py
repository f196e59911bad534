"""A trained model in serving: recommendations for histories and for users of the log."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mindref.arguments import is_iterable
from mindref.backend import Backend, check_installed, load_backend
from mindref.data.frames import id_as_text
from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.data.quoting import join_names
from mindref.data.readers.advice import UnnamedColumnError
from mindref.errors import ConfigError, DataError, RunError, say, value_text
from mindref.models import features
from mindref.models.family import family_of
from mindref.models.features import Vocabulary
from mindref.models.parameters import Sizes
from mindref.models.popularity import popularity_order
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, Model, compute_interests
from mindref.recall.lists import Recommendation
from mindref.recall.top_n import TopN
from mindref.recommender.serving.item_names import ItemNames
from mindref.recommender.serving.top_n_lists import PopularItems, servable_matrix
from mindref.run import array_files, checkpoint, validate
from mindref.run import items as catalogue_file
from mindref.run.items import Items, typed_ids
from mindref.run.source import BUILT_IN, LoadedLog, Source, fingerprint, translate_items
from mindref.shapes import Array, Bools


@dataclass(eq=False)
class ServedModel:
    """A trained model with its catalogue. The log is read when a user is requested by id."""

    model: Model
    items: Items
    vocabulary: Vocabulary
    source: Source
    facts: Mapping[str, Any]  # from config.json, without the settings
    step: int  # of the parameters
    training_log: InteractionLog | None = None  # of a training in this process
    chosen_backend: str | None = None  # None: the run selects the backend
    device: str = "cpu"
    has_named_log: bool = False  # `training_log` is another log than that of the training

    def __post_init__(self) -> None:
        self.servable = ServableItems.of(self.model.catalogue)
        self.dense = {self.items.ids[i]: i for i in self.servable.ids.tolist()}
        self.names = ItemNames(self.items, self.dense)
        integer_ids = self.facts.get("integer_ids", ())
        # data-R94
        self.item_ids = typed_ids(self.items.ids, are_integers="item" in integer_ids)

    def with_log(self, source: Source, log: InteractionLog) -> ServedModel:
        """Return this model with the users of another log, which the user names."""
        served = copy.copy(self)
        served.source, served.training_log, served.has_named_log = source, log, True
        for name in ("log", "users", "has_training_log"):
            vars(served).pop(name, None)
        return served

    @classmethod
    def load(
        cls,
        run: Path,
        backend: str | None = None,
        device: str = "cpu",
        data: Path | None = None,
        check_items: Callable[[Items], None] | None = None,
    ) -> ServedModel:
        """Return the model of a run directory.

        backend: by default that of the run; data: new path of the log, if it has moved;
        check_items: receives the catalogue before the parameters are read, to raise an error early.
        Raises RunError for a damaged run.
        """
        config, facts = checkpoint.load_config(run)
        items = catalogue_file.read_items(run / "items.tsv", facts["items"])
        if check_items is not None:
            check_items(items)
        identity = checkpoint.run_identity(config, facts)
        stored = checkpoint.load_best(run, identity, config.model)
        params, catalogue = stored.params, stored.catalogue
        validate.check_model(
            run / array_files.MODEL, params, catalogue, config, Sizes(**facts["sizes"])
        )
        if len(items.ids) != len(catalogue.rows):
            subject, got = str(run / "items.tsv"), len(items.ids)
            raise RunError(say(subject, f"{len(catalogue.rows)} items", got, catalogue_file.TODO))
        vocabulary = Vocabulary(facts["user_features"])
        source = Source.of_run(run, config, facts)
        if data is not None:
            source = source.moved(data)
        return cls(
            model=Model(params, catalogue, config).with_terms(
                stored.terms, np.array(items.counts, np.int64)
            ),
            items=items,
            vocabulary=vocabulary,
            source=source,
            facts=facts,
            step=stored.step,
            chosen_backend=backend,
            device=device,
        )

    @cached_property
    def log(self) -> InteractionLog:
        """The log of the run, read on first use."""
        if self.training_log is not None:
            return self.training_log
        try:
            return self.source.again().log  # security-R14
        except UnnamedColumnError as error:  # --user is no column in a command that serves
            todo = "give the columns the names of the run's log, or user, item and time"
            raise DataError(f"{error.fact}; {todo}") from error  # recall-R57

    @property
    def loaded(self) -> LoadedLog:
        """The log, with the true interests of the built-in catalogue."""
        is_built_in = self.source.location == BUILT_IN
        return self.source.read() if is_built_in else LoadedLog(self.log)

    @property
    def backend_name(self) -> str:
        """Name of the backend that computes interests."""
        return str(self.chosen_backend or self.model.config.backend)

    @cached_property
    def backend(self) -> Backend:
        """The backend, loaded on first use. Raises BackendError if it is not installed.

        Two threads may load it twice; both objects give the same results (recall-R41).
        """
        if self.chosen_backend is None:
            check_installed(self.backend_name, "the backend of the run")
        return load_backend(self.backend_name, self.device)

    def load_backend(self) -> ServedModel:
        """Return self with the backend loaded, so that errors come before the log is read."""
        _ = self.backend
        return self

    @cached_property
    def item_vectors(self) -> Array:
        """Vectors of the servable items (M, D). Raises ConfigError for a family that has none."""
        self.require_vectors("items", "a model with vectors of items")
        return servable_matrix(self.model, self.servable)

    @cached_property
    def unit_vectors(self) -> Array:
        """Vectors of the servable items (M, D) at length 1. Raises as `item_vectors`."""
        norms = np.linalg.norm(self.item_vectors, axis=1, keepdims=True)
        return np.asarray(self.item_vectors / np.where(norms > 0, norms, 1))

    @cached_property
    def popular_items(self) -> PopularItems:
        """The servable items by popularity, sorted on first use."""
        counts = np.array(self.items.counts, np.int64)[self.servable.ids]
        return PopularItems(popularity_order(counts), counts)

    @property
    def scores_only(self) -> bool:
        """Whether the family of the model has only scores, and no vectors for an index."""
        return not family_of(self.model.config.model).has_vectors

    def require_vectors(self, subject: str, expected: str) -> None:
        """Raise ConfigError for a family that has only scores."""
        if self.scores_only:
            got = f"a run of {self.model.config.model}, which has only scores"
            raise ConfigError(say(subject, expected, got))

    @cached_property
    def users(self) -> dict[str, int]:
        """External user id -> dense id in the log."""
        return {name: i for i, name in enumerate(self.log.user_ids)}

    def encode(
        self,
        histories: Iterable[Sequence[object]],
        subject: str = "history",
        *,
        titles: bool = False,
    ) -> tuple[Ragged, list[list[str]]]:
        """Return histories as dense ids without unknown items, and the unknown items of each.

        titles: an item may be named by its title too. An item without a vector is unknown to the
        model. Raises DataError for a title of several items, ConfigError for another type.
        """
        rows, unknown = list[list[int]](), list[list[str]]()
        for history in histories:
            # the characters of a text would be read as items
            if not is_iterable(history):
                got = value_text(history, quoted=True)
                raise ConfigError(say("history", "a list of item ids", got))
            row, unknown_names = list[int](), list[str]()
            for item in history:
                name = item if isinstance(item, str) and item else id_as_text(item, subject)
                row_of_id = self.dense.get(name)
                if row_of_id is None and titles:  # recall-R54
                    row_of_id = self.names.find(name, subject)
                if row_of_id is None:
                    unknown_names.append(name)
                else:
                    row.append(row_of_id)
            rows.append(row)
            unknown.append(unknown_names)
        return Ragged.of(rows), unknown

    def draw_histories(self, rng: np.random.Generator, lengths: Ints) -> Ragged:
        """Return histories of these lengths (C,), with servable items drawn by their counts."""
        weights = (np.array(self.items.counts, float) + 1) * self.servable.is_servable
        values = rng.choice(len(weights), lengths.sum(), p=weights / weights.sum())
        return Ragged(np.concatenate([[0], np.cumsum(lengths)]), values.astype(np.int64))

    def unknown_profile(self, cases: int) -> Ints:
        """Return profiles of users without known features (C, G)."""
        starts = list(self.vocabulary.starts.values())
        return np.tile(np.array(starts, np.int64), (cases, 1))

    def is_unknown_user(self, histories: Ragged, profiles: Ints) -> Bools:
        """Return whether nothing is known of a user (C,): no behaviours, and no features (C, G)."""
        has_features = (profiles != self.unknown_profile(len(profiles))).any(axis=1)
        return (histories.lengths == 0) & ~has_features

    def interests(
        self, histories: Iterable[Sequence[str]], rng: np.random.Generator | None = None
    ) -> Interests:
        """Return the interests of histories of ids. Raises ConfigError for a family without.

        rng: generator of logits that are drawn per call; None: from the seed.
        """
        self.require_vectors("interests", "a model with vectors of users")
        rows = self.servable.select(self.encode(histories)[0])
        profiles = self.unknown_profile(len(rows))
        return compute_interests(self.model, rows, profiles, self.backend, rng, couplings=True)

    @cached_property
    def has_training_log(self) -> bool:
        """Whether the log is the log of the training."""
        return bool(fingerprint(self.log) == self.facts["log"])

    def encode_users(
        self, names: Sequence[str], subject: str = "--user"
    ) -> tuple[Ragged, Ints, int]:
        """Return histories and profiles of users of the log, and the number of unknown behaviours.

        Raises DataError for an unknown user, and if every behaviour is unknown.
        """
        missing = [name for name in names if name not in self.users]
        if missing:
            expected = f"one of the {len(self.users)} users of the log"
            todo = "give a history of items instead; no user needs to be known"
            raise DataError(say(subject, expected, join_names(missing, quoted=True), todo))
        users = np.array([self.users[name] for name in names], np.int64)
        rows = self.log.interactions.take(users)
        known_rows, unknown = translate_items(rows, self.log, self.items.ids)
        if unknown and not len(known_rows.values):
            expected = "users of items that the run knows"
            got = f"{unknown} behaviours, all unknown"
            todo = "name the log that the run was trained on"
            raise DataError(say("--data", expected, got, todo))
        return known_rows, features.user_profiles(self.log, self.vocabulary, users), unknown

    def recommendations(self, ranked: TopN, case: int) -> list[Recommendation]:
        """Return the list of one case with external ids, see `item_ids`, and titles."""
        rows = zip(ranked.items[case], ranked.scores[case], ranked.interests[case], strict=True)
        return [
            Recommendation(self.item_ids[i], self.items.titles[i], float(score), int(interest))
            for i, score, interest in rows
            if i >= 0
        ]
