"""Right implementations under many seeds: python -m tests.conformance.false_alarms --seeds 200.

Prints a table, one line for each operator and implementation. Nothing may fail: what does is a
false alarm, and is listed with its seed. All implementations are asked the very same questions one
after the other, so that what was drawn and what the reference answers is still in the caches.

--examples N   calls of each check and seed, at least two: the first is the simplest of all
--levels N     also the model, its loss and its training, composed of their operators: N seeds
--nulls N      also the answers that each check must reject before it judges: N seeds
--torch        also the implementation in PyTorch
--write        put the table into specs/coverage.md
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
from mindref.conformance.judging.check import Check, all_checks
from mindref.conformance.judging.composed import Composed
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.gates import leaks
from mindref.conformance.judging.plan import PROFILES, unclaimed
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend
from mindref.models import mind
from mindref.training import optimiser
from tests import pages
from tests.conformance.correct import ALL

PRECISIONS = (Precision.of("float64"), Precision.of("float32"))
EXAMPLES = 3
TABLE = pages.SPECS / "coverage.md"
BEGIN, END = "<!-- false alarms: begin -->", "<!-- false alarms: end -->"
NULLS = "nulls"
"""Stands for an implementation where what answers is no implementation."""

Subjects = dict[str, OfBackend]


class Alarm(NamedTuple):
    """A check that a right implementation did not pass."""

    backend: str
    check: str
    precision: str
    seed: int
    message: str


class Line(NamedTuple):
    """What came of one implementation of one operator."""

    backend: str
    stem: str
    seeds: int
    runs: int  # checks times seeds times precisions
    share: tuple[float, ...]  # largest share of the allowed error in each of PRECISIONS
    below_a: int  # passed with a grade below A
    alarms: tuple[Alarm, ...]


def right(torch: bool = False) -> Subjects:
    """Return the right implementations, the model composed of their operators."""
    found = {kind.name: composed(kind.name, kind().ops) for kind in ALL}
    if torch:
        automatic = importlib.import_module("tests.conformance.correct.automatic").Automatic()
        found[automatic.name] = OfBackend(automatic)
    return found


def composed(name: str, ops: Any) -> OfBackend:
    """Return a backend of all levels, made of these operators."""
    return OfBackend(Composed(ops, mind, optimiser, name=name))


def judged(
    stem: str, subjects: Subjects, seeds: Sequence[int], examples: int = EXAMPLES
) -> list[Line]:
    """Return a line for each implementation: every check that asks `stem`, under every seed."""
    lines = {name: Line(name, stem, len(seeds), 0, (0.0,) * 2, 0, ()) for name in subjects}
    for seed, check, precision in product(seeds, of_stem(stem), PRECISIONS):
        for name, subject in subjects.items():
            if not unclaimed(check, subject):
                result = run_check(check, subject, precision, effort(check, examples, seed))
                lines[name] = counted(lines[name], precision, result, seed)
    return list(lines.values())


def effort(check: Check, examples: int, seed: int) -> Effort:
    """Return how much is asked; two examples at least, as the first is the simplest of all."""
    return Effort(max(examples, round(2 / check.share)), seed, shrink=False)


def rejected(stem: str, seeds: Sequence[int]) -> Line:
    """Return a line for the answers that no check may accept: one that does fails everybody."""
    alarms, checks, gates = [], of_stem(stem), PROFILES["smoke"].gate_examples
    for seed, check, precision in product(seeds, checks, PRECISIONS):
        for null in leaks(check, precision, gates, seed):
            alarms.append(Alarm(NULLS, check.name, str(precision), seed, f"accepts {null}"))
    runs = len(seeds) * len(checks) * len(PRECISIONS)
    return Line(NULLS, stem, len(seeds), runs, (0.0,) * 2, 0, tuple(alarms))


def counted(line: Line, precision: Precision, result: Result, seed: int) -> Line:
    """Return the line with one more result."""
    share = list(line.share)
    place = PRECISIONS.index(precision)
    share[place] = max(share[place], result.share)
    line = line._replace(runs=line.runs + 1, share=tuple(share))
    if result.status == "passed":
        return line._replace(below_a=line.below_a + (result.grade != "A"))
    message = f"{result.status} {result.blocked_by} {result.message}"
    alarm = Alarm(line.backend, result.check, str(precision), seed, message)
    return line._replace(alarms=(*line.alarms, alarm))


def of_stem(stem: str) -> list[Check]:
    """Return the checks that ask one operator, or one stem of the whole model."""
    return [check for check in all_checks() if check.stem == stem]


def composed_stems() -> tuple[str, ...]:
    """Return what is asked of a whole backend, beside its operators."""
    return tuple(dict.fromkeys(c.stem for c in all_checks() if c.stem not in OPERATORS))


def lines(given: argparse.Namespace) -> Iterator[Line]:
    """Yield a line for each operator and implementation."""
    subjects = right(given.torch)
    plan = [(stem, given.seeds) for stem in given.stems or OPERATORS]
    plan += [(stem, given.levels) for stem in composed_stems() if given.levels]
    for stem, count in plan:
        yield from judged(stem, subjects, range(given.first, given.first + count), given.examples)
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
    """Return each false alarm in words."""
    return [" ".join(map(str, alarm)) for alarm in line.alarms]


def write(table: list[str]) -> None:
    """Put the table between its marks."""
    head, rest = TABLE.read_text(encoding="utf-8").split(BEGIN)
    made = "\n".join([head + BEGIN, *table, END + rest.split(END)[1]])
    TABLE.write_text(made, encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return what was asked for on the command line."""
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
