"""Parts that all results share: command, data, settings, statistics, outcome of the trainings.

Spec: specs/experiments.md, R19 and R20. The TypedDicts declare the JSON form of a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypeAlias, TypedDict

import mindref
from mindref.config import Config
from mindref.evaluation.metrics import CONFIDENCE
from mindref.experiments import paired_tests
from mindref.experiments.first_hits import DEPTH, FirstHits
from mindref.experiments.paired_tests import Differences, Estimates, EvaluatedCases
from mindref.experiments.runs import ExperimentRuns, RunProgress

FORMAT = "mindref experiment 2"
INTERVALS = ["bootstrap over users", "t over seeds"]  # the second only with several seeds


class LogDescription(TypedDict):
    """The log of an experiment."""

    log: str  # digest
    users: int
    items: int
    interactions: int
    split: str
    exclude_seen: bool
    cases: NotRequired[list[int]]  # number of test cases of each seed


class Statistics(TypedDict):
    """How intervals and p-values are computed."""

    resamples: int
    confidence: float
    intervals: list[str]
    test: str
    adjusted: str
    depth: int  # of the top-n lists


class ResultHead(TypedDict):
    """The head of the results of `compare` and `ablate`."""

    format: str
    mindref: str  # version
    command: str
    data: LogDescription
    settings: dict[str, object]
    seeds: list[int]
    statistics: Statistics
    lengths: list[int]  # n of the hit rates


class TrainingOutcome(TypedDict):
    """Best steps and divergence messages of the trainings of an arm."""

    best_steps: list[int]
    diverged: list[str]


class ArmResult(TrainingOutcome):
    """An arm with its hit rates."""

    label: str
    settings: dict[str, object]
    metrics: Estimates | None  # None if a training diverged
    against: Differences | None


class TrialResult(TypedDict):
    """A trial of a model."""

    settings: dict[str, object]
    validation: float | None
    diverged: str


class ComparedArm(ArmResult):
    """A model of a comparison."""

    trials: list[TrialResult]
    chosen: int | None  # trial; None if all diverged


class Tuning(TypedDict):
    """How the trials of a comparison are chosen."""

    trials: int
    metric: str
    seed: int
    cases: str


class ComparisonResult(ResultHead):
    """The result of `mindref compare`."""

    kind: Literal["compare"]
    opponent: str
    tuning: Tuning
    arms: list[ComparedArm]


class AblatedArm(ArmResult):
    """An arm of a study."""

    runs: str  # folder
    verdict: str


class StudyResult(TypedDict):
    """The result of a study."""

    name: str
    title: str
    question: str
    base: str
    arms: list[AblatedArm]


class AblationResult(ResultHead):
    """The result of `mindref ablate`."""

    kind: Literal["ablate"]
    studies: list[StudyResult]


class TunedTrial(TrialResult):
    """A trial of `mindref tune`."""

    model: str
    trial: int
    best_step: int
    run: str  # directory


class TuningResult(TypedDict):
    """The result of `mindref tune`."""

    format: str
    kind: Literal["tune"]
    mindref: str  # version
    command: str
    data: LogDescription
    metric: str
    trials: list[TunedTrial]
    best: int
    train: str  # command
    test: dict[str, dict[str, float | None]]


ExperimentResult: TypeAlias = ComparisonResult | AblationResult | TuningResult

EvaluatedRuns = Sequence[tuple[RunProgress, FirstHits | None]]  # one per seed


def result_head(
    base: Config,
    runs: ExperimentRuns,
    cases: EvaluatedCases,
    seeds: Sequence[int],
    lengths: Sequence[int],
) -> ResultHead:
    """Return the head of a result. It has no time, path or machine."""
    settings = {name: value for name, value in base.to_dict().items() if name != "seed"}
    return {  # experiments-R20
        "format": FORMAT,
        "mindref": mindref.__version__,
        "command": "",
        "data": {**describe_log(runs), "cases": [int(n) for n in cases.present.sum(axis=1)]},
        "settings": settings,
        "seeds": list(seeds),
        "statistics": {
            "resamples": paired_tests.RESAMPLES,
            "confidence": CONFIDENCE,
            "intervals": INTERVALS if len(seeds) > 1 else INTERVALS[:1],
            "test": "sign flips over users",
            "adjusted": "Holm, over all comparisons of the table",
            "depth": DEPTH,
        },
        "lengths": list(lengths),
    }


def describe_log(runs: ExperimentRuns) -> LogDescription:
    """Return digest, sizes and split of the log of an experiment."""
    log = runs.loaded.log
    return {
        "log": runs.log,
        "users": len(log.user_ids),
        "items": len(log.item_ids),
        "interactions": len(log.interactions.values),
        "split": runs.protocol,
        "exclude_seen": runs.exclude_seen,
    }


def complete_hits(finals: Mapping[str, EvaluatedRuns]) -> dict[str, list[FirstHits]]:
    """Return the hits of the arms that have a result for every seed."""  # experiments-R19
    hits = {label: [row for _, row in runs if row is not None] for label, runs in finals.items()}
    return {label: rows for label, rows in hits.items() if rows and len(rows) == len(finals[label])}


def training_outcome(evaluated: EvaluatedRuns) -> TrainingOutcome:
    """Return best steps and divergence messages of an arm."""
    return {
        "best_steps": [run.best_step for run, _ in evaluated],
        "diverged": [run.diverged for run, _ in evaluated if run.diverged],
    }
