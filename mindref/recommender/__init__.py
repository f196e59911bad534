"""All of it in a few lines: fit a log, ask for interests and recommendations.

source     where a log comes from
given      whatever `fit` was given, as a log
features   side features and profiles as rows of tables
prepared   a log made ready: split and laid out
judging    the validation metric, the final report
folder     the folder of a run: whether it is free, and making it
run        training into a run directory, and resuming it
items      the catalogue of a run as a file
report     what the run was found to be worth, as a file
served     a trained model that answers
export     a trained model as files, for others to serve
exported   whether such a file answers as the reference does
bulk       lists of one user, one history or everybody, by an index that is checked
kept_index the index of a run: the one that is there, or built now
lists      lists as a table, TSV, JSON lines or JSON
shares     the lists of everybody, in shares or over an executor
parts      what a share is as a file, and all of them as one
ranker     DIN trained on what a run recalls
rerank     what was recalled in another order, and what that is worth
ranking_run     training it into a run directory, resuming and judging it
ranking_files   the files of it: model, state, report
ranking_config  what its config.json says
factorised what the best inner product could keep of a ranking stage
MIND       the estimator: fit, save, load, interests, recommend, similar_items
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.errors import ConfigError, MindrefError, say
from mindref.models.serving import Interests
from mindref.recommender.given import open_data
from mindref.recommender.run import Hooks, Trainer
from mindref.recommender.served import Recommendation, Served
from mindref.run import atomic, checkpoint, lock, report
from mindref.run import items as catalogue
from mindref.run.folder import check_free

__all__ = ["MIND", "Recommendation", "load"]


class MIND:
    """The multi-interest network with dynamic routing, from a log to recommendations.

    Spec: specs/model.md. Source: Li et al., CIKM 2019. Settings by name as in `mindref train`, for
    example `MIND(interests=4, window=20, steps=2000)`; `preset="paper"` follows the paper.

        model = MIND(steps=300).fit("ratings.dat")
        model.recommend(["2571", "589"], n=5)   # a history of item ids, oldest first
    """

    def __init__(self, preset: str = "default", **settings: Any) -> None:
        self.config = Config.of(preset, settings)
        self.report: dict[str, Any] = {}
        self._served: Served | None = None

    def fit(
        self,
        data: Any = None,
        items: Sequence[Any] | None = None,
        times: Sequence[Any] | None = None,
        *,
        protocol: str = "leave_last_out",
        run: str | Path | None = None,
        exclude_seen: bool = True,
        device: str = "cpu",
        hooks: Hooks | None = None,
        **reading: Any,
    ) -> MIND:
        """Train, judge on the test cases (`self.report`), and return self.

        data is a path, a DataFrame of any library or a mapping of columns, an InteractionLog, an
        array of user ids with `items` and `times` beside it, or None for the built-in catalogue.
        `reading` names columns (user, item, time, title) that have no usual names; for a path it
        holds all options of `read_log` and `Columns`, for arrays `titles`, `item_features`,
        `user_features` and `keep_duplicates`. `run` keeps all in a directory; `device` is where the
        backend computes: cpu, cuda or auto.
        Raises DataError, ConfigError or RunError before the training starts.
        """
        source, loaded = open_data(data, items, times, reading)
        trainer = Trainer(
            source, loaded, protocol, self.config, Path(run) if run else None, exclude_seen, device
        )
        with alone(trainer.run):
            trainer.create()
            trainer.go(hooks)
            self.report = trainer.judge()
        self._served = Served.of(trainer)
        return self

    def save(self, run: str | Path) -> None:
        """Write a run directory that `load`, `mindref recall` and `mindref evaluate` read.

        A model of arrays, a table or a log in memory can be served by history from there; users by
        id, and judging, need the log as a file (`--data`). The state of the optimiser is not kept.
        Raises RunError if a run lies there already, MindrefError before `fit` or `load`.
        """
        served, folder = self.served, Path(run)
        with alone(folder):
            self.write(served, folder)

    def write(self, served: Served, folder: Path) -> None:
        """Write the files of a run that is served."""
        ids, counts, titles = served.items
        found = catalogue.write(folder / "items.tsv", ids, np.array(counts, np.int64), titles)
        model, facts = served.model, {**served.facts, "items": found}
        identity = checkpoint.identity(model.config, facts)
        given = (model.params, model.catalogue, served.step, model.config.model)
        checkpoint.save_model(folder, *given, identity)
        if self.report:
            report.save(folder, self.report, identity)
        checkpoint.save_config(folder, model.config, facts)  # last: now it is a run

    @property
    def served(self) -> Served:
        """The trained model that answers. Raises MindrefError before `fit` or `load`."""
        if self._served is None:
            raise MindrefError(say("MIND", "a trained model", "none", "call fit or mindref.load"))
        return self._served

    def interests(self, histories: Iterable[Sequence[str]]) -> Interests:
        """Return the interests of histories of item ids: vectors (C, K, D), active (C, K), more.

        Items that the catalogue does not know are left out.
        """
        rows = list(many("histories", histories))
        for history in rows:
            many("history", history)
        return self.served.interests(rows)

    def recommend(
        self,
        history: Sequence[str] | None = None,
        n: int = 10,
        *,
        user: str | None = None,
        exclude_seen: bool = True,
    ) -> list[Recommendation]:
        """Return the n best items for a history of item ids, or for a user of the log."""
        if history is not None:
            many("history", history)
        return self.served.recommend(history, n, user=user, exclude_seen=exclude_seen)

    def similar_items(self, item: str, n: int = 10) -> list[Recommendation]:
        """Return the n items nearest to an item by the cosine of their vectors, without itself."""
        return self.served.similar_items(item, n)

    @classmethod
    def load(cls, run: str | Path, *, device: str = "cpu", backend: str | None = None) -> MIND:
        """Return the model of a run directory, its `report` with it where there is one.

        Its backend, or the one that is named, computes on `device`. Raises RunError for a damaged
        or foreign run.
        """
        if not isinstance(run, str | Path):
            raise ConfigError(say("load: run", "the path of a run directory", repr(run)))
        model, folder = cls(), Path(run)
        model._served = Served.load(folder, backend, device)
        model.config = model._served.model.config
        identity = checkpoint.identity(model.config, model._served.facts)
        model.report = report_of(folder, identity)
        return model


@contextmanager
def alone(run: Path | None) -> Iterator[None]:
    """Make the folder of a new run, if any, and hold its lock while the block runs."""
    if run is None:
        yield
        return
    check_free(run)
    with atomic.explained(run):
        run.mkdir(parents=True, exist_ok=True)
    with lock.inside(run) as said:
        if said:
            warnings.warn(said, RuntimeWarning, stacklevel=4)
        check_free(run)  # it may be another one's by now
        yield


def load(run: str | Path, *, device: str = "cpu", backend: str | None = None) -> MIND:
    """Return the model of a run directory. Raises as `MIND.load`."""
    return MIND.load(run, device=device, backend=backend)


def report_of(run: Path, identity: str) -> dict[str, Any]:
    """Return what report.json holds, nothing where there is none. Raises RunError for damage."""
    try:
        return report.load(run, identity, "remove it")
    except FileNotFoundError:
        return {}


def many(name: str, values: Any) -> Iterable[Any]:
    """Return values that can be gone through. Raises ConfigError for others."""
    if not isinstance(values, Iterable):
        what = "a list of item ids" if name == "history" else "a list of lists of item ids"
        raise ConfigError(say(name, what, repr(values)))
    return values
