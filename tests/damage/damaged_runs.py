"""Trained runs of all kinds, their files, and queries.

A query maps a copy of the folder to an answer that can be compared bit by bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models.din_config import DinConfig
from mindref.models.parameters import flatten
from mindref.recall import shard_file
from mindref.recommender import load
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training import rerank_trainer
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.rerank_trainer import (
    RerankTrainer,
    load_rerank_report,
    load_reranker,
)
from mindref.recommender.training.trainer import Hooks, Trainer, resume_run
from mindref.run import array_files, checkpoint
from mindref.run.source import Source
from tests.list_requests import recalled, write_lists
from tests.recommender.test_rerank_training import SMALL as STAGE
from tests.runs import SMALL, SOURCE, loaded, stop_after

HISTORIES = (["article-0007", "article-0005", "article-0009"], ["article-0003"])
OTHER_LOG = Source.of(None, {"users": 60, "items": 120, "seed": 3})
Query = Callable[[Path], Any]


class DamagedFolder(NamedTuple):
    """A folder whose copies are damaged."""

    name: str
    folder: Path
    files: list[str]  # relative
    queries: dict[str, Query]
    others: dict[str, Path]  # description -> a folder with files of the same names


def train_small_run(run: Path, source: Source = SOURCE, **changes: Any) -> Path:
    """Train and evaluate a small run. It is stopped before its last step, so it can be resumed."""
    config = Config.of("mind", {**SMALL, "backend": "numpy", **changes})
    log = loaded() if source is SOURCE else source.read()
    trainer = Trainer(TrainingPlan({"mind": config}, source, "leave_last_out", run=run), log)
    trainer.create()
    trainer.train(stop_after(5))
    trainer.evaluate()
    return run


def files_of(folder: Path) -> list[str]:
    """Return the names of all files of a folder except locks."""
    files = (x.relative_to(folder) for x in folder.rglob("*") if x.is_file())
    return sorted(str(x) for x in files if x.name != ".lock")


def plain_lists(answers: Any) -> list[Any]:
    """Return lists of recommendations as plain values, bits of scores included."""
    items = (x for answer in answers for x in answer)
    return [(x.item, x.title, float(x.score).hex(), x.interest) for x in items]


def load_and_recommend(run: Path) -> Any:
    model = load(run)
    lists = plain_lists(model.recommend(history, 10) for history in HISTORIES)
    return lists, model.report, model.config


def recall_by_index(kind: str) -> Query:
    """Return the query that recalls with the index of the run."""

    def query(run: Path) -> Any:
        answers = [recalled(run, history=history, index=kind, n=10) for history in HISTORIES]
        return plain_lists(x.items for answer in answers for x in answer)

    return query


def resume_and_serve(run: Path) -> Any:
    """Resume the run. Return the state and the recommendations."""
    trainer = resume_run(run)
    state = [digest(table) for table in checkpoint.state_tables(trainer.state)]
    best = digest(flatten(trainer.best))
    numbers = checkpoint.state_header(trainer.state), [x._asdict() for x in trainer.validations]
    return state, best, numbers, load_and_recommend(run)


def digest(table: Any) -> str:
    return array_files.arrays_digest({n: np.ascontiguousarray(x) for n, x in table.items()}, {})


QUERIES: dict[str, Query] = {
    "serve": load_and_recommend,
    "recall": recall_by_index("auto"),
    "resume": resume_and_serve,
}


def trained_family(folder: Path, model: str, index: str = "exact", **changes: Any) -> DamagedFolder:
    """Return a run of a family, and runs that differ in seed, log or width."""
    run = train_small_run(folder / "run", model=model, **changes)
    recall_by_index(index)(run)
    if index == "exact":
        recalled(run, history=HISTORIES[0], index="auto")  # whose manifest is kept
    others = {
        "other seed": train_small_run(folder / "seed", model=model, **{**changes, "seed": 5}),
        "other log": train_small_run(folder / "log", OTHER_LOG, model=model, **changes),
    }
    if model not in ("item_knn", "popularity", "random"):
        others["other width"] = train_small_run(
            folder / "width", model=model, **{**changes, "width": 4}
        )
    for other in others.values():
        recall_by_index(index)(other)
        recalled(other, history=HISTORIES[0], index="auto" if index == "exact" else index)
    recall = recall_by_index("auto" if index == "exact" else index)
    queries = {**QUERIES, "recall": recall, "evaluate": evaluate_run}
    return DamagedFolder(model, run, files_of(run), queries, others)


def trained_reranker(folder: Path) -> DamagedFolder:
    """Return a reranker and the run whose candidates it reranks."""
    recalled = train_small_run(folder / "recall")

    def train(run: Path, **changes: Any) -> Path:
        config = DinConfig(**STAGE | changes)
        trainer = RerankTrainer(recalled, ServedModel.load(recalled), config, run)
        trainer.create()
        trainer.train(Hooks())
        trainer.evaluate()
        return run

    def rank(run: Path) -> Any:
        answers = recalled(recalled, history=HISTORIES[0], reranker=run, n=10)
        return plain_lists(x.items for x in answers)

    def resume(run: Path) -> Any:
        state = rerank_trainer.resume_reranker(run).state
        params, (first, second) = flatten(state.params), (state.moments.first, state.moments.second)
        return digest(params), state.moments.step, digest(first), digest(second), rank(run)

    def trained_params(run: Path) -> Any:
        return digest(flatten(load_reranker(run, recalled).params))

    def report(run: Path) -> Any:
        return {**load_rerank_report(run), "run": ""}  # the folder of a copy has another name

    run = train(folder / "run")
    queries = {"rank": rank, "load": trained_params, "resume": resume, "report": report}
    others = {
        "other seed": train(folder / "seed", seed=5),
        "other width": train(folder / "w", width=4),
    }
    return DamagedFolder("din", run, files_of(run), queries, others)


def shard_files(folder: Path) -> DamagedFolder:
    """Return the shard files of a bulk recall."""

    def recall(name: str, **changes: Any) -> Path:
        run, shards = train_small_run(folder / f"run-{name}", **changes), folder / name
        shards.mkdir()
        for i in (1, 2, 3):
            write_lists(run, shards / f"shard-{i}", shard=(i, 3), block=7, n=5)
        return shards

    def merge(shards: Path) -> Any:
        shard_file.merge_shards([shards / f"shard-{i}" for i in (1, 2, 3)], shards / "merged")
        return hashlib.sha256((shards / "merged").read_bytes()).hexdigest()

    shards = recall("shards")
    others = {"other seed": recall("seed", seed=5), "other width": recall("width", width=4)}
    return DamagedFolder("shards", shards, files_of(shards), {"merge": merge}, others)
