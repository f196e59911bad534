"""Which mutants a check of their rule kills: python -m tests.conformance.mutant_kills --write.

A rule is covered if every mutant that breaks it fails a check that cites the rule, in float64 and
in float32. The table goes into specs/coverage.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
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
    rule: str
    checks: int
    mutants: int
    killed: tuple[int, ...]  # in each of PRECISIONS

    @property
    def covered(self) -> bool:
        """Return whether a mutant proves that the rule is checked."""
        return self.mutants > 0 and all(k == self.mutants for k in self.killed)


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


def row(rule: str) -> Row:
    wrong = [v for v in suite_mutants() if v.rule == rule]
    killed = tuple(sum(bool(killer(v, p)) for v in wrong) for p in PRECISIONS)
    return Row(rule, len(citing(rule)), len(wrong), killed)


def rules_of(page: str) -> list[str]:
    """Return the rules of a page that a check cites, in the order of the page."""
    cited = {rule for check in all_checks() for rule in check.rules}
    return [rule for rule in spec_pages.rules(page) if rule in cited]


def line(counts: Row) -> str:
    """Return the line of the table for one rule; tests/status.py reads it."""
    cells = [counts.rule, counts.checks, counts.mutants, *counts.killed]
    return f"| {' | '.join(map(str, cells))} | {'yes' if counts.covered else 'no'} |"


def judged_pages() -> list[str]:
    """Return the pages of which a check cites a rule."""
    return [page for page in spec_pages.names() if rules_of(page)]


def table() -> Iterator[str]:
    yield "| rule | checks | mutants | killed in float64 | killed in float32 | covered |"
    yield "|---|--:|--:|--:|--:|---|"
    for page in judged_pages():
        yield from (line(row(rule)) for rule in rules_of(page))


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
