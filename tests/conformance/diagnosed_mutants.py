"""What the diagnosis says about mutants of the catalogue.

python -m tests.conformance.diagnosed_mutants --every 4 --write

For each mutant, the checks of its page and of its rule run. The failures are diagnosed together.
The table of the pages goes into specs/coverage.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import Mutant, backend_of, suite_mutants
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.diagnosed import add_diagnoses
from mindref.conformance.runner.plan import PROFILES, unclaimed_reason
from tests.conformance.independent.table import LOCATION, NAMED
from tests.conformance.mutant_kills import write_section

SECTION = "diagnosed mutants"
FLOAT64 = Precision.of("float64")
BUDGET = ExampleBudget(PROFILES["smoke"].examples, seed=0, shrink=False)

SAYS = ("its name", "another name", "where", "neither")
"""What a diagnosis says: the mutant, another mutant, or the place of the wrong results."""


class Diagnosed(NamedTuple):
    page: str
    name: str
    says: str  # of SAYS, or "" if no check fails


def checks_of(mutant: Mutant) -> list[ConformanceCheck]:
    """Return the checks of the mutant's page, and those that cite its rule."""
    checks = all_checks()
    return [c for c in checks if c.page == mutant.page or mutant.rule in c.rules]


def diagnose_mutant(name: str) -> Diagnosed:
    mutant = next(m for m in suite_mutants() if m.name == name)
    implementation = BackendImplementation(backend_of(mutant))
    checks = [c for c in checks_of(mutant) if not unclaimed_reason(c, implementation)]
    results = [run_check(check, implementation, FLOAT64, BUDGET) for check in checks]
    failed = [result for result in results if result.status == "failed"]
    texts = [result.diagnosis for result in add_diagnoses(implementation, failed)]
    return Diagnosed(mutant.page, name, verdict(name, texts) if failed else "")


def verdict(name: str, texts: Sequence[str]) -> str:
    """Return what the diagnoses of one mutant say."""
    own, another, where, neither = SAYS
    if any(f"[{name}, " in text for text in texts if text.startswith(NAMED)):
        return own
    if any(text.startswith(NAMED) for text in texts):
        return another
    return where if any(LOCATION.search(text) for text in texts) else neither


def diagnose_mutants(names: Iterable[str], processes: int) -> Iterator[Diagnosed]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        yield from pool.map(diagnose_mutant, names)


def make_table(outcomes: Sequence[Diagnosed]) -> list[str]:
    """Return the lines of the table, and a line for each mutant with another verdict."""
    killed = [outcome for outcome in outcomes if outcome.says]
    lines = [f"| page | mutants | {' | '.join(SAYS)} |", "|---|" + "--:|" * (1 + len(SAYS))]
    lines += [
        make_row(page, [x for x in killed if x.page == page])
        for page in dict.fromkeys(outcome.page for outcome in killed)
    ]
    lines += [make_row("all", killed), ""]
    return lines + [f"- `{x.name}`: {x.says}" for x in killed if x.says != SAYS[0]]


def make_row(label: str, outcomes: Sequence[Diagnosed]) -> str:
    counts = [sum(outcome.says == says for outcome in outcomes) for says in SAYS]
    return f"| {' | '.join(map(str, [label, len(outcomes), *counts]))} |"


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--every", type=int, default=4, help="test each N-th mutant")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options, outcomes = parser.parse_args(), []
    names = [mutant.name for mutant in suite_mutants()][:: options.every]
    for outcome in diagnose_mutants(names, options.processes):
        outcomes.append(outcome)
        print(outcome.page, outcome.name, outcome.says or "no check fails", flush=True)
    lines = make_table(outcomes)
    write_section(SECTION, lines) if options.write else print(*lines, sep="\n")


if __name__ == "__main__":
    main()
