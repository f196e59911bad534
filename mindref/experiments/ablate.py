"""Ablations: one setting after the other changed, and what each change does.

Spec: specs/experiments.md. Source: paper, section 4.3, for sigma and p; nobody, for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.bench.machine import processor
from mindref.config import Config
from mindref.errors import RunError, say
from mindref.experiments import contrasts, results
from mindref.experiments.arms import Arm, Asked, in_words, place_of, seeds_of, settings_of
from mindref.experiments.clock import per_thousand
from mindref.experiments.contrasts import Found, verdict
from mindref.experiments.hits import Hits
from mindref.experiments.paired import Cases
from mindref.experiments.results import Judged
from mindref.experiments.runs import Run, Runs
from mindref.experiments.studies import Laid, Study, lay_out
from mindref.process.threads import cores

AT = (10, 50)


class Plan(NamedTuple):
    """What is ablated."""

    base: Config  # its seed is the first
    studies: Sequence[Study]
    seeds: int
    out: Path


def ablate(plan: Plan, runs: Runs) -> dict[str, Any]:
    """Train every arm once, judge, compare; return the result in the form of schema.json.

    Everything is checked before the first training. Raises ConfigError, RunError, Stopped.
    """
    laid = [lay_out(study, plan.base) for study in plan.studies]
    arms = {arm.folder: arm for one in laid for arm in one.arms}  # experiments-R17: each once
    seeds = seeds_of(plan.base, plan.seeds)
    for arm in arms.values():
        for seed in seeds:
            runs.check(asked(plan, arm, seed))  # experiments-R16
    runs.total += len(arms) * len(seeds)
    judged = {
        folder: [runs.judged(asked(plan, arm, seed)) for seed in seeds]
        for folder, arm in arms.items()
    }
    hits = results.hits_of(judged)
    if not hits:
        raise RunError(
            say("ablate", "an arm with a result", "none: all diverged", "lower the learning rate")
        )
    alone, against, cases = found_of(laid, hits)
    return {
        **results.head("ablate", plan.base, runs, cases, seeds),
        "at": list(AT),
        "studies": [written(one, judged, alone, against) for one in laid],
        "cost": cost(judged),
    }


def asked(plan: Plan, arm: Arm, seed: int) -> Asked:
    """Return the run of an arm under a seed."""
    words = f"{in_words(arm.settings)}, seed {seed}"
    return Asked(
        place_of(plan.out, arm, 0, seed), settings_of(plan.base, arm.settings, seed), words
    )


def found_of(
    laid: Sequence[Laid], hits: dict[str, list[Hits]]
) -> tuple[dict[str, Found], dict[tuple[str, str], Found], Cases]:
    """Return the estimates of arms and pairs, by folder; each pair once."""
    pairs = {
        (arm.folder, one.base.folder): None
        for one in laid
        for arm in one.arms
        if arm.folder != one.base.folder and {arm.folder, one.base.folder} <= set(hits)
    }
    return contrasts.contrasts(hits, list(pairs), AT)


def written(
    one: Laid,
    judged: Mapping[str, Judged],
    alone: dict[str, Found],
    against: dict[tuple[str, str], Found],
) -> dict[str, Any]:
    """Return a study as plain values."""
    rows = []
    for arm in one.arms:
        beside = against.get((arm.folder, one.base.folder))
        rows.append(
            {
                "label": arm.label,
                "settings": dict(arm.settings),
                "runs": arm.folder,
                **results.outcome(judged[arm.folder]),
                "metrics": alone.get(arm.folder),
                "against": beside,
                "verdict": verdict_of(arm, one.base, beside),
            }
        )
    study = one.study
    words = {"name": study.name, "title": study.title, "question": study.question}
    return {**words, "base": one.base.label, "curves": study.curves, "arms": rows}


def verdict_of(arm: Arm, base: Arm, beside: Found | None) -> str:
    """Return what is said of an arm."""
    if arm is base:
        return "base"
    return verdict(beside) if beside is not None else "no result"


def cost(judged: Mapping[str, Judged]) -> dict[str, Any]:
    """Return what 1,000 steps of each arm took, and on which machine: the one that is told of."""

    def seconds(runs: Sequence[Run]) -> float | None:
        return per_thousand(sum(run.seconds for run in runs), sum(run.timed for run in runs))

    return {
        "machine": f"{processor()}, {cores()} cores",
        "unit": "seconds per 1,000 training steps, without validation",
        "arms": {folder: seconds([run for run, _ in found]) for folder, found in judged.items()},
    }
