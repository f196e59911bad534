"""Training of DIN on the candidates of a recall run: train, resume, evaluate.

Spec: specs/din.md. config.json has the path of the recall run. report.json has the metrics in the
order of recall and in DIN's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

from mindref.backend import load_backend
from mindref.data.log import Ints, Ragged
from mindref.data.protocols import NO_SPLIT
from mindref.data.rng import make_rng
from mindref.data.splits import EvaluationCases
from mindref.errors import ConfigError, DataError, RunError, say
from mindref.evaluation import metrics
from mindref.models import features
from mindref.models.din_config import DinConfig
from mindref.models.family import family_of
from mindref.models.serving import Model
from mindref.recall.retrieval import ItemFilter
from mindref.recall.top_n import TopN
from mindref.recommender.held_out import earlier_trainings, start_warnings
from mindref.recommender.serving.rerank import (
    check_same_recall_run,
    recall_model_digest,
    rerank,
    rerank_gain,
)
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import recommend_batch
from mindref.recommender.training.trainer import TrainingRun
from mindref.run import array_files, checkpoint, files, report
from mindref.run.files import real_path
from mindref.run.source import LoadedLog
from mindref.run.stored_json import (
    LONGEST_INTEGER,
    Count,
    InvalidValue,
    check_json,
    number_range,
)
from mindref.run.training_data import PreparedLog, prepare_training
from mindref.shapes import Array
from mindref.training.batch_loader import make_loader
from mindref.training.loop import initial_state

LIST_LENGTH = 10  # N of the metrics


class RerankTrainer(TrainingRun):
    """Training of DIN on the candidates of a recall run, without a run directory if `run` is None.

    Raises ConfigError or DataError, before the first step, for a recall run that does not fit.
    """

    load_config = staticmethod(checkpoint.load_din_config)
    config: DinConfig

    def __init__(
        self, recall_run: Path, served: ServedModel, config: DinConfig, run: Path | None
    ) -> None:
        self.recall_run, self.served = recall_run, served.load_backend()
        self.backend_name = served.backend_name
        served.require_vectors("--recall", "a run with vectors of items")
        prepared = prepare_recall_log(served)
        task = prepared.task._replace(candidates=lambda *cases: self.recall(*cases).items)
        state = initial_state(config, task.sizes)
        if config.init_items == "recall":
            items = copy_item_table(served.model, state.params.items)
            state = state._replace(params=state.params._replace(items=items))
        make_loader(task, config)  # its checks, before a run directory is created
        super().__init__(config, prepared, task, state, run, load_backend("numpy"))
        trainings = earlier_trainings(served.facts.get("start_from", {}))
        self.warnings = start_warnings(prepared, served.model.config.seed, trainings)

    def facts(self) -> dict[str, object]:
        """Return the facts of config.json, which are stored with the settings."""
        digest = recall_model_digest(self.recall_run)
        recall = {"run": str(real_path(self.recall_run)), "model": digest}
        return {"recall": recall, **super().facts()}

    def recall(self, histories: Ragged, profiles: Ints, n: int) -> TopN:
        """Return the top-n items of the recall run for each history, as in serving."""
        seen = ItemFilter(exclude=histories if self.served.facts["exclude_seen"] else None)
        model, backend = self.served.model, self.served.backend
        ranked, _ = recommend_batch(
            model, histories, profiles, n=n, item_filter=seen, backend=backend
        )
        return ranked

    def candidates(self, cases: EvaluationCases, n: int) -> tuple[Ints, TopN]:
        """Return profiles of cases, and the top-n items of the recall run for each case."""
        log, vocabulary = self.prepared.loaded.log, self.prepared.vocabulary
        profiles = features.user_profiles(log, vocabulary, cases.users)
        return profiles, self.recall(cases.histories, profiles, n)

    def evaluate(self) -> dict[str, object]:
        """Return the report on the test cases, as plain values, and write it.

        `all` and `within` are None if no case has a target among its candidates.
        """
        cases, depth = self.prepared.split.test, self.config.candidates
        profiles, before = self.candidates(cases, depth)  # din-R20
        after = rerank(self.model(), before, cases.histories, profiles)
        length, rng = min(LIST_LENGTH, depth), make_rng(self.config.seed, "bootstrap")
        try:
            gains = rerank_gain(before, after, cases, list_lengths=(length,), rng=rng)
        except DataError:  # no target among the candidates
            gains = {"candidates": depth, "all": None, "within": None}
        summary: dict[str, object] = {"recall": str(self.recall_run)}
        summary |= {**self.ending(), **gains}
        return self.save_report(summary)


def prepare_recall_log(served: ServedModel) -> PreparedLog:
    """Return the log of a recall run, prepared as for the training of that run.

    Raises DataError for another log: its test cases may be training examples of the run.
    """
    if served.facts["protocol"] == NO_SPLIT:
        expected, todo = "a run with test cases", "train one with another --split"
        raise RunError(say("--recall", expected, "one of the split none", todo))
    if not served.has_training_log:
        expected = "the one that the run was trained on"
        raise DataError(say("log", expected, "another", "name the log of the recall run"))
    return prepare_training(LoadedLog(served.log), served.facts["protocol"], served.model.config)


def copy_item_table(model: Model, drawn: Array) -> Array:
    """Return a copy of the item table of a recall model, with the dtype of the drawn table (V, D).

    Raises ConfigError for a model without a table, or with one of another shape.
    """
    name = model.config.model
    if not family_of(name).by_steps:
        raise ConfigError(
            say("init_items", "random, or a run with a table of items", f"a run of {name}")
        )
    items: Array = model.params.items
    if items.shape != drawn.shape:
        raise ConfigError(say("items", f"shape {drawn.shape}", items.shape))
    return items.astype(drawn.dtype)  # din-R21: a copy, because steps change it in place


def resume_reranker(
    run: Path,
    recall: Path | None = None,
    data: Path | None = None,
    device: str = "cpu",
    backend: str | None = None,
) -> RerankTrainer:
    """Return the trainer of a DIN run at its last state on disk.

    recall, data: new paths of the recall run and its log, if they have moved. backend: named by the
    user, who thereby trusts its code (security-R9); else that of the recall run. Raises RunError or
    DataError for another recall run or log.
    """
    config, facts = checkpoint.load_din_config(run)
    path = recall or Path(facts["recall"]["run"])
    check_same_recall_run(run, facts, path)
    trainer = RerankTrainer(path, ServedModel.load(path, backend, device, data), config, run)
    moved = {} if recall is None else {"recall": trainer.facts()["recall"]}
    trainer.restore(run, moved)
    return trainer


def load_rerank_report(run: Path) -> dict[str, object]:
    """Return the report of a DIN run with the path of the run. Raises RunError if it has none."""
    todo = array_files.completion_hint(run)
    identity = checkpoint.run_identity(*checkpoint.load_din_config(run))
    stored = files.StoredFile(run / report.NAME, "the report of a DIN run", todo)
    with stored.explain_errors(missing="none: it was stopped"):
        words = report.load_report(run, identity, todo)
        check_rerank_report(words)
    return {"run": str(run), **words}


class SectionReport(TypedDict):
    """The metrics of two orders of some cases, and their gain."""

    cases: Annotated[int, number_range(1, LONGEST_INTEGER, "an integer of at least 1")]
    before: dict[str, metrics.Estimate]
    after: dict[str, metrics.Estimate]
    gain: dict[str, metrics.Estimate]


class RerankReport(TypedDict):
    """The fields of the report of a DIN run that `RerankTrainer.evaluate` adds."""

    candidates: Count
    all: SectionReport | None
    within: SectionReport | None


def check_rerank_report(words: Mapping[str, Any]) -> None:
    """Raise ValueError unless `RerankTrainer.evaluate` made this report."""
    check_json(words, RerankReport, partial=True)
    for section in ("all", "within"):
        rows = words[section]
        if rows and not rows["before"].keys() == rows["after"].keys() == rows["gain"].keys():
            raise InvalidValue(section, "the same metrics before and after", rows)
