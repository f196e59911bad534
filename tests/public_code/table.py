"""Write the tables of specs/field.md: python -m tests.public_code.table --write [PART]...

The parts are torch-rechub, deepmatch and bugs; by default all. A package must be installed to be
tested. If a package is not installed, its part of the page is unchanged.
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

from mindref.conformance.report import summary
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import CheckResult, ConformanceReport
from mindref.conformance.runner.suite_run import run_suite
from tests import spec_pages
from tests.public_code.bugs import BUGS
from tests.public_code.naming import BugDiagnosis, diagnose_bug, named_mutants

PAGE = spec_pages.SPECS / "field.md"
PROFILE = "standard"
WORST_FIRST = ("failed", "blocked", "passed")
NEAREST = re.compile(r"nearest: .*?\[([\w-]+), [a-z_]+-R\d+.*?\] \((\d+) %\)")
NOT_IMPLEMENTED = "raised NotImplementedError: the "  # raised by an adapter, not by the package
EXACTLY = re.compile(r" is (\S+), expected (\S+) exactly")
ROUNDING = 1e-4  # far above rounding of float32, far below the effect of a bug
MASK_RULES = ("numerics-R4", "routing-R6", "label_attention-R4")
"""Rules that zeros at masked positions cannot break."""
MAX_MESSAGE = 90  # characters of an error message


NEVER_NOTICED = "a wrong call returns a result, not an error: visible only in the metrics"
PADS_SPEAK = "the content and the amount of padding change the interests of a user"
SPREADS = "a NaN or infinity is hidden, or appears in unrelated results"

WITHOUT_ERROR = (
    "notation-R1", "notation-R2", "numerics-R1", "numerics-R3", "routing-R29", "routing-R30",
    "routing-R31", "label_attention-R14", "label_attention-R15", "label_attention-R16",
)  # fmt: skip

EFFECTS = {
    **dict.fromkeys(WITHOUT_ERROR, NEVER_NOTICED),
    "numerics-R4": "a NaN in padding or in an inactive interest makes the result of the user NaN",
    "numerics-R5": SPREADS,
    "numerics-R6": "results differ from the specified model, in every dtype",
    "numerics-R10": "valid inputs give NaN, and the training stops",
    "numerics-R13": SPREADS,
    "backend-R12": "not observable: the operator does not return a result",
    "routing-R1": "votes are not one linear map, and other code cannot load S",
    "routing-R2": "interests do not compete for a behaviour: its weights may all be large or small",
    "routing-R3": "a repeated behaviour or a longer history does not get more weight",
    "routing-R4": "iterations after the first follow another algorithm",
    "routing-R5": "the capsules do not result from r iterations; a setting may have no effect",
    "routing-R6": PADS_SPEAK,
    "routing-R7": "inactive interests take weight from active interests",
    "routing-R8": "agreement does not accumulate, so interests do not separate over the iterations",
    "routing-R9": "with the softmax over behaviours, interests shrink as padding grows",
    "routing-R11": "training minimises another loss than the specified one",
    "routing-R12": "training does not differentiate the last iteration",
    "routing-R13": "a user without behaviours fails the batch, or gets an arbitrary vector",
    "routing-R19": "the result of a user depends on earlier users",
    "routing-R20": "the result of a user depends on the other users of the batch",
    "routing-R21": "the order of a history changes the result, which the model excludes",
    "routing-R22": "the result depends on the numbering of interests",
    "routing-R23": "the interest of a user with one interest is not the sum of the votes",
    "routing-R24": "interests differ by their number, not by the history",
    "routing-R28": "inactive interests send gradients to items",
    "label_attention-R1": "the attention uses another score than the ranking of items",
    "label_attention-R2": "with an even power, a worse matching interest gets more weight",
    "label_attention-R3": "attention weights of a user do not sum to 1",
    "label_attention-R4": "inactive interests change the user's vector or receive gradient",
    "label_attention-R5": "the mean over interests (p = 0) is not available",
    "label_attention-R6": "hard attention selects another interest than the best one",
    "label_attention-R7": "the vector of a user is not a weighted mean of the interests",
    "label_attention-R8": "the gradient of an interest is NaN or incomplete",
    "label_attention-R9": "the target gets no gradient from its use as attention query",
    "label_attention-R10": "items are trained through constant attention weights",
    "label_attention-R11": "large powers overflow: the first interest is selected, or NaN results",
    "label_attention-R12": "an interest orthogonal to the target makes the batch NaN",
    "label_attention-R13": "a large power makes the gradients of the batch infinite",
    "label_attention-R17": SPREADS,
}
"""Rule -> the effect on a model with such an operator, for every rule that a package fails."""


class Package(NamedTuple):
    """A public package with an adapter and a finite-padding adapter (finite_padding.py)."""

    name: str  # name of the distribution
    module: str  # name of the module
    adapter: str
    beside: tuple[str, ...]  # distributions on which the results depend

    @property
    def backend(self) -> str:
        return f"tests.public_code.{self.adapter}_backend:Backend"

    @property
    def tidy(self) -> str:
        return f"tests.public_code.finite_padding:{self.adapter.capitalize()}"


PACKAGES = (
    Package("torch-rechub", "torch_rechub", "rechub", ("torch",)),
    Package("deepmatch", "deepmatch", "deepmatch", ("tensorflow", "tf-keras")),
)
PART_NAMES = (*(package.name for package in PACKAGES), "bugs")


def split_page(text: str, part: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
    head, tail_part = text.split(begin)
    body, tail = tail_part.split(end)
    return head + begin, body, end + tail


def package_part(package: Package) -> Iterator[str]:
    names = (package.backend, package.tidy)
    plain, tidy = (run_suite(name, (), RunSettings(PROFILE)) for name in names)
    versions = [f"{name} {metadata.version(name)}" for name in (*package.beside, "numpy")]
    today = datetime.datetime.now(tz=datetime.UTC).date()
    yield f"{package.name} {metadata.version(package.name)} with {', '.join(versions)}, on {today}:"
    yield ""
    for name in names:
        yield f"    mindref conform --backend {name} --profile {PROFILE}"
    by = summary.title_lines(plain)[0].partition(" tested ")[2]
    yield f"\nTested {by}, seed {plain.seed}, in {' and '.join(plain.precisions)}.\n"
    yield f"- as it is: **{summary.badge_text(plain)}**: {summary.count_line(plain)}"
    yield f"- tidy: **{summary.badge_text(tidy)}**: {summary.count_line(tidy)}\n"
    yield from rule_table(claimed_results(plain), claimed_results(tidy))
    folded = [x.reason for x in summary.folded_results(plain) if x.status == "not_claimed"]
    yield "\nNot claimed: " + ", ".join(folded) + "."


def claimed_results(report: ConformanceReport) -> list[CheckResult]:
    return [r for r in report.results if r.status != "not_claimed"]


def rule_table(plain: list[CheckResult], tidy: list[CheckResult]) -> Iterator[str]:
    """Yield a row for each tested rule, in the order of the pages."""
    pages_run = list(dict.fromkeys(r.page for r in plain))
    keys = {
        (pages_run.index(page), int(number), f"{page}-R{number}")
        for page, number in (rule.split("-R") for r in plain for rule in r.rules)
        if page in pages_run
    }
    yield "| rule | as it is | tidy | likely mistake | what that does to a model |"
    yield "|---|---|---|---|---|"
    for *_, rule in sorted(keys):
        yield rule_row(rule, results_of_rule(rule, plain), results_of_rule(rule, tidy))


def results_of_rule(rule: str, results: list[CheckResult]) -> list[CheckResult]:
    """Return the results of a rule: the results listed under the rule, else all that cite it."""
    return [r for r in results if r.rule == rule] or [r for r in results if rule in r.rules]


def rule_row(rule: str, plain: list[CheckResult], tidy: list[CheckResult]) -> str:
    """Return a row; the mistake is taken from the finite-padding run, if it fails there."""
    failed = failures(tidy) or failures(plain)
    effects = [likely_mistake(failed), effect(rule, failed, tidy)] if failed else ["", ""]
    return "| " + " | ".join([rule, outcome(plain), outcome(tidy), *effects]) + " |"


def effect(rule: str, failed: list[CheckResult], tidy: list[CheckResult]) -> str:
    if all(r.message.startswith(NOT_IMPLEMENTED) for r in failed):
        return "not available"
    if all(last_digits(r.message) for r in failed):
        return "no separate effect: last digits of numbers that are wrong by other rules"
    if rule in MASK_RULES or failures(tidy):
        return EFFECTS.get(rule, "")
    causes = dict.fromkeys(r.blocked_by for r in tidy if r.status == "blocked")
    return f"see {', '.join(causes)}" if causes else "none if masked positions are finite"


def last_digits(message: str) -> bool:
    """Return whether two numbers that must be equal differ only by rounding."""
    match = EXACTLY.search(message)
    return bool(match) and math.isclose(float(match[1]), float(match[2]), rel_tol=ROUNDING)


def failures(results: list[CheckResult]) -> list[CheckResult]:
    return [r for r in results if r.status == "failed"]


def outcome(results: list[CheckResult]) -> str:
    """Return the worst status of the results, and the number of checks with this status."""
    checks = {status: {r.check for r in results if r.status == status} for status in WORST_FIRST}
    worst = next(status for status in WORST_FIRST if checks[status])
    text, count = worst, len({r.check for r in results})
    if len(checks[worst]) < count:
        text += f" {len(checks[worst])}/{count}"
    if worst == "blocked":
        text += " by " + ", ".join({r.blocked_by: 0 for r in results if r.status == worst})
    if worst == "failed" and all(r.message.startswith(NOT_IMPLEMENTED) for r in failures(results)):
        text += ": not implemented"
    return text


def likely_mistake(failed: list[CheckResult]) -> str:
    """Return the named mutants, else the nearest mutant, else the error message."""
    for result in failed:
        if named_mutants(result.diagnosis):
            return " or ".join(f"`{name}`" for name in named_mutants(result.diagnosis))
    for result in failed:
        near = NEAREST.search(result.diagnosis)
        if near:
            return f"no match; nearest `{near[1]}` ({near[2]} %)"
    raised = next((r.message for r in failed if r.message.startswith("raised ")), "")
    return raised[:MAX_MESSAGE].replace("|", "\\|") or "no match"


def bug_table() -> Iterator[str]:
    diagnoses = [diagnose_bug(bug) for bug in BUGS]
    right = sum(one.right for one in diagnoses)
    yield f"{right} of {len(diagnoses)} are named.\n"
    yield "| bug | deviation | seen in | rule | check | the diagnosis names | right |"
    yield "|---|---|---|---|---|---|---|"
    for one in diagnoses:
        yield bug_row(one)


def bug_row(one: BugDiagnosis) -> str:
    bug, mutants = one.bug, [f"`{name}`" for name in one.mutants]
    if one.other_mutants:
        mutants.append("elsewhere " + ", ".join(f"`{name}`" for name in one.other_mutants))
    cells = [
        f"`{bug.__name__}`",
        bug.deviation,
        bug.seen_in,
        bug.rule,
        f"`{one.check}`",
        " or ".join(mutants) or "nothing",
    ]
    return "| " + " | ".join([*cells, "yes" if one.right else "no"]) + " |"


def read_bugs() -> dict[str, list[str]]:
    """Return bug -> the cells of its row after the first cell, without code marks."""
    _, body, _ = split_page(PAGE.read_text(encoding="utf-8"), "bugs")
    rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): [cell.replace("`", "") for cell in cells[1:]] for cells in rows}


def write(parts: list[str]) -> None:
    """Write the parts whose package is installed."""
    makers = {p.name: lambda p=p: package_part(p) for p in PACKAGES if is_installed(p)}
    makers["bugs"] = bug_table
    for part in parts or PART_NAMES:
        if part not in makers:
            print(f"{part} is not installed here: its part stays as it is")
            continue
        lines = "\n".join(makers[part]())
        head, _, tail = split_page(PAGE.read_text(encoding="utf-8"), part)
        PAGE.write_text(f"{head}{lines}\n{tail}", encoding="utf-8")


def is_installed(package: Package) -> bool:
    return importlib.util.find_spec(package.module) is not None


if __name__ == "__main__":
    if sys.argv[1:2] != ["--write"] or not set(sys.argv[2:]) <= set(PART_NAMES):
        sys.exit(f"usage: python -m tests.public_code.table --write [{'|'.join(PART_NAMES)}]...")
    write(sys.argv[2:])
