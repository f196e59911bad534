"""Which mutants a check of their rule kills: python -m tests.conformance.mutant_kills --write.

A rule is covered if it has a mutant, and every mutant that breaks it fails a check that cites the
rule, in float64 and in float32. The table goes into specs/coverage.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import Mutant, backend_of, suite_mutants
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from tests import spec_pages

TABLE = spec_pages.SPECS / "coverage.md"
PRECISIONS = (Precision.of("float64"), Precision.of("float32"))
BUDGET = ExampleBudget(30, seed=0, shrink=False)  # the examples of the profile "standard"


class Row(NamedTuple):
    """The rules of a page that a check cites, and the mutants that break one of them."""

    page: str
    rules: int
    covered: int
    checks: int
    mutants: int
    killed: tuple[int, ...]  # in each of PRECISIONS


def citing(rule: str) -> list[ConformanceCheck]:
    return [check for check in all_checks() if rule in check.rules]


@cache
def killer(mutant: Mutant, precision: Precision) -> str:
    """Return the name of the first check of its rule that a mutant fails; "" if it survives."""
    for check in citing(mutant.rule):
        # a new backend, because some mutants have state
        implementation = BackendImplementation(backend_of(mutant))
        if run_check(check, implementation, precision, BUDGET).status == "failed":
            return check.name
    return ""


def rules_of(page: str) -> list[str]:
    """Return the rules of a page that a check cites, in the order of the page."""
    cited = {rule for check in all_checks() for rule in check.rules}
    return [rule for rule in spec_pages.rules(page) if rule in cited]


def judged_pages() -> list[str]:
    """Return the pages of which a check cites a rule."""
    return [page for page in spec_pages.names() if rules_of(page)]


def row(page: str, *, killed: Callable[[Mutant, Precision], object] = killer) -> Row:
    """Return the row of a page. `killed` returns whether a check kills a mutant."""
    rules = rules_of(page)
    checks = {check.name for rule in rules for check in citing(rule)}
    deaths = {rule: [] for rule in rules}
    for mutant in suite_mutants():
        if mutant.rule in deaths:
            deaths[mutant.rule].append([bool(killed(mutant, p)) for p in PRECISIONS])
    mutants = [one for ones in deaths.values() for one in ones]
    covered = sum(bool(ones) and all(map(all, ones)) for ones in deaths.values())
    counts = tuple(sum(column) for column in zip(*mutants, strict=True))
    return Row(page, len(rules), covered, len(checks), len(mutants), counts)


def line(counts: Row) -> str:
    """Return the line of the table for one page."""
    *cells, killed = counts
    return f"| {' | '.join(map(str, [*cells, *killed]))} |"


def table() -> Iterator[str]:
    yield "| page | rules | covered | checks | mutants | killed in float64 | killed in float32 |"
    yield "|---" + "|--:" * 6 + "|"
    yield from (line(row(page)) for page in judged_pages())


def write_section(name: str, lines: Iterable[str], page: Path = TABLE) -> None:
    """Replace the lines between the marks of a section of a page."""
    begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
    before, section = page.read_text(encoding="utf-8").split(begin)
    after = section.split(end)[1]
    page.write_text(before + begin + "\n".join(lines) + end + after, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.conformance.mutant_kills --write")
    write_section("kills", table())
