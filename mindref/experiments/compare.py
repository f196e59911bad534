"""The paper's table: models tuned alike, on the same test cases, compared with one opponent.

Spec: specs/experiments.md, R11, R12 and R21. Source: paper, section 4.1 with Table 2. Differs:
several seeds, intervals and tests; settings are chosen on validation cases, with equally many
trials per model, drawn from its grid by a hash.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from mindref.config import Config
from mindref.errors import ConfigError, RunError, prefix_errors, say
from mindref.evaluation import LIST_LENGTHS
from mindref.experiments import paired_tests, results
from mindref.experiments.arms import (
    Arm,
    PlannedRun,
    arm_config,
    changed_settings,
    experiment_seeds,
    run_directory,
)
from mindref.experiments.results import ComparedArm, ComparisonResult, EvaluatedRuns
from mindref.experiments.runs import ExperimentRuns, RunProgress

Trial = dict[str, object]  # changed settings
Value = TypeVar("Value")


class ComparisonPlan(NamedTuple):
    """The models to compare."""

    base: Config  # settings of all models; its seed is the first seed
    arms: Sequence[Arm]
    seeds: int  # number of seeds
    trials: int  # number of trials per model
    opponent: str  # label of an arm
    out: Path


class ModelTrials(NamedTuple):
    """A model and the settings of its trials."""

    base: Config
    arm: Arm
    trials: list[Trial]

    def config(self, number: int | None, seed: int | None = None) -> Config:
        """Return the settings of a trial; without a number, those of the arm."""
        trial = {} if number is None else self.trials[number]
        return arm_config(self.base, self.arm.settings, trial, seed)

    def planned_run(self, out: Path, number: int, seed: int) -> PlannedRun:
        """Return the run of a trial with a seed."""
        description = f"{self.arm.label}, trial {number}, seed {seed}"
        directory = run_directory(out, self.arm, number, seed)
        return PlannedRun(directory, self.config(number, seed), description)


class TunedModel(NamedTuple):
    """A model, its trained trials, and the evaluated runs of the chosen trial."""

    model: ModelTrials
    trained: list[RunProgress]  # one for each trial
    chosen: int | None  # None if all diverged
    evaluated: EvaluatedRuns  # one for each seed


def run_comparison(plan: ComparisonPlan, runs: ExperimentRuns) -> ComparisonResult:
    """Tune, train and evaluate all models; return the result as JSON values.

    Everything is checked before the first training. Raises ConfigError, RunError and
    ExperimentStopped.
    """
    models = models_with_trials(plan)
    seeds = experiment_seeds(plan.base, plan.seeds)
    for seed in seeds:  # the outer loop: runs of one seed share the split of the log
        for model in models:
            for number in range(len(model.trials)):  # any trial may be chosen
                runs.check_run(model.planned_run(plan.out, number, seed))  # experiments-R16
    runs.total += sum(len(model.trials) + len(seeds) - 1 for model in models)
    trained = [
        [runs.train_run(model.planned_run(plan.out, n, seeds[0])) for n in range(len(model.trials))]
        for model in models
    ]
    tuned = []
    for model, trials in zip(models, trained, strict=True):
        chosen = best_trial([run.value for run in trials])
        planned = [] if chosen is None else [model.planned_run(plan.out, chosen, s) for s in seeds]
        tuned.append(TunedModel(model, trials, chosen, [runs.evaluate_run(x) for x in planned]))
    return comparison_result(plan, runs, tuned)


def models_with_trials(plan: ComparisonPlan) -> list[ModelTrials]:
    """Return the models and their trials. Raises ConfigError for an invalid comparison.

    No log is needed, so that a command can call this function before it reads one.
    """
    labels = [arm.label for arm in plan.arms]
    if len(set(labels)) < len(labels) or len({arm.folder for arm in plan.arms}) < len(labels):
        raise ConfigError(say("models", "each once", ", ".join(labels)))
    if plan.opponent not in labels:
        raise ConfigError(say("--opponent", " or ".join(labels), plan.opponent))
    models = []
    for arm in plan.arms:
        with prefix_errors(f"model {arm.label}"):
            models.append(ModelTrials(plan.base, arm, arm_trials(plan.base, arm, plan.trials)))
    return models


def comparison_result(
    plan: ComparisonPlan, runs: ExperimentRuns, models: Sequence[TunedModel]
) -> ComparisonResult:
    """Return the result of a comparison as JSON values."""
    hits = results.complete_hits({tuned.model.arm.label: tuned.evaluated for tuned in models})
    if plan.opponent not in hits:
        todo = "choose another --opponent, or lower its learning rate"
        raise RunError(say(plan.opponent, "an opponent with a result", "training diverged", todo))
    pairs = [(label, plan.opponent) for label in hits if label != plan.opponent]
    estimates, differences, cases = paired_tests.estimate_arms(hits, pairs, LIST_LENGTHS)
    arms: list[ComparedArm] = [
        {
            "label": tuned.model.arm.label,
            "settings": changed_settings(plan.base, tuned.model.config(tuned.chosen)),
            "trials": [
                {"settings": trial, "validation": run.value, "diverged": run.diverged}
                for trial, run in zip(tuned.model.trials, tuned.trained, strict=True)
            ],
            "chosen": tuned.chosen,
            **results.training_outcome(tuned.evaluated),
            "metrics": estimates.get(tuned.model.arm.label),
            "against": differences.get((tuned.model.arm.label, plan.opponent)),
        }
        for tuned in models
    ]
    seeds = experiment_seeds(plan.base, plan.seeds)
    return {
        "kind": "compare",
        **results.result_head(plan.base, runs, cases, seeds, LIST_LENGTHS),
        "opponent": plan.opponent,
        "tuning": {
            "trials": plan.trials,
            "metric": plan.base.metric,
            "seed": plan.base.seed,
            "cases": "validation",
        },
        "arms": arms,
    }


def arm_trials(base: Config, arm: Arm, count: int) -> list[Trial]:
    """Return the settings of `count` trials of an arm, or fewer if its grid has fewer.

    Trial 0 has the given settings, so that tuning cannot make a model worse. A trial depends only
    on its number: with a larger `count` the first trials stay the same.
    """
    grid = {name: values for name, values in arm.grid.items() if values}
    seen: set[str] = set()  # trials as drawn, and their complete settings
    trials: list[Trial] = []
    draws = range(50 * math.prod(map(len, grid.values())))
    drawn = (
        {name: draw_value(values, name, number) for name, values in grid.items()}
        for number in draws
    )
    for trial in chain([Trial()], drawn):
        if len(trials) == count:  # experiments-R26
            break
        if repr(trial) in seen:
            continue
        full = repr(arm_config(base, arm.settings, trial))
        if full not in seen:  # experiments-R11
            trials.append(trial)
        seen |= {repr(trial), full}
    return trials


def draw_value(values: Sequence[Value], name: str, number: int) -> Value:
    """Return a value chosen by a hash of the setting's name and the number.

    The choice does not depend on the machine or the model: models that share a setting try the same
    values.
    """
    digest = hashlib.sha256(f"{name} {number}".encode()).digest()
    return values[int.from_bytes(digest[:8], "big") % len(values)]  # experiments-R11


def best_trial(values: Sequence[float | None]) -> int | None:
    """Return the trial with the best validation, the first of equals; None if all diverged."""
    candidates = [i for i, value in enumerate(values) if value is not None]
    return max(candidates, key=lambda i: (values[i], -i)) if candidates else None  # experiments-R12
