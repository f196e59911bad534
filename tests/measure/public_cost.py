"""Measure the cost of deviations of public code in HR@50, as in the table of specs/field.md.

    python -m tests.measure.public_cost --runs RUNS --data FOLDER
    python -m tests.measure.public_cost --runs RUNS --write
    python -m tests.measure.public_cost --runs RUNS --equal

The first command trains all models on the log of MovieLens-1M in FOLDER. Each deviation is a mutant
that `mindref train` trains; the right model trains with three seeds. A run that RUNS contains is
not repeated, so a stopped command continues. The second command writes the table. The third command
prints the runs that end with the same parameters.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.numpy import load_file
from scipy import stats

from mindref.run.array_files import MODEL, arrays_digest
from tests.public_code.table import PAGE, split_page

TRAIN = (
    "mindref train --preset mind --user-features gender,age,occupation --batch 256 --steps 1000 "
    "--learning-rate 0.01 --evaluate-every 1000 --threads 1"
)
SEEDS = (0, 1, 2)
RIGHT = "numba"
REFERENCE = "numpy"
"""In place of a mutant: the reference, which computes like the mutants."""
MUTANTS = "mindref.conformance.mutants.trained"


class Group(NamedTuple):
    """Deviations that are compared with the right model under the same options."""

    options: str
    mutants: tuple[str, ...]


GROUPS = (
    Group(
        "",
        (
            REFERENCE,
            "routing-padding-zeroed-after-the-softmax",
            "no-log-q",
            "routing-vote-with-a-bias",
            "routing-length-one-between-iterations",
            "routing-logits-replaced-by-cosines",
            "attention-to-interests-of-length-one",
            "count-always-all",
            "routing-another-axis-in-the-last-iteration",
            "routing-softmax-over-behaviours",
            "hits-kept",
            "negatives-choose-their-interest",
            "interests-are-capsules",
            "squash-epsilon-under-the-root",
            "last-layer-rectified",
            "profile-not-read",
            "routing-one-set-of-logits-for-all-users",
            "routing-logits-replaced",
            "power-before-argmax",
            "routing-draws-in-every-call",
            "routing-no-update-after-the-third-iteration",
            "relu-layer-with-batch-norm",
            "hard-negatives-count-more",
            "penalty-for-a-negative-product",
            "inactive-interests-revived",
            "count-of-one-more",
            "count-by-natural-log",
            "routing-updates-of-length-one",
            "routing-inactive-zeroed-at-the-end",
            "hits-masked-for-all-users",
            "squash-to-the-power-one-half",
            "relu-layer-without-bias",
            "routing-always-three-iterations",
        ),
    ),
    Group("--power 2", ("power-is-always-infinite", "power-multiplies", "power-loses-the-sign")),
    Group("--normalise --temperature 0.1", ("temperature-unused",)),
)


class Cost(NamedTuple):
    """HR@50 of the test set, its 95 % interval, and the options of the run."""

    options: str
    mutant: str  # empty: the right model
    seed: int
    value: float
    low: float
    high: float


def run_folder(runs: Path, options: str, mutant: str, seed: int) -> Path:
    words = [*options.replace("--", "").split(), mutant or "right", str(seed)]
    return runs / "-".join(words)


def train(data: Path, runs: Path, options: str, mutant: str, seed: int) -> None:
    """Train one model, unless its report exists."""
    folder = run_folder(runs, options, mutant, seed)
    if (folder / "report.json").exists():
        return
    backend = {"": RIGHT, REFERENCE: REFERENCE}.get(mutant)
    backend = backend or f"{MUTANTS}:{mutant.replace('-', '_')}"
    command = [*TRAIN.split(), *options.split(), "--seed", str(seed), "--backend", backend]
    command += ["--data", str(data), "--out", str(folder), "--quiet", "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def planned() -> Iterator[tuple[str, str, int]]:
    """Yield options, mutant and seed of each run."""
    for group in GROUPS:
        yield from ((group.options, "", seed) for seed in SEEDS)
        yield from ((group.options, mutant, SEEDS[0]) for mutant in group.mutants)


def read_costs(runs: Path) -> list[Cost]:
    """Return the measured runs, in the order of the plan."""
    costs = []
    for options, mutant, seed in planned():
        report = run_folder(runs, options, mutant, seed) / "report.json"
        if report.exists():
            metrics = json.loads(report.read_text(encoding="utf-8"))["metrics"]
            rate = metrics["test"]["model"]["hit_rate@50"]
            costs.append(Cost(options, mutant, seed, rate["value"], rate["low"], rate["high"]))
    return costs


def table(costs: list[Cost]) -> Iterator[str]:
    """Yield the right model of each group, then its mutants with their difference from the mean."""
    yield "| further options | model | HR@50 | 95 % interval | difference |"
    yield "|---|---|--:|--:|--:|"
    for group in GROUPS:
        rows = [cost for cost in costs if cost.options == group.options]
        rights = [cost.value for cost in rows if not cost.mutant]
        label = f"`{group.options}`" if group.options else ""
        for cost in sorted(rows, key=lambda row: (bool(row.mutant), row.mutant != REFERENCE)):
            change = f"{100 * (cost.value / (sum(rights) / len(rights)) - 1):+.1f} %"
            interval = f"{cost.low:.3f} to {cost.high:.3f}"
            name, change = model_text(cost), change if cost.mutant else ""
            yield f"| {label} | {name} | {cost.value:.4f} | {interval} | {change} |"


def model_text(cost: Cost) -> str:
    if cost.mutant in ("", REFERENCE):
        return f"right, {cost.mutant or RIGHT}, seed {cost.seed}"
    return f"`{cost.mutant}`"


def chance_limit(values: Sequence[float]) -> float:
    """Return a limit of the difference of one more value from the mean, relative to the mean.

    With a probability of 95 %, a value of the same normal distribution is within the limit.
    """
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    deviation = statistics.stdev(values) / statistics.mean(values)
    return quantile * deviation * (1 + 1 / len(values)) ** 0.5


def equal_runs(runs: Path) -> list[list[str]]:
    """Return groups of runs that end with the same parameters, byte for byte."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(runs.glob(f"*/{MODEL}")):
        groups[arrays_digest(load_file(path), {})].append(path.parent.name)
    return [names for names in groups.values() if len(names) > 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    command = parser.add_mutually_exclusive_group(required=True)
    command.add_argument("--data", type=Path)
    command.add_argument("--write", action="store_true")
    command.add_argument("--equal", action="store_true")
    options = parser.parse_args()
    if options.data:
        for run in planned():
            train(options.data, options.runs, *run)
    elif options.equal:
        for names in equal_runs(options.runs):
            print(*names)
    else:
        head, _, tail = split_page(PAGE.read_text(encoding="utf-8"), "cost")
        lines = "\n".join(table(read_costs(options.runs)))
        PAGE.write_text(f"{head}{lines}\n{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
