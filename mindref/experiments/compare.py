"""The paper's table: models tuned alike, on the same test cases, compared with one opponent.

Spec: specs/experiments.md. Source: paper, section 4.2 and table 2. Differs: several seeds,
intervals and tests; settings are chosen on validation cases, with equally many trials per model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.config import Config
from mindref.errors import ConfigError, RunError, prefix_errors, say
from mindref.experiments import contrasts, results
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
from mindref.experiments.tuning import arm_trials, best_trial

COMPARISON_LENGTHS = (10, 20, 50, 100)  # n of the hit rates


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
    trials: list[dict[str, Any]]


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
        [
            runs.train_run(trial_run(plan, model, number, seeds[0]))
            for number in range(len(model.trials))
        ]
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
    return [model_with_trials(plan, arm) for arm in plan.arms]


def model_with_trials(plan: ComparisonPlan, arm: Arm) -> ModelTrials:
    """Return a model and its trials. Raises ConfigError, with its name, for an invalid setting."""
    with prefix_errors(f"model {arm.label}"):
        return ModelTrials(arm, arm_trials(plan.base, arm, plan.trials))


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
    estimates, differences, cases = contrasts.estimate_arms(hits, pairs, COMPARISON_LENGTHS)
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
    return {
        **results.result_head("compare", plan.base, runs, cases, seeds),
        "opponent": plan.opponent,
        "tuning": {
            "trials": plan.trials,
            "metric": plan.base.metric,
            "seed": plan.base.seed,
            "cases": "validation",
        },
        "at": list(COMPARISON_LENGTHS),
        "arms": rows,
    }
