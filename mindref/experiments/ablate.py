"""Ablation: change one setting at a time and measure the effect.

Spec: specs/experiments.md. Source: paper, section 4.2, for sigma and p; the other studies are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mindref.config import Config
from mindref.errors import RunError, say
from mindref.experiments import paired_tests, results
from mindref.experiments.arms import (
    Arm,
    PlannedRun,
    arm_config,
    describe_settings,
    experiment_seeds,
    run_directory,
)
from mindref.experiments.paired_tests import Differences, Estimates, overall_verdict
from mindref.experiments.runs import ExperimentRuns
from mindref.experiments.studies import Study, StudyArms, study_arms

ABLATION_LENGTHS = (10, 50)  # n of the hit rates


class AblationPlan(NamedTuple):
    """The studies to run."""

    base: Config  # its seed is the first seed
    studies: Sequence[Study]
    seeds: int  # number of seeds
    out: Path


def run_ablation(plan: AblationPlan, runs: ExperimentRuns) -> results.AblationResult:
    """Train, evaluate and compare all arms; return the result as JSON values.

    Everything is checked before the first training. Raises ConfigError, RunError and
    ExperimentStopped.
    """
    studies = [study_arms(study, plan.base) for study in plan.studies]
    arms = {arm.folder: arm for study in studies for arm in study.arms}  # experiments-R17: once
    seeds = experiment_seeds(plan.base, plan.seeds)
    for seed in seeds:  # the outer loop: runs of one seed share the split of the log
        for arm in arms.values():
            runs.check_run(planned_run(plan, arm, seed))  # experiments-R16
    runs.total += len(arms) * len(seeds)
    evaluated = {
        folder: [runs.evaluate_run(planned_run(plan, arm, seed)) for seed in seeds]
        for folder, arm in arms.items()
    }
    hits = results.complete_hits(evaluated)
    if not hits:
        todo = "lower the learning rate"
        raise RunError(say("ablate", "an arm with a result", "none: all diverged", todo))
    pairs = {  # by folder; each pair once
        (arm.folder, study.base.folder): None
        for study in studies
        for arm in study.arms
        if arm.folder != study.base.folder and {arm.folder, study.base.folder} <= set(hits)
    }
    estimates, differences, cases = paired_tests.estimate_arms(hits, list(pairs), ABLATION_LENGTHS)
    return {
        "kind": "ablate",
        **results.result_head(plan.base, runs, cases, seeds, ABLATION_LENGTHS),
        "studies": [study_result(study, evaluated, estimates, differences) for study in studies],
    }


def planned_run(plan: AblationPlan, arm: Arm, seed: int) -> PlannedRun:
    """Return the run of an arm with a seed."""
    description = f"{describe_settings(arm.settings)}, seed {seed}"
    directory = run_directory(plan.out, arm, 0, seed)
    return PlannedRun(directory, arm_config(plan.base, arm.settings, seed=seed), description)


def study_result(
    study_of_arms: StudyArms,
    evaluated: Mapping[str, results.EvaluatedRuns],
    estimates: dict[str, Estimates],
    differences: dict[tuple[str, str], Differences],
) -> results.StudyResult:
    """Return the result of a study as JSON values."""
    study, base = study_of_arms.study, study_of_arms.base
    against = {arm.folder: differences.get((arm.folder, base.folder)) for arm in study_of_arms.arms}
    arms: list[results.AblatedArm] = [
        {
            "label": arm.label,
            "settings": dict(arm.settings),
            "runs": arm.folder,
            **results.training_outcome(evaluated[arm.folder]),
            "metrics": estimates.get(arm.folder),
            "against": against[arm.folder],
            "verdict": arm_verdict(arm, base, against[arm.folder]),
        }
        for arm in study_of_arms.arms
    ]
    return {
        "name": study.name,
        "title": study.title,
        "question": study.question,
        "base": base.label,
        "arms": arms,
    }


def arm_verdict(arm: Arm, base: Arm, against: Differences | None) -> str:
    """Return the verdict on an arm."""
    verdict = overall_verdict(against) if against is not None else "no result"
    return "base" if arm is base else verdict
