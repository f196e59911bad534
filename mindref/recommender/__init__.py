"""Fit a log, then compute interests and recommendations: the Python interface.

MIND               the estimator: fit, save, load, interests, recommend, similar_items
training_run       one training and its run directory
trainer            training of a family that recalls; evaluation; resuming
rerank_trainer     training of DIN on the candidates of a recall run
serving            a trained model that recommends for histories and users
evaluate_run       validation metric, report of a model, evaluation of a run on any log
bulk               recommended lists of users from a run directory and its index
sharding           recommended lists of all users in shards, on one machine or an executor
rerank             reranking of candidates with DIN, and the gain
din_indexability   how much of DIN's scores an index of item vectors can hold
export             a trained model as files for serving without mindref
export_check       comparison of an exported file with the reference
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
from mindref.recall.lists import Recommendation
from mindref.recommender.serving import ServedModel
from mindref.recommender.trainer import Hooks, Trainer
from mindref.run import atomic, checkpoint, lock, report
from mindref.run import items as catalogue
from mindref.run.folder import check_free
from mindref.run.source import open_fit_data

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
        self._served: ServedModel | None = None

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
        """Train, evaluate on the test cases (`self.report`), and return self.

        data is a path, a DataFrame of any library or a mapping of columns, an InteractionLog, an
        array of user ids with `items` and `times` beside it, or None for the built-in catalogue.
        `reading` names columns (user, item, time, title) that have no usual names; for a path it
        holds all options of `read_log` and `Columns`, for arrays `titles`, `item_features`,
        `user_features` and `keep_duplicates`. `run` is a new run directory; `device` is where the
        backend computes: cpu, cuda or auto.
        Raises DataError, ConfigError or RunError before the training starts.
        """
        source, loaded = open_fit_data(data, items, times, reading)
        trainer = Trainer(
            source, loaded, protocol, self.config, Path(run) if run else None, exclude_seen, device
        )
        with new_run_lock(trainer.run):
            trainer.create()
            trainer.train(hooks)
            self.report = trainer.evaluate()
        self._served = ServedModel.from_trainer(trainer)
        return self

    def save(self, run: str | Path) -> None:
        """Write a run directory that `load`, `mindref recall` and `mindref evaluate` read.

        A run of arrays, a table or a log in memory recommends for histories. Users by id, and
        evaluation, need the log as a file (`--data`). The optimiser state is not saved. Raises
        RunError if the folder holds a run, MindrefError before `fit` or `load`.
        """
        served, folder = self.served, Path(run)
        with new_run_lock(folder):
            self.write(served, folder)

    def write(self, served: ServedModel, folder: Path) -> None:
        """Write the run directory of a served model."""
        ids, counts, titles = served.items
        digest = catalogue.write_items(
            folder / "items.tsv", ids, np.array(counts, np.int64), titles
        )
        model, facts = served.model, {**served.facts, "items": digest}
        identity = checkpoint.run_identity(model.config, facts)
        arguments = (model.params, model.catalogue, served.step, model.config.model)
        checkpoint.save_model(folder, *arguments, identity)
        if self.report:
            report.save_report(folder, self.report, identity)
        checkpoint.save_config(folder, model.config, facts)  # last: now it is a run

    @property
    def served(self) -> ServedModel:
        """The trained model. Raises MindrefError before `fit` or `load`."""
        if self._served is None:
            raise MindrefError(say("MIND", "a trained model", "none", "call fit or mindref.load"))
        return self._served

    def interests(self, histories: Iterable[Sequence[str]]) -> Interests:
        """Return the interests of histories of item ids: vectors (C, K, D), active (C, K), ...

        Items that are not in the catalogue are ignored.
        """
        rows = list(check_iterable("histories", histories))
        for history in rows:
            check_iterable("history", history)
        return self.served.interests(rows)

    def recommend(
        self,
        history: Sequence[str] | None = None,
        n: int = 10,
        *,
        user: str | None = None,
        exclude_seen: bool = True,
    ) -> list[Recommendation]:
        """Return the top-n items for a history of item ids, or for a user of the log."""
        if history is not None:
            check_iterable("history", history)
        return self.served.recommend(history, n, user=user, exclude_seen=exclude_seen)

    def similar_items(self, item: str, n: int = 10) -> list[Recommendation]:
        """Return the n items with the largest cosine to an item, without the item."""
        return self.served.similar_items(item, n)

    @classmethod
    def load(cls, run: str | Path, *, device: str = "cpu", backend: str | None = None) -> MIND:
        """Return the model of a run directory, with its `report` if it has one.

        backend: computes on `device`, by default the backend of the run. Raises RunError for a
        damaged run.
        """
        if not isinstance(run, str | Path):
            raise ConfigError(say("load: run", "the path of a run directory", repr(run)))
        model, folder = cls(), Path(run)
        model._served = ServedModel.load(folder, backend, device)
        model.config = model._served.model.config
        identity = checkpoint.run_identity(model.config, model._served.facts)
        model.report = read_report(folder, identity)
        return model


@contextmanager
def new_run_lock(run: Path | None) -> Iterator[None]:
    """Create the folder of a new run, if any, and hold its lock in the block."""
    if run is None:
        yield
        return
    check_free(run)
    with atomic.explain_errors(run):
        run.mkdir(parents=True, exist_ok=True)
    with lock.lock_inside(run) as warning:
        if warning:
            warnings.warn(warning, RuntimeWarning, stacklevel=4)
        check_free(run)  # another process may have created a run meanwhile
        yield


def load(run: str | Path, *, device: str = "cpu", backend: str | None = None) -> MIND:
    """Return the model of a run directory. Raises as `MIND.load`."""
    return MIND.load(run, device=device, backend=backend)


def read_report(run: Path, identity: str) -> dict[str, Any]:
    """Return the content of report.json, empty if there is none. Raises RunError for damage."""
    try:
        return report.load_report(run, identity, "remove it")
    except FileNotFoundError:
        return {}


def check_iterable(name: str, values: Any) -> Iterable[Any]:
    """Return the values if they are iterable. Raises ConfigError if not."""
    if not isinstance(values, Iterable):
        expected = "a list of item ids" if name == "history" else "a list of lists of item ids"
        raise ConfigError(say(name, expected, repr(values)))
    return values
