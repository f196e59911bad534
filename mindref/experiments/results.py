"""What all results have in common: what was asked, of which log, and what became of the runs.

Spec: specs/experiments.md, R19 to R21. The form is `schema.json`, which ships beside this file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import mindref
from mindref.config import Config
from mindref.experiments import paired
from mindref.experiments.hits import DEPTH, Hits
from mindref.experiments.paired import Cases
from mindref.experiments.runs import Run, Runs

FORMAT = "mindref experiment 1"
INTERVALS = ["bootstrap over users", "t over seeds"]  # the second with several seeds
Judged = Sequence[tuple[Run, Hits | None]]  # a run per seed


def head(kind: str, base: Config, runs: Runs, cases: Cases, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what a result says before its numbers; no clock, no path, no machine."""
    log = runs.loaded.log
    settings = {name: value for name, value in base.to_dict().items() if name != "seed"}
    return {  # experiments-R21
        "format": FORMAT,
        "kind": kind,
        "mindref": mindref.__version__,
        "command": "",
        "data": {
            "log": runs.log,
            "users": len(log.user_ids),
            "items": len(log.item_ids),
            "events": len(log.events.values),
            "split": runs.protocol,
            "exclude_seen": runs.exclude_seen,
            "cases": [int(n) for n in cases.asked.sum(axis=1)],
        },
        "settings": settings,
        "seeds": list(seeds),
        "statistics": {
            "resamples": paired.RESAMPLES,
            "confidence": paired.CONFIDENCE,
            "intervals": INTERVALS if len(seeds) > 1 else INTERVALS[:1],
            "test": "sign flips over users",
            "adjusted": "Holm, over all comparisons of the table",
            "depth": DEPTH,
        },
    }


def hits_of(finals: Mapping[str, Judged]) -> dict[str, list[Hits]]:
    """Return the hits of the arms all of whose seeds have a result."""  # experiments-R19
    found = {
        label: [hits for _, hits in judged if hits is not None] for label, judged in finals.items()
    }
    return {
        label: hits for label, hits in found.items() if hits and len(hits) == len(finals[label])
    }


def outcome(judged: Judged) -> dict[str, Any]:
    """Return how the trainings of an arm went: the best steps, the curve, what diverged."""
    runs = [run for run, _ in judged]
    return {
        "best_steps": [run.best_step for run in runs],
        "diverged": [run.diverged for run in runs if run.diverged],
        "curve": curve(runs),
    }


def curve(runs: Sequence[Run]) -> list[list[float]]:
    """Return step and mean validation metric over the seeds, where all seeds have one."""
    values: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        for step, value in run.curve:
            values[step].append(value)
    return [[step, sum(x) / len(x)] for step, x in sorted(values.items()) if len(x) == len(runs)]


def schema() -> dict[str, Any]:
    """Return the form of results, a JSON Schema of draft 2020-12."""
    file = resources.files("mindref.experiments").joinpath("schema.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
