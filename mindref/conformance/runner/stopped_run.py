"""The report of a run that was stopped: by --fail-fast, or by a signal.

Spec: specs/conformance.md, conformance-R22 and R24. The report counts only the results so far, so
it is incomplete, and the backend does not conform.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mindref.conformance.runner import attribution, claims, expectations
from mindref.conformance.runner.result import CheckResult, ConformanceReport

if TYPE_CHECKING:
    from mindref.conformance.runner.suite_run import SuiteRun


def first_failure(run: SuiteRun) -> int | None:
    """Return the index of the first planned check that failed.

    None if no check failed, or if a check before it has no result yet: then the first failure does
    not depend on the order in which the results arrive.
    """
    for index, key in enumerate(run.planned_keys()):
        result = run.unattributed.get(key)
        if result is None:
            return None
        if result.status != "failed":
            continue
        if expectations.mark_expected(run.expected, result).status == "failed":
            return index
    return None


def stopped_report(run: SuiteRun, reason: str, last: int | None = None) -> ConformanceReport:
    """Return a report of the results so far. `reason`: why the other planned checks did not run.

    last: index of the last planned check of the report; then the failures are shrunk and diagnosed.
    By default, all results so far are reported at once, because a user waits for the end.
    """
    results = [*stopped_results(run, last)]
    problems = [
        *claims.missing_members(run.implementation.backend, run.claimed),
        *expectations.stale_lines(run.expected, results, partial=True),
    ]
    remarks = expectations.tolerance_remarks(run.expected)
    return run.report_of(results, len(run.keys()), remarks, problems, reason)


def stopped_results(run: SuiteRun, last: int | None) -> Iterator[CheckResult]:
    """Yield the results so far, in the order of the plan. See `stopped_report` for `last`."""
    keys = list(run.planned_keys())
    keys = keys if last is None else keys[: last + 1]
    for precision in map(str, run.precisions):
        ran = [k for k in keys if k[1] == precision and k in run.unattributed]
        raw = [run.unattributed[key] for key in ran]
        if precision in run.final_results:
            yield from run.final_results[precision].values()
        elif last is not None:
            yield from run.explain([block_by_first(result, raw[-1]) for result in raw])
        else:
            blocked = attribution.block_explained(raw)
            yield from expectations.apply_expectations(run.expected, blocked)


def block_by_first(result: CheckResult, first: CheckResult) -> CheckResult:
    """Return `result`. If agreement of the page of `first` blocks it, `first` blocks it.

    A property of wrong answers is no failure, and the agreement checks of the page have not run.
    """
    if result.blocked_by == "agreement" and result.page == first.page:
        return result._replace(blocked_by=first.rule)
    return result
