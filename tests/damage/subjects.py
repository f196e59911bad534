"""Trained runs of all kinds, their files, and what is asked of them.

A question maps a copy of the folder to an answer that can be compared, to the last bit.
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
from mindref.recommender import load, parts, ranking_run
from mindref.recommender.again import evaluate_run
from mindref.recommender.bulk import recall
from mindref.recommender.ranking_files import load_ranker, report_of
from mindref.recommender.ranking_run import RankingTrainer, open_recall
from mindref.recommender.run import Hooks, Trainer, resume
from mindref.recommender.shares import recall_all
from mindref.run import checkpoint
from mindref.run.source import Source
from tests.recommender.test_ranker import SMALL as STAGE
from tests.runs import SMALL, SOURCE, loaded, stop_after

HISTORIES = (["article-0007", "article-0005", "article-0009"], ["article-0003"])
OTHER_LOG = Source.of(None, {"users": 60, "items": 120, "seed": 3})
Ask = Callable[[Path], Any]


class Subject(NamedTuple):
    """A folder, copies of which are damaged."""

    name: str
    folder: Path
    files: list[str]  # relative
    asks: dict[str, Ask]
    others: dict[str, Path]  # what it is -> a folder with files of the same names


def made(run: Path, source: Source = SOURCE, **changes: Any) -> Path:
    """Train a small run and judge it; it is stopped before its last step, to be resumed."""
    config = Config.of("default", {**SMALL, "backend": "numpy", **changes})
    log = loaded() if source is SOURCE else source.read()
    trainer = Trainer(source, log, "leave_last_out", config, run)
    trainer.create()
    trainer.go(stop_after(5))
    trainer.judge()
    return run


def files_of(folder: Path) -> list[str]:
    """Return the names of all files of a folder but locks."""
    found = (x.relative_to(folder) for x in folder.rglob("*") if x.is_file())
    return sorted(str(x) for x in found if x.name != ".lock")


def lists(answers: Any) -> list[Any]:
    """Return lists of recommendations as plain values, bits of scores included."""
    return [(x.item, x.title, float(x.score).hex(), x.interest) for some in answers for x in some]


def serve(run: Path) -> Any:
    """Load the run and recommend; its report comes with it."""
    model = load(run)
    found = lists(model.recommend(history, 10) for history in HISTORIES)
    return found, model.report, model.config


def through(kind: str) -> Ask:
    """Recall by an index, which lies in the run."""

    def ask(run: Path) -> Any:
        answers = [recall(run, history=history, kind=kind, n=10) for history in HISTORIES]
        return lists(x.items for some in answers for x in some)

    return ask


def judge(run: Path) -> Any:
    """Evaluate on the log of the run."""
    return evaluate_run(run)


def go_on(run: Path) -> Any:
    """Take up the last state; return all of it, and what is served of it."""
    trainer = resume(run)
    tables = checkpoint.tables(trainer.state)
    found = [digest(table) for table in tables]
    best = digest(flatten(trainer.best))
    numbers = checkpoint.words_of(trainer.state), [x._asdict() for x in trainer.epochs]
    return found, best, numbers, serve(run)


def digest(table: Any) -> str:
    """Return the sha256 of arrays by name."""
    some = {name: np.ascontiguousarray(x) for name, x in table.items()}
    return checkpoint.digest(some, {})


ASKS: dict[str, Ask] = {"serve": serve, "recall": through("auto"), "resume": go_on}


def trained(folder: Path, model: str, index: str = "exact", **changes: Any) -> Subject:
    """Return a run of a family, with others that differ in seed, log or width."""
    run = made(folder / "run", model=model, **changes)
    through(index)(run)
    if index == "exact":
        recall(run, history=HISTORIES[0], kind="auto")  # whose manifest is kept
    others = {
        "other seed": made(folder / "seed", model=model, **{**changes, "seed": 5}),
        "other log": made(folder / "log", OTHER_LOG, model=model, **changes),
    }
    if model not in ("item_knn", "popularity", "random"):
        others["other width"] = made(folder / "width", model=model, **{**changes, "width": 4})
    for other in others.values():
        through(index)(other)
        recall(other, history=HISTORIES[0], kind="auto" if index == "exact" else index)
    asks = {**ASKS, "recall": through("auto" if index == "exact" else index)}
    return Subject(model, run, files_of(run), {**asks, "evaluate": judge}, others)


def stage(folder: Path) -> Subject:
    """Return a ranking stage, beside the run that it ranks for."""
    recalled = made(folder / "recall")

    def one(run: Path, **changes: Any) -> Path:
        made = RankingTrainer(recalled, open_recall(recalled), DinConfig(**STAGE | changes), run)
        made.create()
        made.go(Hooks())
        made.judge()
        return run

    def rank(run: Path) -> Any:
        answers = recall(recalled, history=HISTORIES[0], stage=run, n=10)
        return lists(x.items for x in answers)

    def again(run: Path) -> Any:
        trainer = ranking_run.resume(run)
        moments = trainer.state.moments
        found = (digest(flatten(trainer.state.params)), moments.step)
        return found, digest(moments.first), digest(moments.second), rank(run)

    def trained_params(run: Path) -> Any:
        return digest(flatten(load_ranker(run, recalled).params))

    run = one(folder / "run")
    asks = {"rank": rank, "load": trained_params, "resume": again, "report": report_of_it}
    others = {"other seed": one(folder / "seed", seed=5), "other width": one(folder / "w", width=4)}
    return Subject("din", run, files_of(run), asks, others)


def report_of_it(run: Path) -> Any:
    """Return the report without the name of its folder, which is that of the copy."""
    return {**report_of(run), "run": ""}


def shares(folder: Path) -> Subject:
    """Return the parts of a bulk recall."""

    def some(name: str, **changes: Any) -> Path:
        run, place = made(folder / f"run-{name}", **changes), folder / name
        place.mkdir()
        for i in (1, 2, 3):
            recall_all(run, place / f"part-{i}", shard=(i, 3), block=7, n=5)
        return place

    def merge(place: Path) -> Any:
        parts.merge([place / f"part-{i}" for i in (1, 2, 3)], place / "merged")
        return hashlib.sha256((place / "merged").read_bytes()).hexdigest()

    place = some("parts")
    others = {"other seed": some("seed", seed=5), "other width": some("width", width=4)}
    return Subject("parts", place, files_of(place), {"merge": merge}, others)
