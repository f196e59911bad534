"""Parts that all results share: command, data, settings, statistics, outcome of the trainings.

Spec: specs/experiments.md, R19 to R21. The form is `schema.json` in this folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, TypedDict

import mindref
from mindref.config import Config
from mindref.experiments import paired_tests
from mindref.experiments.first_hits import DEPTH, FirstHits
from mindref.experiments.paired_tests import Differences, Estimates, EvaluatedCases
from mindref.experiments.runs import EndedRun, ExperimentRuns

FORMAT = "mindref experiment 1"
INTERVALS = ["bootstrap over users", "t over seeds"]  # the second only with several seeds


class ArmResult(TypedDict, total=False):
    """An arm in the result of an experiment, as JSON values."""

    label: str
    settings: dict[str, object]
    runs: str  # folder
    trials: list[TrialResult]
    chosen: int | None  # trial; None if all diverged
    best_steps: list[int]
    diverged: list[str]
    curve: list[list[float]]  # step and mean validation metric
    metrics: Estimates | None  # None if a training diverged
    against: Differences | None
    verdict: str


class TrialResult(TypedDict):
    """A trial of a model."""

    settings: dict[str, object]
    validation: float
    diverged: str


EvaluatedRuns = Sequence[tuple[EndedRun, FirstHits | None]]  # one per seed


def result_head(
    kind: str, base: Config, runs: ExperimentRuns, cases: EvaluatedCases, seeds: Sequence[int]
) -> dict[str, Any]:
    """Return the head of a result. It has no time, path or machine."""
    settings = {name: value for name, value in base.to_dict().items() if name != "seed"}
    return {  # experiments-R21
        "format": FORMAT,
        "kind": kind,
        "mindref": mindref.__version__,
        "command": "",
        "data": describe_log(runs) | {"cases": [int(n) for n in cases.present.sum(axis=1)]},
        "settings": settings,
        "seeds": list(seeds),
        "statistics": {
            "resamples": paired_tests.RESAMPLES,
            "confidence": paired_tests.CONFIDENCE,
            "intervals": INTERVALS if len(seeds) > 1 else INTERVALS[:1],
            "test": "sign flips over users",
            "adjusted": "Holm, over all comparisons of the table",
            "depth": DEPTH,
        },
    }


def describe_log(runs: ExperimentRuns) -> dict[str, object]:
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


def training_outcome(evaluated: EvaluatedRuns) -> dict[str, object]:
    """Return best steps, divergence messages and mean validation curve of an arm."""
    runs = [run for run, _ in evaluated]
    return {
        "best_steps": [run.best_step for run in runs],
        "diverged": [run.diverged for run in runs if run.diverged],
        "curve": mean_curve(runs),
    }


def mean_curve(runs: Sequence[EndedRun]) -> list[list[float]]:
    """Return step and mean validation metric, for the steps that all seeds have."""
    values: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        for step, value in run.curve:
            values[step].append(value)
    return [[step, sum(x) / len(x)] for step, x in sorted(values.items()) if len(x) == len(runs)]


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of results."""
    file = resources.files("mindref.experiments").joinpath("schema.json")
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
