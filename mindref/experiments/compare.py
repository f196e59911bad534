"""The paper's table: models tuned alike, on the same test cases, compared with one opponent.

Spec: specs/experiments.md, R11, R12 and R22. Source: paper, section 4.1 with Table 2. Differs:
several seeds, intervals and tests; settings are chosen on validation cases, with equally many
trials per model, drawn from its grid by a hash.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
from mindref.experiments.first_hits import FirstHits
from mindref.experiments.runs import EndedRun, ExperimentRuns

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

    arm: Arm
    trials: list[Trial]


def run_comparison(plan: ComparisonPlan, runs: ExperimentRuns) -> dict[str, Any]:
    """Tune, train and evaluate all models; return the result in the form of schema.json.

    Everything is checked before the first training. Raises ConfigError, RunError and
    ExperimentStopped.
    """
    models = models_with_trials(plan)
    seeds = experiment_seeds(plan.base, plan.seeds)
    for model in models:
        for number in range(len(model.trials)):
            for seed in seeds:  # any trial may be chosen
                runs.check_run(trial_run(plan, model, number, seed))  # experiments-R16
    trials = sum(len(model.trials) for model in models)
    runs.total += trials + len(models) * (len(seeds) - 1)
    tuned = [
        [runs.train_run(trial_run(plan, model, n, seeds[0])) for n in range(len(model.trials))]
        for model in models
    ]
    chosen = [best_trial([run.value for run in trial_runs]) for trial_runs in tuned]
    finals = [
        evaluate_chosen(plan, runs, model, number, seeds)
        for model, number in zip(models, chosen, strict=True)
    ]
    return comparison_result(plan, runs, models, tuned, chosen, finals)


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
            models.append(ModelTrials(arm, arm_trials(plan.base, arm, plan.trials)))
    return models


def trial_run(plan: ComparisonPlan, model: ModelTrials, number: int, seed: int) -> PlannedRun:
    """Return the run of a trial with a seed."""
    settings = {**model.arm.settings, **model.trials[number]}
    description = f"{model.arm.label}, trial {number}, seed {seed}"
    directory = run_directory(plan.out, model.arm, number, seed)
    return PlannedRun(directory, arm_config(plan.base, settings, seed), description)


def evaluate_chosen(
    plan: ComparisonPlan,
    runs: ExperimentRuns,
    model: ModelTrials,
    number: int | None,
    seeds: Sequence[int],
) -> list[tuple[EndedRun, FirstHits | None]]:
    """Return the runs of the chosen trial with all seeds, evaluated on the test cases."""
    if number is None:
        return []
    return [runs.evaluate_run(trial_run(plan, model, number, seed)) for seed in seeds]


def comparison_result(
    plan: ComparisonPlan,
    runs: ExperimentRuns,
    models: Sequence[ModelTrials],
    tuned: Sequence[Sequence[EndedRun]],
    chosen: Sequence[int | None],
    finals: Sequence[Sequence[tuple[EndedRun, FirstHits | None]]],
) -> dict[str, Any]:
    """Return the result of a comparison as JSON values."""
    labels = [model.arm.label for model in models]
    hits = results.complete_hits(dict(zip(labels, finals, strict=True)))
    if plan.opponent not in hits:
        todo = "choose another --opponent, or lower its learning rate"
        raise RunError(say(plan.opponent, "an opponent with a result", "training diverged", todo))
    pairs = [(label, plan.opponent) for label in hits if label != plan.opponent]
    estimates, differences, cases = paired_tests.estimate_arms(hits, pairs, LIST_LENGTHS)
    rows = []
    for model, trial_runs, number, final in zip(models, tuned, chosen, finals, strict=True):
        label = model.arm.label
        settings = {**model.arm.settings, **(model.trials[number] if number is not None else {})}
        rows.append(
            {
                "label": label,
                "settings": changed_settings(plan.base, arm_config(plan.base, settings)),
                "trials": [
                    {"settings": trial, "validation": run.value, "diverged": run.diverged}
                    for trial, run in zip(model.trials, trial_runs, strict=True)
                ],
                "chosen": number,
                **results.training_outcome(final),
                "metrics": estimates.get(label),
                "against": differences.get((label, plan.opponent)),
            }
        )
    seeds = experiment_seeds(plan.base, plan.seeds)
    tuning = {"trials": plan.trials, "metric": plan.base.metric, "seed": plan.base.seed}
    return {
        **results.result_head("compare", plan.base, runs, cases, seeds),
        "opponent": plan.opponent,
        "tuning": tuning | {"cases": "validation"},
        "at": list(LIST_LENGTHS),
        "arms": rows,
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
        if len(trials) == count:
            break
        if repr(trial) in seen:
            continue
        full = repr(arm_config(base, {**arm.settings, **trial}))
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
