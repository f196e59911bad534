"""Run correct implementations under many seeds: python -m tests.conformance.false_alarms --seeds
200.

Prints a table with a row for each operator. A failure is a false alarm and is listed with its seed.
All implementations run the same calls one after the other, so that drawn calls and expected answers
are in the caches.

--examples N   calls of each check and seed; at least two, because the first is the simplest one
--levels N     also the model, its loss and its training, composed of the operators: N seeds
--nulls N      also the trivial implementations that each check must reject: N seeds
--write        write the table into specs/coverage.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from mindref.backend import OPERATORS, load_backend
from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.plan import PROFILES, unclaimed_reason
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.runner.trivial_implementations import accepted_trivial
from tests.conformance.correct import NAME, correct_backend
from tests.conformance.independent.levels import IndependentBackend
from tests.conformance.mutant_kills import PRECISIONS, write_section

EXAMPLES = 3
CONCURRENCY_SEEDS = 20
"""Most seeds of a check of concurrency: it takes seconds, and its numbers decide nothing."""

NULLS = "nulls"
"""Name of the line of the trivial implementations."""

Implementations = dict[str, BackendImplementation]


class Line(NamedTuple):
    backend: str
    stem: str
    seeds: int
    runs: int = 0  # checks times seeds times precisions
    share: tuple[float, ...] = (0.0, 0.0)  # largest error ratio in each of PRECISIONS
    below_a: int = 0  # passed with a grade below A
    alarms: tuple[str, ...] = ()  # "backend check precision seed message" of each false alarm


def correct_implementations() -> Implementations:
    """Return the backends of `correct` and `independent`, and numba, which computes no padding."""
    backends = {NAME: correct_backend(), "numba": load_backend("numba")}
    backends[IndependentBackend.name] = IndependentBackend()
    return {name: BackendImplementation(backend) for name, backend in backends.items()}


def run_implementations(
    stem: str, implementations: Implementations, seeds: Sequence[int], examples: int = EXAMPLES
) -> list[Line]:
    """Return a line for each implementation: every check of `stem`, under every seed."""
    lines = {name: Line(name, stem, len(seeds)) for name in implementations}
    for seed, check, precision in product(seeds, checks_of(stem), PRECISIONS):
        if check.name.startswith("concurrency/") and seed >= seeds[0] + CONCURRENCY_SEEDS:
            continue
        budget = example_budget(check, examples, seed)
        for name, implementation in implementations.items():
            if not unclaimed_reason(check, implementation):
                result = run_check(check, implementation, precision, budget)
                lines[name] = add_result(lines[name], precision, result, seed)
    return list(lines.values())


def planned_runs(stem: str, implementation: BackendImplementation, seeds: int) -> int:
    """Return how many runs of checks a line must have."""
    claimed = [check for check in checks_of(stem) if not unclaimed_reason(check, implementation)]
    slow = sum(check.name.startswith("concurrency/") for check in claimed)
    few = min(seeds, CONCURRENCY_SEEDS)
    return len(PRECISIONS) * ((len(claimed) - slow) * seeds + slow * few)


def example_budget(check: ConformanceCheck, examples: int, seed: int) -> ExampleBudget:
    """Return the number of examples; at least two, because the first is the simplest one."""
    return ExampleBudget(max(examples, round(2 / check.fraction)), seed, shrink=False)


def run_trivial_implementations(stem: str, seeds: Sequence[int]) -> Line:
    """Return a line for the trivial implementations; a check that accepts one is an alarm."""
    checks, gates = checks_of(stem), PROFILES["smoke"].gate_examples
    alarms = tuple(
        f"{NULLS} {check.name} {precision} {seed} accepts {trivial}"
        for seed, check, precision in product(seeds, checks, PRECISIONS)
        for trivial in accepted_trivial(check, precision, gates, seed)
    )
    runs = len(seeds) * len(checks) * len(PRECISIONS)
    return Line(NULLS, stem, len(seeds), runs, alarms=alarms)


def add_result(line: Line, precision: Precision, result: CheckResult, seed: int) -> Line:
    if result.status == "not_claimed":  # the backend does not compute these settings itself
        return line
    share = list(line.share)
    index = PRECISIONS.index(precision)
    share[index] = max(share[index], result.error_ratio)
    line = line._replace(runs=line.runs + 1, share=tuple(share))
    if result.status == "passed":
        return line._replace(below_a=line.below_a + (result.grade != "A"))
    message = f"{result.status} {result.blocked_by} {result.message}"
    alarm = f"{line.backend} {result.check} {precision} {seed} {message}"
    return line._replace(alarms=(*line.alarms, alarm))


def checks_of(stem: str) -> list[ConformanceCheck]:
    """Return the checks of one operator, or of one stem of the model."""
    return [check for check in all_checks() if check.stem == stem]


def composed_stems() -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.stem for c in all_checks() if c.stem not in OPERATORS))


def stem_lines(options: argparse.Namespace) -> Iterator[list[Line]]:
    """Yield the lines of each operator and stem: the implementations, then the trivial ones."""
    implementations = correct_implementations()
    plan = [(stem, options.seeds) for stem in options.stems or OPERATORS]
    plan += [(stem, options.levels) for stem in composed_stems() if options.levels]
    for stem, count in plan:
        seeds = range(options.first, options.first + count)
        lines = run_implementations(stem, implementations, seeds, options.examples)
        nulls = range(options.first, options.first + options.nulls)
        yield [*lines, run_trivial_implementations(stem, nulls)]


def heading() -> list[str]:
    shares = [f"largest share, {p}" for p in PRECISIONS]
    cells = ["tested", "seeds", "checks run", *shares, "grade B", "false alarms"]
    cells += ["trivial: checks run", "accepted"]
    return ["| " + " | ".join(cells) + " |", "|---|" + "--:|" * (len(cells) - 1)]


def row(lines: list[Line]) -> str:
    """Return the row of one stem: the sums or maxima over its implementations."""
    *correct, nulls = lines
    shares = [f"{max(column):.2f}" for column in zip(*(x.share for x in correct), strict=True)]
    runs, grades = sum(x.runs for x in correct), sum(x.below_a for x in correct)
    alarms = sum(len(x.alarms) for x in correct)
    cells = [nulls.stem, correct[0].seeds, runs, *shares, grades, alarms]
    return f"| {' | '.join(map(str, [*cells, nulls.runs, len(nulls.alarms)]))} |"


def arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    counts = {"seeds": 200, "first": 0, "examples": EXAMPLES, "levels": 0, "nulls": 0}
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--stems", nargs="*", choices=OPERATORS)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Print the table, each false alarm below its row."""
    options, start = arguments(), time.perf_counter()
    table, alarms = heading(), 0
    print(*table, sep="\n")
    for lines in stem_lines(options):
        found = [alarm for line in lines for alarm in line.alarms]
        table.append(row(lines))
        print(table[-1], *found, sep="\n", flush=True)
        alarms += len(found)
    print(f"{alarms} false alarms, {time.perf_counter() - start:.0f} s")
    if options.write:
        write_section("false alarms", table)


if __name__ == "__main__":
    main()
