"""Results by page and rule, the most telling first: what every text of a judgement is made of."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import mindref
from mindref.conformance import versions
from mindref.conformance.judging import manifest
from mindref.conformance.judging.result import STATUSES, Report, Result

COMMAND = "python "
"""How a line begins that is to be copied and run."""

MANY = 10
"""How many problems are told that say the same."""

OF_A_CHECK = re.compile(r"[\w/]+(?:\[\w+\])? \[[\w/]+\] (.*)")
"""A problem of one check in one precision, and what it says of it."""

WORDS = {"not_claimed": "not claimed"}


class Failure(NamedTuple):
    """One check that fails, in one precision or in several."""

    result: Result  # in the first of them
    precisions: tuple[str, ...]
    again: bool = False  # whether its diagnosis stands at an earlier one


class Folded(NamedTuple):
    """Results that are told in one line."""

    status: str
    many: int
    reason: str


def failures(report: Report) -> list[Failure]:
    """Return what failed, pages in the order in which they rest on one another.

    Inside a page rules come in the order of their checks: laws and exact cases before agreement.
    """
    failed = [r for r in report.results if r.status == "failed"]
    pages = list(dict.fromkeys(r.page for r in report.results))
    checks = list(dict.fromkeys(r.check for r in failed))
    found = []
    for check in checks:
        same = [r for r in failed if r.check == check]
        found.append(Failure(same[0], tuple(r.precision for r in same)))
    rules = list(dict.fromkeys(f.result.rule for f in found))
    found.sort(key=lambda f: (pages.index(f.result.page), rules.index(f.result.rule)))
    seen = [f.result.diagnosis for f in found]
    return [f._replace(again=f.result.diagnosis in seen[:i]) for i, f in enumerate(found)]


def by_rule(found: Iterable[Failure]) -> Iterator[tuple[str, list[Failure]]]:
    """Yield each rule with its failures."""
    for rule, group in groupby(found, key=lambda f: f.result.rule):
        yield rule, list(group)


def rule_line(rule: str) -> str:
    """Return a rule as its page says it."""
    return f"{rule} ({manifest.force(rule)}) {manifest.words(rule)}"


def told(failure: Failure) -> list[str]:
    """Return a failure in lines: what was asked, what came, why perhaps, how to see it again."""
    result = failure.result
    lines = [f"{result.check} [{', '.join(failure.precisions)}]: {result.text}", result.message]
    if result.diagnosis:
        known = result.diagnosis.startswith("your ")
        again = "the same mistake as above" if known else "no match either"
        lines.append(again if failure.again else result.diagnosis)
    if result.script:
        lines.append(f"{COMMAND}{shlex.quote(result.script)}")
    return lines


def of_one(result: Result) -> str:
    """Return one failure as a text of its own, with its rule."""
    return "\n".join([rule_line(result.rule), *told(Failure(result, (result.precision,)))])


def folded(report: Report) -> list[Folded]:
    """Return what did not pass and is no failure, each reason once with its count."""
    found = []
    for status in ("blocked", "expected", "not_claimed", "itself"):
        some = [r for r in report.results if r.status == status]
        counts = Counter(
            r.blocked_by or r.reason if status == "blocked" else r.reason for r in some
        )
        found += [Folded(status, count, reason) for reason, count in counts.items()]
    return found


def folded_line(fold: Folded) -> str:
    """Return such results in one line."""
    joint = " by " if fold.status == "blocked" else ": "
    return f"{fold.many} {WORDS.get(fold.status, fold.status)}{joint}{fold.reason}"


def why_not(result: Result) -> str:
    """Return why a result is neither passed nor failed."""
    word = WORDS.get(result.status, result.status)
    if result.status == "blocked":
        return f"{word} by {result.blocked_by}: {result.message}"
    return f"{word}: {result.reason}"


def problems(report: Report) -> list[str]:
    """Return the problems; those that say the same of many checks are cut short."""
    counts = Counter(map(said_of_a_check, report.problems))
    lines, seen = [], Counter[str]()
    for line in report.problems:
        what = said_of_a_check(line)
        seen[what] += 1
        if not what or seen[what] <= MANY:
            lines.append(line)
        elif seen[what] == counts[what]:
            lines.append(f"and {counts[what] - MANY} more: {what}")
    return lines


def said_of_a_check(problem: str) -> str:
    """Return what a problem says of a check in a precision, "" if it is about something else."""
    named = OF_A_CHECK.match(problem)
    return named[1] if named else ""


def balance(report: Report) -> str:
    """Return the sum that must come out, or say that it does not."""
    counts = report.counts()
    shown = [s for s in STATUSES if counts[s] or s in ("passed", "failed")]
    parts = " + ".join(f"{counts[s]} {WORDS.get(s, s)}" for s in shown)
    sign = "=" if report.balanced else "≠"
    return f"planned {report.planned} {sign} {parts}"


def title(report: Report) -> list[str]:
    """Return who was judged by whom, and how."""
    offered = f" ({report.version})" if report.version else ""
    by = f"mindref {mindref.__version__}, specification {versions.SPEC}, suite {versions.SUITE}"
    how = f"profile {report.profile}, seed {report.seed}, {', '.join(report.precisions)}"
    how += f", device {report.device}"
    lines = [f"{report.backend}{offered} judged by {by}, protocol {versions.PROTOCOL}", how]
    return lines + [f"only {', '.join(report.words)}"] * bool(report.words)


def verdict(report: Report) -> str:
    """Return the last word."""
    return "conforms" if report.conforms else "does not conform"


def shares(report: Report) -> dict[str, dict[str, Result]]:
    """Return page -> precision -> the passed result that used most of the allowed error."""
    found: dict[str, dict[str, Result]] = {}
    for result in report.results:
        row = found.setdefault(result.page, {})
        if result.status == "passed":
            best = row.get(result.precision, result)
            row[result.precision] = max(best, result, key=lambda r: r.share)
    return found


def shares_line(row: dict[str, Result]) -> str:
    """Return the shares of a page, by precision."""
    used = [f"{precision} {r.share:.0%} ({r.grade})" for precision, r in row.items() if r.share]
    return ", ".join(used)
