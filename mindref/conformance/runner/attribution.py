"""Find failures that another failure explains, so that one mistake is reported once."""

from __future__ import annotations

import re
from functools import cache

from mindref.backend import OPERATORS
from mindref.conformance.runner.check import RESTS_ON, all_checks
from mindref.conformance.runner.result import CheckResult

NAMED = re.compile(r"^your .*?\[[\w-]+, ([a-z_]+-R\d+)")
"""Matches a diagnosis that names a known mistake; the group is the rule that it breaks."""


def block_explained(results: list[CheckResult]) -> list[CheckResult]:
    """Return `results`; a failure that another failure explains gets the status "blocked".

    An agreement check compares answers with the reference. A failure becomes blocked if there is:

    - a failed agreement check of a page that the failure's page uses (routing uses softmax);
    - for a gradient check: an earlier failed agreement check of the same page;
    - for an agreement check of forward: an earlier failed agreement check of forward, same page;
    - for a broken rule of all operators, such as the dtype rule: a failed check of this rule;
    - for an exception: an earlier failure of the same operator with the same error message.
    """
    return [block_one(result, position, results) for position, result in enumerate(results)]


def block_one(result: CheckResult, position: int, results: list[CheckResult]) -> CheckResult:
    """Return `result`, with the status "blocked" if another failure in `results` explains it."""
    if result.status == "blocked":  # it raised CommonRuleFailed or PropertyOnWrongAnswers
        return block_by_common_rule(result, results)
    if result.status != "failed":
        return result
    cause = failure_below(result, results) or earlier_agreement(result, position, results)
    cause = cause or same_error_before(result, position, results)
    if cause is None:
        return result
    return result._replace(status="blocked", blocked_by=cause.rule)  # conformance-R9


def block_by_common_rule(result: CheckResult, results: list[CheckResult]) -> CheckResult:
    """Return `result` as "blocked" if a failed check explains it, otherwise as "failed"."""
    if result.blocked_by == "agreement":
        pages = (result.page, operator_of(result))
        causes = [r for r in results if r.page in pages and has_failed(r) and is_agreement(r)]
        causes += [r for r in [failure_below(result, results)] if r]
    else:
        causes = [r for r in results if r.status == "failed" and result.blocked_by in r.rules]
    if causes:
        return result._replace(blocked_by=causes[0].rule)
    prefix = "" if result.blocked_by == "agreement" else f"{result.blocked_by}: "
    return result._replace(status="failed", blocked_by="", message=prefix + result.message)


def failure_below(result: CheckResult, results: list[CheckResult]) -> CheckResult | None:
    """Return a failed check of a page that `result.page` uses (routing uses softmax), or None."""
    for page in foundations(result.check) or foundations(operator_of(result)):
        if cause := failed_agreement(page, results, gradient=result.gradient):
            return cause
    return same_check_below(result, results)


def failed_agreement(
    page: str, results: list[CheckResult], *, gradient: bool
) -> CheckResult | None:
    """Return a failed agreement check of `page`, or None. `gradient`: include gradient checks."""
    failed = (r for r in results if r.page == page and has_failed(r) and is_agreement(r))
    return next((r for r in failed if gradient or not r.gradient), None)


def same_check_below(result: CheckResult, results: list[CheckResult]) -> CheckResult | None:
    """For a check `x[routing]`, return a failed `x[softmax]` (routing uses softmax), or None."""
    question, of_all, _ = result.check.partition("[")
    for page in foundations(operator_of(result)) if of_all else ():
        for other in results:
            if other.check == f"{question}[{page}]" and has_failed(other):
                return other
    return None


def earlier_agreement(
    result: CheckResult, position: int, results: list[CheckResult]
) -> CheckResult | None:
    """Return an earlier failed agreement check of the page of `result`, or None."""
    if not (is_agreement(result) or result.gradient):
        return None
    return failed_agreement(result.page, results[:position], gradient=result.gradient)


def same_error_before(
    result: CheckResult, position: int, results: list[CheckResult]
) -> CheckResult | None:
    """Return an earlier failure with the same operator and exception as `result`, or None."""
    if not result.message.startswith("raised "):
        return None
    stem = operator_of(result)
    same = (r for r in results[:position] if operator_of(r) == stem and has_failed(r))
    return next((r for r in same if r.message == result.message), None)


def attribute_to_mistakes(results: list[CheckResult]) -> list[CheckResult]:
    """Return `results`; if one known mistake explains several failures, some become "blocked".

    A diagnosis may name a mistake and the rule that it breaks. Suppose that a failure cites this
    rule. Then failures with the same diagnosis that do not cite the rule become "blocked".
    """
    attributed = []
    for result in results:
        rule = broken_rule(result)
        cited = any(rule in r.rules and r.diagnosis == result.diagnosis for r in results)
        if rule and cited and rule not in result.rules:
            result = result._replace(status="blocked", blocked_by=rule)
        attributed.append(result)
    return [follow_cause(result, attributed) for result in attributed]


def follow_cause(result: CheckResult, results: list[CheckResult]) -> CheckResult:
    """Return `result`, blocked by the end of a chain: rule A blocks it, rule B a check of A, ..."""
    passed = [""]
    while result.status == "blocked" and result.blocked_by not in passed:
        causes = [r for r in results if result.blocked_by in r.rules]
        if any(has_failed(r) for r in causes):
            break
        passed.append(result.blocked_by)
        deeper = next((r.blocked_by for r in causes if r.status == "blocked"), "")
        result = result._replace(blocked_by=deeper or result.blocked_by)
    return result


def broken_rule(result: CheckResult) -> str:
    """Return the rule that the known mistake in `result.diagnosis` breaks, or ""."""
    if result.status != "failed":
        return ""
    match = NAMED.search(result.diagnosis)
    return match[1] if match else ""


def foundations(page: str) -> list[str]:
    """Return the pages that `page` uses, directly or indirectly; the most basic page is first."""
    pages: list[str] = []
    for under in RESTS_ON.get(page, ()):
        pages += [p for p in [*foundations(under), under] if p not in pages]
    return pages


def operator_of(result: CheckResult) -> str:
    """Return the operator that `result` tests, or `result.page` if it tests no operator."""
    return check_operators().get(result.check, result.page)


def has_failed(result: CheckResult) -> bool:
    """Return whether the status of `result` is "failed"."""
    return result.status == "failed"


def is_agreement(result: CheckResult) -> bool:
    """Return whether the check of `result` compares answers with the reference."""
    return result.check in agreement_checks()


@cache
def check_operators() -> dict[str, str]:
    """Return a dict: name of a check -> the operator that it tests."""
    return {c.name: c.stem for c in all_checks() if c.stem in OPERATORS}


@cache
def agreement_checks() -> set[str]:
    """Return the names of the checks that compare answers with the reference."""
    return {c.name for c in all_checks() if c.agreement}
