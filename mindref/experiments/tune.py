"""Tuning: trials of a preset or a model on one log, selected on validation cases.

Spec: specs/experiments.md, R11, R23 to R25. Grid and trials are those of `mindref compare`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias, TypedDict

import mindref
from mindref.config import Config
from mindref.errors import ConfigError, RunError, say
from mindref.experiments.arms import Arm, PlannedRun, model_arm, named_models
from mindref.experiments.compare import ModelTrials, arm_trials, best_trial
from mindref.experiments.results import FORMAT, TunedTrial, TuningResult, describe_log
from mindref.experiments.runs import ExperimentRuns
from mindref.models.registry import RECALL_FAMILIES
from mindref.presets import PRESETS, preset_or_default
from mindref.run import checkpoint, files, report
from mindref.run.stored_json import check_json, number_range

MetricValue: TypeAlias = Annotated[
    float, number_range(0, sys.float_info.max, "a finite number of at least 0")
]


class StoredEstimate(TypedDict):
    """A metric on the test cases, as the report of a run has it."""

    value: MetricValue | None
    low: MetricValue | None
    high: MetricValue | None


class TuningPlan(NamedTuple):
    """The trials to train."""

    preset: str
    model: ModelTrials
    out: Path


def plan_tuning(
    preset: str | None, changes: Mapping[str, object], trials: int, out: Path
) -> TuningPlan:
    """Return the trials of a preset with changed settings, or of its model.

    Settings in `changes` are not tuned. Raises ConfigError for settings that cannot be used.
    """
    name = preset_or_default(preset, changes)
    base = Config.of(name, changes)
    arm = tuned_arm(base.model if "model" in changes else name, base, changes)
    if not arm.grid:
        todo = "leave out some options, or use mindref train"
        got = f"none for {arm.label}"
        raise ConfigError(say("tune", "a setting that can be tuned", got, todo))
    return TuningPlan(name, ModelTrials(base, arm, arm_trials(base, arm, trials)), out)


def tuned_arm(label: str, base: Config, changes: Mapping[str, object]) -> Arm:
    """Return the arm of a preset or a model: its grid, and the settings of models.toml.

    A preset without a grid of its own has the grid of its model. The settings of a preset stay.
    """
    is_listed = label in RECALL_FAMILIES or label in named_models()
    arm = model_arm(label if is_listed else base.model, changes)
    settings = {} if label in PRESETS else arm.settings  # experiments-R23
    return arm._replace(label=label, settings=settings, folder=label)


def run_tuning(plan: TuningPlan, runs: ExperimentRuns, data: Sequence[str]) -> TuningResult:
    """Train all trials, evaluate the best one; return the result as JSON values.

    data: the words of the command line that name the log. Everything is checked before the first
    training. Raises ConfigError, RunError and ExperimentStopped.
    """
    model, metric = plan.model, plan.model.base.metric
    planned = [
        model.planned_run(plan.out, number, model.base.seed) for number in range(len(model.trials))
    ]
    for run in planned:
        runs.check_run(run)  # experiments-R16
    runs.total += len(planned)
    ended = [runs.train_run(run) for run in planned]
    best = best_trial([run.value for run in ended])  # experiments-R24
    if best is None:
        todo = "lower --learning-rate"
        raise RunError(say("tune", "a trial with a result", "none: all diverged", todo))
    runs.evaluate_run(planned[best])  # the only run whose test cases are ranked
    config = planned[best].config
    rows: list[TunedTrial] = [
        {
            "model": model.arm.label,
            "trial": number,
            "settings": model.trials[number],
            "validation": run.value,
            "best_step": run.best_step,
            "diverged": run.diverged,
            "run": str(planned_run.directory),
        }
        for number, (planned_run, run) in enumerate(zip(planned, ended, strict=True))
    ]
    return {
        "format": FORMAT,
        "kind": "tune",
        "mindref": mindref.__version__,
        "command": "",
        "data": describe_log(runs),
        "metric": metric,
        "trials": rows,
        "best": best,
        "train": shlex.join(["mindref", "train", *data, *setting_words(plan.preset, config)]),
        "test": test_metrics(planned[best]),
    }


def test_metrics(planned: PlannedRun) -> dict[str, Any]:
    """Return the test metrics in the report of a run."""
    directory = planned.directory
    identity = checkpoint.run_identity(*checkpoint.load_config(directory))
    summary = report.load_report(directory, identity, "remove it")
    stored = files.StoredFile(directory / report.NAME, "test metrics with intervals", "remove it")
    with stored.explain_errors():
        rows: dict[str, Any] = summary["metrics"]["test"]["model"]
        check_json(rows, dict[str, StoredEstimate])
    if not rows:
        raise stored.error("none")
    return rows


def setting_words(preset: str, config: Config) -> list[str]:
    """Return the options of `mindref train` that give these settings."""
    changed = config.changes_from(preset)  # experiments-R25
    # with --model, the default preset need not be named
    is_default = "model" in changed and preset == preset_or_default(None, changed)
    words = [] if is_default else ["--preset", preset]
    for name, value in changed.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            is_list = isinstance(value, list | tuple)
            words.append(f"--{option}={','.join(map(str, value)) if is_list else value}")
    return words
