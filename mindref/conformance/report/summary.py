"""Texts that several formats of the report share."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import mindref
from mindref.conformance import versions
from mindref.conformance.report.rule_address import rule_address
from mindref.conformance.runner import manifest
from mindref.conformance.runner.plan import FULL_PRECISIONS
from mindref.conformance.runner.result import STATUSES, CheckResult, ConformanceReport

COMMAND = "python "
"""A line with this prefix is a shell command."""

MANY = 10
"""At most this many problems with the same text are printed."""

CHECK_PROBLEM = re.compile(r"[\w/]+(?:\[\w+\])? \[[\w/]+\] (.*)")
"""Matches a problem of one check, such as "CHECK [float32] TEXT"; the group is TEXT."""

WORDS = {"not_claimed": "not claimed", "self_comparison": "self-comparison"}
"""Status -> printed words. Other statuses are printed unchanged."""


BADGE_PARTS: dict[str, Callable[[CheckResult], bool]] = {
    "ops": lambda r: r.level == "ops" and not r.gradient,
    "gradients": lambda r: r.level == "ops" and r.gradient,
    "model": lambda r: r.level == "model",
    "train": lambda r: r.level == "train",
    "serve": lambda r: r.level == "serve",
}
"""Name in the badge -> function that returns whether a result is counted under this name."""


class Failure(NamedTuple):
    """A failed check, with all precisions in which it fails."""

    result: CheckResult  # in precisions[0]
    precisions: tuple[str, ...]
    again: bool = False  # whether an earlier failure has the same diagnosis


class Folded(NamedTuple):
    """Number of results that have the same status and reason; the report prints one line."""

    status: str
    num_results: int
    reason: str


def report_failures(report: ConformanceReport) -> list[Failure]:
    """Return the failed checks, sorted by page and rule.

    Pages are in the order of `report.results`, rules in the order of their first failures.
    """
    failed = [r for r in report.results if r.status == "failed"]
    pages = list(dict.fromkeys(r.page for r in report.results))
    checks = list(dict.fromkeys(r.check for r in failed))
    failures = []
    for check in checks:
        same = [r for r in failed if r.check == check]
        failures.append(Failure(same[0], tuple(r.precision for r in same)))
    rules = list(dict.fromkeys(f.result.rule for f in failures))
    failures.sort(key=lambda f: (pages.index(f.result.page), rules.index(f.result.rule)))
    seen = [f.result.diagnosis for f in failures]
    return [f._replace(again=f.result.diagnosis in seen[:i]) for i, f in enumerate(failures)]


def failures_by_rule(failures: Iterable[Failure]) -> Iterator[tuple[str, list[Failure]]]:
    """Yield each rule with its failures."""
    for rule, group in groupby(failures, key=lambda f: f.result.rule):
        yield rule, list(group)


def rule_line(rule: str) -> str:
    """Return the label of a rule, its force as on its page and its text."""
    return f"{rule} ({manifest.rule_force(rule)}) {manifest.rule_text(rule)}"


def failure_text_lines(failure: Failure) -> list[str]:
    """Return lines that describe a failure, and the command that reproduces it."""
    result = failure.result
    lines = [f"{result.check} [{', '.join(failure.precisions)}]: {result.text}", result.message]
    if result.diagnosis:
        is_mutant = result.diagnosis.startswith("your ")
        again = "the same mistake as above" if is_mutant else "no known mistake explains it either"
        if ". " in result.diagnosis and not is_mutant:  # conformance-R32
            again = "wrong in the same cases as above"
        lines.append(again if failure.again else result.diagnosis)
    if result.script:
        lines.append(f"{COMMAND}{shlex.quote(result.script)}")
    return lines


def result_text(result: CheckResult) -> str:
    """Return a text about the failed check and the rule that it tests."""
    failure = Failure(result, (result.precision,))
    rule = result.rule
    return "\n".join([rule_line(rule), rule_address(rule), *failure_text_lines(failure)])


def folded_results(report: ConformanceReport) -> list[Folded]:
    """Return the results that neither passed nor failed, grouped by status and reason."""
    folded = []
    for status in ("blocked", "expected", "not_claimed", "self_comparison"):
        results = [r for r in report.results if r.status == status]
        blocked = status == "blocked"
        counts = Counter(r.blocked_by or r.reason if blocked else r.reason for r in results)
        folded += [Folded(status, count, reason) for reason, count in counts.items()]
    return folded


def folded_line(fold: Folded) -> str:
    """Return one line about the results in `fold`."""
    joint = " by " if fold.status == "blocked" else ": "
    return f"{fold.num_results} {WORDS.get(fold.status, fold.status)}{joint}{fold.reason}"


def not_passed_reason(result: CheckResult) -> str:
    """Return why `result` neither passed nor failed."""
    word = WORDS.get(result.status, result.status)
    if result.status == "blocked":
        return f"{word} by {result.blocked_by}: {result.message}"
    return f"{word}: {result.reason}"


def report_problems(report: ConformanceReport) -> list[str]:
    """Return the problems. If more than MANY have the same text, count the others."""
    counts = Counter(map(problem_of_check, report.problems))
    lines, seen = [], Counter[str]()
    for line in report.problems:
        text = problem_of_check(line)
        seen[text] += 1
        if not text or seen[text] <= MANY:
            lines.append(line)
        elif seen[text] == counts[text]:
            lines.append(f"and {counts[text] - MANY} more: {text}")
    return lines


def problem_of_check(problem: str) -> str:
    """Return `problem` without the check at the start; "" if it is not about a check."""
    match = CHECK_PROBLEM.match(problem)
    return match[1] if match else ""


def count_line(report: ConformanceReport) -> str:
    """Return a line such as "planned 9 = 8 passed + 1 failed"."""
    counts = report.counts()
    statuses = [s for s in STATUSES if counts[s] or s in ("passed", "failed")]
    parts = " + ".join(f"{counts[s]} {WORDS.get(s, s)}" for s in statuses)
    sign = "=" if report.complete else "≠"
    return f"planned {report.planned} {sign} {parts}"


def title_lines(report: ConformanceReport) -> list[str]:
    """Return lines with the backend, the versions and the settings of the run."""
    offered = f" ({report.version})" if report.version else ""
    by = f"mindref {mindref.__version__}, specification {versions.SPEC}, suite {versions.SUITE}"
    how = f"profile {report.profile}, seed {report.seed}, {', '.join(report.precisions)}"
    how += f", device {report.device}"
    lines = [f"{report.backend}{offered} tested by {by}, protocol {versions.PROTOCOL}", how]
    return lines + [f"only checks of {', '.join(report.selection)}"] * bool(report.selection)


def verdict_text(report: ConformanceReport) -> str:
    """Return "conforms", "does not conform", or, if the run was stopped, "has no verdict"."""
    if report.no_verdict:
        missing = len(report.results) < report.planned
        why = "not all planned checks ran" if missing else "the run was stopped"
        return f"has no verdict: {why}"
    return "conforms" if report.conforms else "does not conform"


def next_steps(report: ConformanceReport) -> list[str]:
    """Return advice on what to do after a failed run; [] if the backend conforms."""
    if report.conforms:
        return []
    lines, counts = [], report.counts()
    failed = report_failures(report)
    if failed:
        count = f"{len(failed)} check{'s' * (len(failed) > 1)} failed"
        lines.append(f"{count}: {report.backend} claims the rules above and breaks them.")
        first = f"Next: correct the first failure, {failed[0].result.check}"
        again = f", then run `mindref conform --backend {report.backend} {failed[0].result.page}`."
        lines += [first + again, "Blocked checks, and possibly later failures, follow from it."]
        lines.append("If a failure is a known gap, list it in a file for --expectations.")
    elif counts["blocked"] and not report.stopped:
        lines.append("Next: run the complete suite to find the failure that blocks these checks.")
    if report.stopped:
        missing = report.planned - len(report.results)
        left_out = f"{missing} planned checks did not run" if missing else "no failure is diagnosed"
        lines.append(f"Incomplete: {left_out}, because of {report.stopped}.")
    if report.problems or not (report.complete or report.stopped):
        lines.append("Next: correct each problem; a run with a problem does not conform.")
    if not counts["passed"] and not report.stopped:
        lines.append("No check passed. Correct the claims of the backend.")
    return lines


def page_rows(report: ConformanceReport, statuses: Iterable[str]) -> Iterator[list[str]]:
    """Yield a table row for each page: name, counts by status, largest error / error bound."""
    for page in dict.fromkeys(r.page for r in report.results):
        results = [r for r in report.results if r.page == page]
        counts = Counter(r.status for r in results)
        ratios: dict[str, CheckResult] = {}  # precision -> passed result with the largest error
        for result in results:
            if result.status == "passed":
                best = ratios.get(result.precision, result)
                ratios[result.precision] = max(best, result, key=lambda r: r.error_ratio)
        used = {precision: r for precision, r in ratios.items() if r.error_ratio}
        text = ", ".join(f"{name} {r.error_ratio:.0%} ({r.grade})" for name, r in used.items())
        yield [page, *(str(counts[status] or "") for status in statuses), text]


def badge_text(report: ConformanceReport) -> str:
    """Return the badge: "ops 41/41 · gradients 38/41 · model 12/12 · train 6/6".

    "38/41" means: for 38 of the 41 claimed rules, all checks passed. Each precision narrower than
    float32 has a separate count.
    """
    logic = [r for r in report.results if r.precision.split("/")[0] in FULL_PRECISIONS]
    parts = [badge_part(name, list(filter(of, logic))) for name, of in BADGE_PARTS.items()]
    narrow = [p for p in report.precisions if p.split("/")[0] not in FULL_PRECISIONS]
    parts += [badge_part(p, [r for r in report.results if r.precision == p]) for p in narrow]
    only = f"{', '.join(report.selection)}: " if report.selection else ""
    only = f"incomplete: {only}" if report.stopped else only
    loosened = sum(r.grade == "C" for r in report.results)
    parts += [f"{loosened} with widened tolerance"] * bool(loosened)
    return only + " · ".join(filter(None, parts))


def badge_part(name: str, results: list[CheckResult]) -> str:
    """Return a part of the badge, such as "ops 40/41"; "" if `results` is empty."""
    if not results:
        return ""
    statuses_by_rule: dict[str, list[str]] = {}
    for result in results:
        if result.status not in ("not_claimed", "self_comparison"):
            for rule in result.rules:
                statuses_by_rule.setdefault(rule, []).append(result.status)
    if not statuses_by_rule:
        itself = any(r.status == "self_comparison" for r in results)
        return f"{name} {'the reference itself' if itself else 'not claimed'}"
    num_passed = sum(set(statuses) == {"passed"} for statuses in statuses_by_rule.values())
    return f"{name} {num_passed}/{len(statuses_by_rule)}"
