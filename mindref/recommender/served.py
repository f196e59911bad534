"""A trained model that answers: for histories it has never seen, as for users of its log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import Backend, check_installed, load
from mindref.data.frames import as_id
from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.data.splits import slices
from mindref.data.streams import stream
from mindref.errors import ConfigError, DataError, RunError, say
from mindref.evaluation import top_n
from mindref.models.families import by_scores, family
from mindref.models.parameters import Sizes
from mindref.models.serving import Interests, Model, interests, item_matrix
from mindref.recommender import features
from mindref.recommender.features import Vocabulary
from mindref.recommender.ranked import best
from mindref.recommender.run import Trainer
from mindref.run import checkpoint, validate
from mindref.run import items as catalogue_file
from mindref.run.items import Items
from mindref.run.source import Source, fingerprint, translate
from mindref.shapes import Array


class Recommendation(NamedTuple):
    """An item of a list, and the interest that brought it."""

    item: str  # external id
    title: str  # empty where unknown
    score: float
    interest: int  # from 0


class Served:
    """A model with its catalogue; the log is read only when a user is asked for by id."""

    def __init__(
        self,
        model: Model,
        items: Items,
        vocabulary: Vocabulary,
        source: Source,
        facts: dict[str, Any],
        step: int,
        log: InteractionLog | None = None,
        backend: str | None = None,
        device: str = "cpu",
    ) -> None:
        self.model, self.items, self.vocabulary = model, items, vocabulary
        self.source = source
        self.facts = facts  # of config.json, beside the settings
        self.step = step  # of the parameters
        self._log = log
        self.backend_name, self.device = backend or model.config.backend, device
        self.run_says = backend is None  # who computes
        self.rng = stream(model.config.seed, "serving")  # moves on with every request
        self.dense = {name: i for i, name in enumerate(items.ids)}

    @classmethod
    def of(cls, trainer: Trainer) -> Served:
        """Return what a finished training serves."""
        log = trainer.prepared.loaded.log
        titles = list(log.titles) if log.titles is not None else [""] * len(log.item_ids)
        items = Items(list(log.item_ids), trainer.prepared.counts.tolist(), titles)
        vocabulary = trainer.prepared.vocabulary
        facts, step = trainer.facts(), trainer.state.best_step
        given = trainer.model(), items, vocabulary, trainer.source, facts, step, log
        return cls(*given, backend=trainer.config.backend, device=trainer.device)

    @classmethod
    def load(cls, run: Path, backend: str | None = None, device: str = "cpu") -> Served:
        """Return what a run directory serves, by the backend that trained it or another.

        Raises RunError for a damaged or foreign one.
        """
        config, facts = checkpoint.load_config(run)
        items = catalogue_file.read(run / "items.tsv", facts["items"])
        whose = checkpoint.identity(config, facts), config.model
        params, catalogue, step = checkpoint.load_best(run, *whose)
        validate.check(run / checkpoint.MODEL, params, catalogue, config, Sizes(**facts["sizes"]))
        if len(items.ids) != len(catalogue.rows):
            where, got = str(run / "items.tsv"), len(items.ids)
            raise RunError(say(where, f"{len(catalogue.rows)} items", got, catalogue_file.TODO))
        vocabulary = Vocabulary(facts["user_features"])
        source = Source(**facts["source"])
        model = Model(params, catalogue, config)
        return cls(model, items, vocabulary, source, facts, step, backend=backend, device=device)

    @property
    def log(self) -> InteractionLog:
        """The log of the run, read on first use."""
        if self._log is None:  # security-R14
            self._log = self.source.again().log
        return self._log

    @cached_property
    def backend(self) -> Backend:
        """Who computes the interests, loaded on first use. BackendError where it is not there.

        Two threads that come first together may load one each, which answer alike (recall-R41).
        """
        if self.run_says:
            check_installed(self.backend_name, "the backend of the run")
        return load(self.backend_name, self.device)

    def ready(self) -> Served:
        """Return self, the backend loaded: what is not there is said before a log is read."""
        _ = self.backend
        return self

    def served(self, rows: Ragged, profiles: Ints, *, couplings: bool = False) -> Interests:
        """Return the interests of histories in dense ids."""
        given = (self.model, rows, profiles, self.backend, self.rng)
        return interests(*given, couplings=couplings)

    @cached_property
    def item_vectors(self) -> Array:
        """Vectors of all items (N, D). Raises ConfigError for a family that has none."""
        if self.by_scores:
            got = f"a run of {self.model.config.model}, which has scores alone"
            raise ConfigError(say("items", "a model with vectors of items", got))
        return item_matrix(self.model)

    @property
    def by_scores(self) -> bool:
        """Whether the family of the model has scores alone, and nothing that an index searches."""
        return by_scores(family(self.model.config.model))

    @cached_property
    def users(self) -> dict[str, int]:
        """External user id -> dense id in the log."""
        return {name: i for i, name in enumerate(self.log.user_ids)}

    def encode(self, histories: Iterable[Sequence[str]]) -> tuple[Ragged, list[str]]:
        """Return histories as dense ids without unknown items, and the unknown ones."""
        rows, unknown = [], []
        for history in histories:
            if isinstance(history, str | bytes):  # whose letters would pass for items
                raise ConfigError(say("history", "a list of item ids", repr(history)))
            names = [as_id(item, "history") for item in history]
            unknown += [name for name in names if name not in self.dense]
            rows.append([self.dense[name] for name in names if name in self.dense])
        return Ragged.of(rows), unknown

    def known(self, history: Sequence[str], where: str) -> tuple[Ragged, list[str]]:
        """Return what `encode` does of one history; DataError when it knows none of the items."""
        rows, unknown = self.encode([history])
        if unknown and not len(rows.values):
            raise DataError(say(where, "an item of the catalogue", ", ".join(unknown[:5])))
        return rows, unknown

    def unknown_profile(self, cases: int) -> Ints:
        """Return profiles of users of whom nothing is known (C, G)."""
        starts = list(self.vocabulary.starts.values())
        return np.tile(np.array(starts, np.int64), (cases, 1))

    def interests(self, histories: Iterable[Sequence[str]]) -> Interests:
        """Return the interests of histories. Raises ConfigError for a family that has none."""
        if self.by_scores:
            got = f"a run of {self.model.config.model}, which has scores alone"
            raise ConfigError(say("interests", "a model with vectors of users", got))
        rows, _ = self.encode(histories)
        return self.served(rows, self.unknown_profile(len(rows)), couplings=True)

    @cached_property
    def is_trained_on(self) -> bool:
        """Whether the log is the very one of the run."""
        return bool(fingerprint(self.log) == self.facts["log"])

    def of_users(self, names: Sequence[Any]) -> tuple[Ragged, Ints, int]:
        """Return histories and profiles of users of the log, and how many behaviours are unknown.

        DataError for an unknown user, and when all that these users have had is unknown.
        """
        names = [as_id(name, "user") for name in names]
        missing = [name for name in names if name not in self.users]
        if missing:
            expected, got = f"one of the {len(self.users)} users of the log", ", ".join(missing[:5])
            todo = "give a history of items instead; no user needs to be known"
            raise DataError(say("--user", expected, got, todo))
        users = np.array([self.users[name] for name in names], np.int64)
        lengths = self.log.events.lengths[users]
        rows = slices(self.log.events, users, np.zeros_like(lengths), lengths)
        known, unknown = translate(rows, self.log, self.items.ids)
        if unknown and not len(known.values):
            expected, got = (
                "users of items that the run knows",
                f"{unknown} behaviours, all unknown",
            )
            raise DataError(
                say("--data", expected, got, "name the log that the run was trained on")
            )
        return known, features.profiles(self.log, self.vocabulary, users), unknown

    def recommend(
        self,
        history: Sequence[str] | None = None,
        n: int = 10,
        *,
        user: str | None = None,
        exclude_seen: bool = True,
    ) -> list[Recommendation]:
        """Return the n best items for a history or a user, exactly, best first.

        Unknown items are left out; DataError when a history has others only, or for no such user.
        """
        if (history is None) == (user is None):
            raise ConfigError(say("recommend", "a history or a user", "both or neither"))
        if history is not None:
            rows, _ = self.known(history, "history")
            profile = self.unknown_profile(1)
        else:
            rows, profile, _ = self.of_users([user])
        exclude = rows if exclude_seen else None
        vectors = None if self.by_scores else self.item_vectors
        given: Any = {"n": n, "exclude": exclude, "backend": self.backend, "rng": self.rng}
        return self.listed(best(self.model, rows, profile, items=vectors, **given).ranked, 0)

    def similar_items(self, item: str, n: int = 10) -> list[Recommendation]:
        """Return the n items nearest to an item by cosine. Raises DataError for an unknown item."""
        name = as_id(item, "item")
        if name not in self.dense:
            raise DataError(say("item", "an id of the catalogue", repr(name)))
        dense = self.dense[name]
        length = np.linalg.norm(self.item_vectors, axis=1, keepdims=True)
        units = self.item_vectors / np.where(length > 0, length, 1)
        query = units[dense][None, None]
        itself = Ragged.of([[dense]])
        return self.listed(top_n.top_n(query, np.ones((1, 1), bool), units, n=n, exclude=itself), 0)

    def listed(self, ranked: Any, case: int) -> list[Recommendation]:
        """Return one list of a ranking with external ids and titles."""
        rows = zip(ranked.items[case], ranked.scores[case], ranked.interests[case], strict=True)
        return [
            Recommendation(self.items.ids[i], self.items.titles[i], float(score), int(interest))
            for i, score, interest in rows
            if i >= 0
        ]
