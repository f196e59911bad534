"""The paper's table: models with equal chances, on the same cases, against one opponent.

Spec: specs/experiments.md. Source: paper, section 4.2 and table 2. Differs: several seeds,
intervals and tests; settings chosen on validation cases, and as many trials for each model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.config import Config
from mindref.errors import ConfigError, RunError, say, told_of
from mindref.experiments import contrasts, results
from mindref.experiments.arms import Arm, Asked, changed, place_of, seeds_of, settings_of
from mindref.experiments.hits import Hits
from mindref.experiments.runs import Run, Runs
from mindref.experiments.tuning import best_of, trials_of

AT = (10, 20, 50, 100)


class Plan(NamedTuple):
    """What is compared."""

    base: Config  # the settings that all models share; its seed is the first
    arms: Sequence[Arm]
    seeds: int
    trials: int  # settings that are tried for each model
    opponent: str  # label of an arm
    out: Path


class Entry(NamedTuple):
    """A model with all its trials, the settings of each."""

    arm: Arm
    trials: list[dict[str, Any]]


def compare(plan: Plan, runs: Runs) -> dict[str, Any]:
    """Train, choose, judge; return the result as plain values, in the form of schema.json.

    Everything is checked before the first training. Raises ConfigError, RunError, Stopped.
    """
    entries = entries_of(plan)
    seeds = seeds_of(plan.base, plan.seeds)
    for entry in entries:
        for number in range(len(entry.trials)):
            for seed in seeds:  # any trial may be chosen
                runs.check(asked(plan, entry, number, seed))  # experiments-R16
    trials = sum(len(entry.trials) for entry in entries)
    runs.total += trials + len(entries) * (len(seeds) - 1)
    tuned = [
        [runs.trained(asked(plan, e, i, seeds[0])) for i in range(len(e.trials))] for e in entries
    ]
    chosen = [best_of([run.value for run in tried]) for tried in tuned]
    finals = [
        final_runs(plan, runs, entry, number, seeds)
        for entry, number in zip(entries, chosen, strict=True)
    ]
    return result(plan, runs, entries, tuned, chosen, finals)


def entries_of(plan: Plan) -> list[Entry]:
    """Return the models with their trials. Raises ConfigError for what is no comparison.

    It needs no log, so a command can ask before it reads one.
    """
    labels = [arm.label for arm in plan.arms]
    if len(set(labels)) < len(labels) or len({arm.folder for arm in plan.arms}) < len(labels):
        raise ConfigError(say("models", "each once", ", ".join(labels)))
    if plan.opponent not in labels:
        raise ConfigError(say("--opponent", " or ".join(labels), plan.opponent))
    return [entry_of(plan, arm) for arm in plan.arms]


def entry_of(plan: Plan, arm: Arm) -> Entry:
    """Return a model with its trials. Raises ConfigError, with its name, for a setting it lacks."""
    with told_of(f"model {arm.label}"):
        return Entry(arm, trials_of(plan.base, arm, plan.trials))


def asked(plan: Plan, entry: Entry, number: int, seed: int) -> Asked:
    """Return the run of a trial under a seed."""
    settings = {**entry.arm.settings, **entry.trials[number]}
    words = f"{entry.arm.label}, trial {number}, seed {seed}"
    place = place_of(plan.out, entry.arm, number, seed)
    return Asked(place, settings_of(plan.base, settings, seed), words)


def final_runs(
    plan: Plan, runs: Runs, entry: Entry, number: int | None, seeds: Sequence[int]
) -> list[tuple[Run, Hits | None]]:
    """Return the runs of the chosen trial under all seeds, judged on the test cases."""
    if number is None:
        return []
    return [runs.judged(asked(plan, entry, number, seed)) for seed in seeds]


def result(
    plan: Plan,
    runs: Runs,
    entries: Sequence[Entry],
    tuned: Sequence[Sequence[Run]],
    chosen: Sequence[int | None],
    finals: Sequence[Sequence[tuple[Run, Hits | None]]],
) -> dict[str, Any]:
    """Return what was found as plain values."""
    hits = results.hits_of({e.arm.label: found for e, found in zip(entries, finals, strict=True)})
    if plan.opponent not in hits:
        todo = "choose another --opponent, or lower its learning rate"
        raise RunError(say(plan.opponent, "an opponent with a result", "training diverged", todo))
    pairs = [(label, plan.opponent) for label in hits if label != plan.opponent]
    alone, against, cases = contrasts.contrasts(hits, pairs, AT)
    rows = []
    for entry, tried, number, found in zip(entries, tuned, chosen, finals, strict=True):
        label = entry.arm.label
        settings = {**entry.arm.settings, **(entry.trials[number] if number is not None else {})}
        rows.append(
            {
                "label": label,
                "settings": changed(plan.base, settings_of(plan.base, settings)),
                "trials": [
                    {"settings": trial, "validation": run.value, "diverged": run.diverged}
                    for trial, run in zip(entry.trials, tried, strict=True)
                ],
                "chosen": number,
                **results.outcome(found),
                "metrics": alone.get(label),
                "against": against.get((label, plan.opponent)),
            }
        )
    return {
        **results.head("compare", plan.base, runs, cases, seeds_of(plan.base, plan.seeds)),
        "opponent": plan.opponent,
        "tuning": {
            "trials": plan.trials,
            "metric": plan.base.metric,
            "seed": plan.base.seed,
            "cases": "validation",
        },
        "at": list(AT),
        "arms": rows,
    }
