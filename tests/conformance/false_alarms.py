"""Run correct implementations under many seeds: python -m tests.conformance.false_alarms --seeds
200.

Prints a table with a line for each operator and implementation. Nothing may fail: a failure is a
false alarm and is listed with its seed. All implementations run the same calls one after the other,
so that drawn calls and expected answers are in the caches.

--examples N   calls of each check and seed; at least two, because the first is the simplest one
--levels N     also the model, its loss and its training, composed of the operators: N seeds
--nulls N      also the trivial implementations that each check must reject: N seeds
--torch        also the implementation in PyTorch
--write        write the table into specs/coverage.md
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from mindref.backend import OPERATORS
from mindref.conformance.bounds import Precision
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.composed_backend import ComposedBackend
from mindref.conformance.runner.implementation import BackendImplementation
from mindref.conformance.runner.plan import PROFILES, unclaimed_reason
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.runner.trivial_implementations import accepted_trivial
from mindref.models import mind
from mindref.training import optimiser
from tests import spec_pages
from tests.conformance.correct import ALL

PRECISIONS = (Precision.of("float64"), Precision.of("float32"))
EXAMPLES = 3
TABLE = spec_pages.SPECS / "coverage.md"
BEGIN, END = "<!-- false alarms: begin -->", "<!-- false alarms: end -->"
NULLS = "nulls"
"""Name of the table row of the trivial implementations."""

Subjects = dict[str, BackendImplementation]


class Alarm(NamedTuple):
    """A check that a correct implementation did not pass."""

    backend: str
    check: str
    precision: str
    seed: int
    message: str


class Line(NamedTuple):
    """The results of one implementation of one operator."""

    backend: str
    stem: str
    seeds: int
    runs: int  # checks times seeds times precisions
    share: tuple[float, ...]  # largest error ratio in each of PRECISIONS
    below_a: int  # passed with a grade below A
    alarms: tuple[Alarm, ...]


def right(torch: bool = False) -> Subjects:
    """Return the correct implementations, with the model composed of their operators."""
    found = {kind.name: composed(kind.name, kind().ops) for kind in ALL}
    if torch:
        automatic = importlib.import_module("tests.conformance.correct.automatic").Automatic()
        found[automatic.name] = BackendImplementation(automatic)
    return found


def composed(name: str, ops: Any) -> BackendImplementation:
    """Return a backend of all levels, composed of these operators."""
    return BackendImplementation(ComposedBackend(ops, mind, optimiser, name=name))


def run_implementations(
    stem: str, implementations: Subjects, seeds: Sequence[int], examples: int = EXAMPLES
) -> list[Line]:
    """Return a line for each implementation: every check of `stem`, under every seed."""
    lines = {name: Line(name, stem, len(seeds), 0, (0.0,) * 2, 0, ()) for name in implementations}
    for seed, check, precision in product(seeds, of_stem(stem), PRECISIONS):
        for name, implementation in implementations.items():
            if not unclaimed_reason(check, implementation):
                result = run_check(check, implementation, precision, effort(check, examples, seed))
                lines[name] = counted(lines[name], precision, result, seed)
    return list(lines.values())


def effort(check: ConformanceCheck, examples: int, seed: int) -> ExampleBudget:
    """Return the number of examples; at least two, because the first is the simplest one."""
    return ExampleBudget(max(examples, round(2 / check.fraction)), seed, shrink=False)


def rejected(stem: str, seeds: Sequence[int]) -> Line:
    """Return a line for the trivial implementations; a check that accepts one is an alarm."""
    alarms, checks, gates = [], of_stem(stem), PROFILES["smoke"].gate_examples
    for seed, check, precision in product(seeds, checks, PRECISIONS):
        for null in accepted_trivial(check, precision, gates, seed):
            alarms.append(Alarm(NULLS, check.name, str(precision), seed, f"accepts {null}"))
    runs = len(seeds) * len(checks) * len(PRECISIONS)
    return Line(NULLS, stem, len(seeds), runs, (0.0,) * 2, 0, tuple(alarms))


def counted(line: Line, precision: Precision, result: CheckResult, seed: int) -> Line:
    """Return the line with one more result."""
    share = list(line.share)
    place = PRECISIONS.index(precision)
    share[place] = max(share[place], result.error_ratio)
    line = line._replace(runs=line.runs + 1, share=tuple(share))
    if result.status == "passed":
        return line._replace(below_a=line.below_a + (result.grade != "A"))
    message = f"{result.status} {result.blocked_by} {result.message}"
    alarm = Alarm(line.backend, result.check, str(precision), seed, message)
    return line._replace(alarms=(*line.alarms, alarm))


def of_stem(stem: str) -> list[ConformanceCheck]:
    """Return the checks of one operator, or of one stem of the model."""
    return [check for check in all_checks() if check.stem == stem]


def composed_stems() -> tuple[str, ...]:
    """Return the stems of checks of a backend as a whole."""
    return tuple(dict.fromkeys(c.stem for c in all_checks() if c.stem not in OPERATORS))


def lines(given: argparse.Namespace) -> Iterator[Line]:
    """Yield a line for each operator and implementation."""
    implementations = right(given.torch)
    plan = [(stem, given.seeds) for stem in given.stems or OPERATORS]
    plan += [(stem, given.levels) for stem in composed_stems() if given.levels]
    for stem, count in plan:
        yield from run_implementations(
            stem, implementations, range(given.first, given.first + count), given.examples
        )
        if given.nulls:
            yield rejected(stem, range(given.first, given.first + given.nulls))


def heading() -> list[str]:
    """Return the two lines above the table."""
    shares = [f"largest share, {p}" for p in PRECISIONS]
    cells = ["tested", "implementation", "seeds", "checks run", *shares, "grade B", "false alarms"]
    return ["| " + " | ".join(cells) + " |", "|---|---|" + "--:|" * (len(cells) - 2)]


def row(line: Line) -> str:
    """Return one line of the table."""
    judged_by = [*(f"{share:.2f}" for share in line.share), line.below_a]
    numbers = ["", "", ""] if line.backend == NULLS else judged_by
    counts = [line.seeds, line.runs, *numbers, len(line.alarms)]
    return "| " + " | ".join([line.stem, line.backend, *map(str, counts)]) + " |"


def said(line: Line) -> list[str]:
    """Return each false alarm as text."""
    return [" ".join(map(str, alarm)) for alarm in line.alarms]


def write(table: list[str]) -> None:
    """Write the table between its marks."""
    head, rest = TABLE.read_text(encoding="utf-8").split(BEGIN)
    made = "\n".join([head + BEGIN, *table, END + rest.split(END)[1]])
    TABLE.write_text(made, encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, count in {"seeds": 200, "first": 0, "examples": EXAMPLES}.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    for name in ("levels", "nulls"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--stems", nargs="*", choices=OPERATORS)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Print the table, each false alarm below its line."""
    given, began = arguments(), time.perf_counter()
    table, alarms = heading(), 0
    print(*table, sep="\n")
    for line in lines(given):
        table.append(row(line))
        print(table[-1], *said(line), sep="\n", flush=True)
        alarms += len(line.alarms)
    print(f"{alarms} false alarms, {time.perf_counter() - began:.0f} s")
    if given.write:
        write(table)


if __name__ == "__main__":
    main()
