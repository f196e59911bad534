"""The table of the faults that the suite kills: each fault in the profile "smoke"."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.runner.suite_run import SuiteRun
from tests.conformance.independent.faults import FAULTS, KINDS
from tests.conformance.mutant_kills import PRECISIONS

SECTION = "independent faults"
"""Name of the section of specs/coverage.md."""

NAMED = "your "
"""Begin of a diagnosis that names a known mistake."""

LOCATION = re.compile(
    r"\. (Right at|The (results|gradients) are (right|wrong)|The results depend on earlier calls"
    r"|The same call gives another answer|Step \d+ of|Wrong: |In [^,]+, )"
)
"""Matches a diagnosis that says where or when the results are wrong."""

CALLER = re.compile(r"\b(caller|child)\b")
"""Matches the message of a check of concurrency that names the caller, or the child of a fork."""


class Outcome(NamedTuple):
    """What the suite says about one fault."""

    name: str
    kind: str
    killed: tuple[bool, ...]  # in each of PRECISIONS
    named: bool  # a diagnosis names a known mistake
    located: bool  # no diagnosis does, and one says where the results are wrong


def run_fault(name: str, words: tuple[str, ...] = ()) -> Outcome:
    """Return what the suite says about a fault. `words` selects checks, as in SuiteRun."""
    fault = FAULTS[name]
    run = SuiteRun(f"{fault.__module__}:{name}", words, RunSettings("smoke"))
    failed = [result for result in run.report().results if result.status == "failed"]
    return make_outcome(name, failed)


def make_outcome(name: str, failed: Sequence[CheckResult]) -> Outcome:
    kind, precisions = FAULTS[name].kind, {result.precision for result in failed}
    killed = tuple(str(precision) in precisions for precision in PRECISIONS)
    named = any(result.diagnosis.startswith(NAMED) for result in failed)
    located = any(is_located(result, kind) for result in failed)
    return Outcome(name, kind, killed, named, located and not named)


def is_located(result: CheckResult, kind: str) -> bool:
    """Return whether a failure says where, when or for whom the results are wrong."""
    if LOCATION.search(result.diagnosis):
        return True
    is_concurrency = result.check.startswith("concurrency/")
    return kind == "threads" and is_concurrency and CALLER.search(result.message) is not None


def run_faults(names: Iterable[str], processes: int) -> Iterator[Outcome]:
    """Yield the outcome of each fault, in order. The faults run in so many processes."""
    context = multiprocessing.get_context("spawn")  # a fault may have started threads
    with ProcessPoolExecutor(processes, context) as pool:
        yield from pool.map(run_fault, names)


def make_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the lines of the section: the table, and the faults that survive."""
    killed = [f"killed in {precision}" for precision in PRECISIONS]
    cells = ["kind", "faults", *killed, "named", "located"]
    lines = [f"| {' | '.join(cells)} |", "|---|" + "--:|" * (len(cells) - 1)]
    for kind, label in KINDS.items():
        lines.append(make_row(label, [outcome for outcome in outcomes if outcome.kind == kind]))
    lines += [make_row("all", outcomes), ""]
    return lines + [survivor_line(outcome) for outcome in outcomes if not all(outcome.killed)]


def make_row(label: str, outcomes: Sequence[Outcome]) -> str:
    killed = [sum(outcome.killed[i] for outcome in outcomes) for i in range(len(PRECISIONS))]
    named = sum(outcome.named for outcome in outcomes)
    located = sum(outcome.located for outcome in outcomes)
    return f"| {' | '.join(map(str, [label, len(outcomes), *killed, named, located]))} |"


def survivor_line(outcome: Outcome) -> str:
    """Return a line with the fault, where it survives, and why."""
    fault = FAULTS[outcome.name]
    precisions = zip(PRECISIONS, outcome.killed, strict=True)
    survived = " and ".join(str(precision) for precision, killed in precisions if not killed)
    reason = fault.reason or "The reason is not known."
    return f"- `{outcome.name}` survives in {survived}: {fault.__doc__} {reason}"


def outcome_text(outcome: Outcome) -> str:
    """Return a line for the terminal."""
    killed = [str(p) for p, dead in zip(PRECISIONS, outcome.killed, strict=True) if dead]
    text = f"killed in {' and '.join(killed)}" if killed else "survives"
    words = [word for word in ("named", "located") if getattr(outcome, word)]
    return ", ".join([f"{outcome.kind} {outcome.name}: {text}", *words])
