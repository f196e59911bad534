"""Train a ranking stage into a run directory of its own, take it up again, and judge it.

Spec: specs/din.md, A run of its own. The directory is read as any other (mindref.run.checkpoint):

    config.json             that it is a ranking stage, its settings, the run it belongs to
    items.tsv               the catalogue, that of the recall run
    optimiser.safetensors   parameters and moments of the last step that was saved
    model.safetensors       parameters and catalogue after the last step
    report.json             what the order of recall and that of DIN are worth on the test cases
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindref.data.splits import Cases
from mindref.data.streams import stream
from mindref.errors import ConfigError, DataError, say
from mindref.evaluation.top_n import Ranked
from mindref.models.din_config import DinConfig
from mindref.models.families import is_fitted
from mindref.models.parameters import flatten
from mindref.recommender import features, ranker
from mindref.recommender.diverging import named
from mindref.recommender.ranker import Feed, Ranker, prepared_of, recall_of, take_step
from mindref.recommender.ranking_config import (
    check_belongs,
    identity,
    load_config,
    model_digest,
    save_config,
)
from mindref.recommender.ranking_files import load_ranker, load_state, save_model
from mindref.recommender.rerank import gain, rerank
from mindref.recommender.run import Hooks
from mindref.recommender.served import Served
from mindref.run import atomic, checkpoint, items, report
from mindref.run.checkpoint import FORMAT, STATE
from mindref.run.folder import WRITTEN, make_folder
from mindref.shapes import Array
from mindref.training.divergence import Diverged, check_state

SAVE_EVERY = 200  # steps
AT = 10  # length of the lists that are judged


class RankingTrainer:
    """One training of DIN on what a run recalls."""

    def __init__(self, recall_run: Path, served: Served, config: DinConfig, run: Path) -> None:
        self.recall_run, self.served, self.config, self.run = recall_run, served, config, run
        self.identity = ""  # of the stage on disk
        if served.by_scores:
            got = f"a run of {served.model.config.model}, which has scores alone"
            raise ConfigError(say("--recall", "a run with vectors of items", got))
        self.prepared = prepared_of(served)
        self.recall = recall_of(served, served.facts["exclude_seen"])
        self.feed = Feed(self.recall, self.prepared.task, config)
        self.state = ranker.start(config, self.prepared.task.sizes, self.table())

    def table(self) -> Array | None:
        """Return what the item table starts from, None for one that is drawn."""
        if self.config.start == "drawn":
            return None
        model = self.served.model.config.model
        if is_fitted(model):
            expected, got = "drawn, or a run with a table of items", f"a run of {model}"
            raise ConfigError(say("start", expected, got))
        table: Array = self.served.model.params.items  # din-R27
        return table

    def ranker(self) -> Ranker:
        """Return the stage as it is now."""
        return Ranker(self.state.params, self.prepared.task.catalogue, self.config)

    def create(self) -> None:
        """Make the run directory. Raises RunError if it holds a run already."""
        make_folder(self.run)
        self.write_items()
        facts = self.facts()
        self.identity = identity(self.config, facts)
        save_config(self.run, self.config, facts)  # last: now it is a run

    def write_items(self) -> None:
        """Write the catalogue."""
        known = self.served.items
        items.write(self.run / "items.tsv", known.ids, known.counts, known.titles)

    def facts(self) -> dict[str, Any]:
        """Return what the stage needs to know beside its settings."""
        model = {"run": str(self.recall_run.resolve()), "model": model_digest(self.recall_run)}
        return {
            "recall": model,
            "log": self.served.facts["log"],
            "threads": os.environ.get("OPENBLAS_NUM_THREADS", ""),  # their number moves last bits
        }

    def go(self, hooks: Hooks, on_save: Callable[[int], None] = lambda step: None) -> bool:
        """Train to the end, or until the hooks say stop; return whether it is the end.

        Every SAVE_EVERY steps, and where it stops, the state is on disk before on_save hears of it.
        """
        begun = self.state.moments.step
        while (step := self.state.moments.step) < self.config.steps:
            if hooks.stop():
                self.save(on_save)
                return False
            try:
                self.state, loss = take_step(self.state, self.feed)
                hooks.on_step(step + 1, loss)
                if (step + 1) % SAVE_EVERY == 0 or step + 1 == self.config.steps:
                    check_state(flatten(self.state.params), self.state.moments)  # optimiser-R16
                    self.save(on_save)
            except Diverged as error:
                kept = max(begun, step - step % SAVE_EVERY)
                rows = self.feed.rows(step)
                raise named(error, self.prepared, rows, self.run, kept) from error
        save_model(self.run, self.ranker(), self.config.steps, self.identity)
        return True

    def trained(self) -> RankingTrainer:
        """Return self, with the parameters that were saved after the last step. Or RunError."""
        made = load_ranker(self.run, self.recall_run)
        self.state = self.state._replace(params=made.params)
        return self

    def save(self, on_save: Callable[[int], None]) -> None:
        """Write all that resuming needs."""
        params, (step, first, second) = flatten(self.state.params), self.state.moments
        parts = {"params": params, "first": first, "second": second}
        arrays = {f"{part}.{name}": x for part, some in parts.items() for name, x in some.items()}
        words = {"format": FORMAT, "run": self.identity, "step": step, "model": "din"}
        checkpoint.save_arrays(self.run / STATE, arrays, words)
        on_save(step)

    def restore(self) -> None:
        """Take up the last state on disk; without one, training starts from the first step."""
        atomic.sweep(self.run, *WRITTEN)
        self.write_items()
        if (self.run / STATE).exists():
            self.state = load_state(self.run, self.state, self.identity)

    def candidates(self, cases: Cases, n: int) -> tuple[Any, Ranked]:
        """Return profiles of cases, and the first n items that the run recalls for each."""
        log, vocabulary = self.prepared.loaded.log, self.prepared.vocabulary
        profiles = features.profiles(log, vocabulary, cases.users)
        return profiles, self.recall(cases.histories, profiles, n)

    def judge(self) -> dict[str, Any]:
        """Return the report on the test cases, as plain values, and write it.

        `all` and `within` are None where no case has a target among its candidates.
        """
        cases = self.prepared.split.test
        profiles, before = self.candidates(cases, self.config.depth)  # din-R26
        after = rerank(self.ranker(), before, cases.histories, profiles)
        at, rng = min(AT, self.config.depth), stream(self.config.seed, "bootstrap")
        try:
            found = gain(before, after, cases, at=(at,), rng=rng)
        except DataError:  # so few and small lists that an order is worth nothing
            found = {"candidates": self.config.depth, "all": None, "within": None}
        summary = {"recall": str(self.recall_run), "steps": self.state.moments.step, **found}
        report.save(self.run, summary, self.identity)
        return summary


def resume(
    run: Path,
    recall: Path | None = None,
    data: Path | None = None,
    device: str = "cpu",
    backend: str | None = None,
) -> RankingTrainer:
    """Return the trainer of a ranking stage at its last state on disk.

    recall, data: where its run and the log lie now, if they have moved; backend: as `open_recall`.
    Raises RunError or DataError if they are not the same.
    """
    trainer = opened(run, recall, data, device, backend)
    trainer.restore()
    if recall is not None:  # from now on the run is looked for where it lies
        facts = {**load_config(run)[1], "recall": trainer.facts()["recall"]}
        save_config(run, trainer.config, facts)
    return trainer


def opened(
    run: Path,
    recall: Path | None = None,
    data: Path | None = None,
    device: str = "cpu",
    backend: str | None = None,
) -> RankingTrainer:
    """Return the trainer of a ranking stage, nothing trained or changed. Raises as `resume`."""
    config, facts = load_config(run)
    place = recall or Path(facts["recall"]["run"])
    check_belongs(run, facts, place)
    served = open_recall(place, data, device, backend)
    trainer = RankingTrainer(place, served, config, run)
    trainer.identity = identity(config, facts)
    return trainer


def open_recall(
    place: Path, data: Path | None = None, device: str = "cpu", backend: str | None = None
) -> Served:
    """Return the trained run that recalls; data: where its log lies now, if it has moved.

    backend: who computes, where the user says so and not the run alone (security-R9).
    """
    served = Served.load(place, backend, device).ready()
    if data is not None:
        served.source = served.source.moved(data)
    return served
