"""Write the tables of specs/field.md: python -m tests.public_code.table --write [PART]...

The parts are torch-rechub, deepmatch and bugs; all without any. A package is judged where it is
installed, in an environment of its own; elsewhere its part of the page stays as it is.
"""

from __future__ import annotations

import datetime
import importlib.util
import math
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

from mindref.conformance.runner.suite_run import run_suite
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import ConformanceReport, CheckResult
from mindref.conformance.report import badge
from mindref.conformance.report import summary
from tests import spec_pages
from tests.public_code.bugs import BUGS
from tests.public_code.effects import EFFECTS
from tests.public_code.naming import Naming, mistakes, naming

PAGE = spec_pages.SPECS / "field.md"
PROFILE = "standard"
WORST_FIRST = ("failed", "blocked", "passed")
NEAREST = re.compile(r"nearest: .*?\[([\w-]+), [a-z_]+-R\d+.*?\] \((\d+) %\)")
NOT_THERE = "raised NotImplementedError: the "  # as an adapter says it, not the package
EXACTLY = re.compile(r" is (\S+), expected (\S+) exactly")
ROUNDING = 1e-4  # far above float32, far below what any mistake does
OF_MASKS = ("numerics-R4", "routing-R6", "label_attention-R4")  # what tidy questions spare
LONGEST = 90  # letters of what was raised


class Package(NamedTuple):
    """A public package with an adapter, and the same with tidy questions (tidy.py)."""

    name: str  # of the distribution
    module: str  # that it installs
    backend: str
    tidy: str
    beside: tuple[str, ...]  # distributions that its numbers depend on


PACKAGES = (
    Package(
        "torch-rechub",
        "torch_rechub",
        "tests.public_code.rechub_backend:Backend",
        "tests.public_code.finite_padding:Rechub",
        ("torch",),
    ),
    Package(
        "deepmatch",
        "deepmatch",
        "tests.public_code.deepmatch_backend:Backend",
        "tests.public_code.finite_padding:Deepmatch",
        ("tensorflow", "tf-keras"),
    ),
)
PARTS = (*(package.name for package in PACKAGES), "bugs")


def part_of(text: str, part: str) -> tuple[str, str, str]:
    """Return what stands before a part of the page, the part, and what stands after it."""
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
    head, rest = text.split(begin)
    body, tail = rest.split(end)
    return head + begin, body, end + tail


def package_part(package: Package) -> Iterator[str]:
    """Judge a package, and yield the lines of its part."""
    names = (package.backend, package.tidy)
    plain, tidy = (run_suite(name, (), RunSettings(PROFILE)) for name in names)
    versions = [f"{name} {metadata.version(name)}" for name in (*package.beside, "numpy")]
    today = datetime.datetime.now(tz=datetime.UTC).date()
    yield f"{package.name} {metadata.version(package.name)} with {', '.join(versions)}, on {today}:"
    yield ""
    for name in names:
        yield f"    mindref conform --backend {name} --profile {PROFILE}"
    by = summary.title_lines(plain)[0].partition(" judged ")[2]
    yield ""
    yield f"Tested {by}, seed {plain.seed}, in {' and '.join(plain.precisions)}."
    yield ""
    yield f"- as it is: **{badge.badge_text(plain)}**: {summary.count_line(plain)}"
    yield f"- tidy: **{badge.badge_text(tidy)}**: {summary.count_line(tidy)}"
    yield ""
    yield from rule_table(judged(plain), judged(tidy))
    yield ""
    yield "Not claimed: " + ", ".join(unclaimed(plain)) + "."


def unclaimed(report: ConformanceReport) -> list[str]:
    """Return what is not claimed, each thing once."""
    return [fold.reason for fold in summary.folded_results(report) if fold.status == "not_claimed"]


def judged(report: ConformanceReport) -> list[CheckResult]:
    """Return the results that say something."""
    return [r for r in report.results if r.status != "not_claimed"]


def rule_table(plain: list[CheckResult], tidy: list[CheckResult]) -> Iterator[str]:
    """Yield a row for each rule that was judged, pages in the order in which they ran."""
    pages_run = list(dict.fromkeys(r.page for r in plain))
    rules = [x for x in dict.fromkeys(rule for r in plain for rule in r.rules)]
    rules = [x for x in rules if page_of(x) in pages_run]
    rules.sort(key=lambda x: (pages_run.index(page_of(x)), int(x.rpartition("R")[2])))
    yield "| rule | as it is | tidy | likely mistake | what that does to a model |"
    yield "|---|---|---|---|---|"
    for rule in rules:
        yield rule_row(rule, of_rule(rule, plain), of_rule(rule, tidy))


def page_of(rule: str) -> str:
    """Return the page of a rule."""
    return rule.partition("-")[0]


def of_rule(rule: str, results: list[CheckResult]) -> list[CheckResult]:
    """Return the results that tell of a rule: those listed under it, else all that cite it."""
    return [r for r in results if r.rule == rule] or [r for r in results if rule in r.rules]


def rule_row(rule: str, plain: list[CheckResult], tidy: list[CheckResult]) -> str:
    """Return a row; the mistake is that of the tidy run, where less stands in its way."""
    failed = failures(tidy) or failures(plain)
    told = [likely(failed), effect(rule, failed, tidy)] if failed else ["", ""]
    return "| " + " | ".join([rule, outcome(plain), outcome(tidy), *told]) + " |"


def effect(rule: str, failed: list[CheckResult], tidy: list[CheckResult]) -> str:
    """Return what these failures of a rule do to a model."""
    if all(r.message.startswith(NOT_THERE) for r in failed):
        return "not available"
    if all(last_digits(r.message) for r in failed):
        return "no separate effect: last digits of numbers that are wrong by other rules"
    if rule in OF_MASKS or failures(tidy):
        return EFFECTS.get(rule, "")
    causes = dict.fromkeys(r.blocked_by for r in tidy if r.status == "blocked")
    return f"see {', '.join(causes)}" if causes else "none if masked positions are finite"


def last_digits(message: str) -> bool:
    """Return whether two numbers that a law wants equal differ by rounding alone."""
    found = EXACTLY.search(message)
    return bool(found) and math.isclose(float(found[1]), float(found[2]), rel_tol=ROUNDING)


def failures(results: list[CheckResult]) -> list[CheckResult]:
    """Return those that failed."""
    return [r for r in results if r.status == "failed"]


def outcome(results: list[CheckResult]) -> str:
    """Return the worst of some results, and how many checks come to it."""
    checks = {status: {r.check for r in results if r.status == status} for status in WORST_FIRST}
    worst = next(status for status in WORST_FIRST if checks[status])
    every = {r.check for r in results}
    said = (
        worst if len(every) == len(checks[worst]) else f"{worst} {len(checks[worst])}/{len(every)}"
    )
    if worst == "blocked":
        said += " by " + ", ".join({r.blocked_by: 0 for r in results if r.status == worst})
    if worst == "failed" and all(r.message.startswith(NOT_THERE) for r in failures(results)):
        said += ": not implemented"
    return said


def likely(failed: list[CheckResult]) -> str:
    """Return what the diagnosis names, else what is nearest, else what was raised."""
    for result in failed:
        if mistakes(result.diagnosis):
            return " or ".join(f"`{name}`" for name in mistakes(result.diagnosis))
    for result in failed:
        near = NEAREST.search(result.diagnosis)
        if near:
            return f"no match; nearest `{near[1]}` ({near[2]} %)"
    raised = next((r.message for r in failed if r.message.startswith("raised ")), "")
    return raised[:LONGEST].replace("|", "\\|") or "no match"


def bug_part() -> Iterator[str]:
    """Yield the table of the public bugs."""
    found = [naming(bug) for bug in BUGS]
    right = sum(one.right for one in found)
    yield f"{right} of {len(found)} are named."
    yield ""
    yield "| bug | deviation | seen in | rule | check | the diagnosis names | right |"
    yield "|---|---|---|---|---|---|---|"
    for one in found:
        yield bug_row(one)


def bug_row(one: Naming) -> str:
    """Return the row of a bug."""
    bug, named = one.bug, [f"`{name}`" for name in one.named]
    if one.strangers:
        named.append("elsewhere " + ", ".join(f"`{name}`" for name in one.strangers))
    cells = [f"`{bug.__name__}`", *bug.bug, f"`{one.check}`", " or ".join(named) or "nothing"]
    return "| " + " | ".join([*cells, "yes" if one.right else "no"]) + " |"


def read_bugs() -> dict[str, list[str]]:
    """Return bug -> the cells of its row on the page, from `what it is` on, without code marks."""
    _, body, _ = part_of(PAGE.read_text(encoding="utf-8"), "bugs")
    rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): [cell.replace("`", "") for cell in cells[1:]] for cells in rows}


def write(parts: list[str]) -> None:
    """Write the parts that can be made here."""
    makers = {p.name: lambda p=p: package_part(p) for p in PACKAGES if there(p)}
    makers["bugs"] = bug_part
    for part in parts or PARTS:
        if part not in makers:
            print(f"{part} is not installed here: its part stays as it is")
            continue
        lines = "\n".join(makers[part]())
        head, _, tail = part_of(PAGE.read_text(encoding="utf-8"), part)
        PAGE.write_text(f"{head}{lines}\n{tail}", encoding="utf-8")


def there(package: Package) -> bool:
    """Return whether a package is installed."""
    return importlib.util.find_spec(package.module) is not None


if __name__ == "__main__":
    if sys.argv[1:2] != ["--write"] or not set(sys.argv[2:]) <= set(PARTS):
        sys.exit(f"usage: python -m tests.public_code.table --write [{'|'.join(PARTS)}]...")
    write(sys.argv[2:])
