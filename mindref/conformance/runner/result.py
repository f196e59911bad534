"""Failures that checks raise, the evidence of failures, results of checks, and reports of runs."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mindref.conformance.runner.call import Answer, AnyArray, Call

STATUSES = ("passed", "failed", "expected", "blocked", "not_claimed", "self_comparison")
"""expected: the expectations file lists the failure or its cause; blocked: another explains it;
not_claimed: the check did not run; self_comparison: the reference compared with itself.
"""


class Evidence(NamedTuple):
    """The calls that a failed check made, and the wrong part (a named array) of one answer."""

    calls: tuple[Call, ...]
    part: str = ""  # name of the wrong part; "" if no part is wrong
    got: AnyArray | None = None
    low: AnyArray | None = None  # smallest and largest allowed value
    high: AnyArray | None = None
    call_index: int = -1  # index in `calls` of the call with the wrong answer
    kind: str = "fact"
    """"outside": a number is outside its interval; "raised": an unexpected exception; "answered":
    an invalid call did not raise; "missing": a part is missing; "common_rule": a rule of all
    operators is broken; "fact": any other failure, such as a wrong number computed from answers.
    """
    source: tuple[int, AnyArray] | None = None
    """If another answer has the expected numbers: index of its call, flat indices of these."""
    read_only: tuple[int, ...] = ()  # indices of calls with read-only arrays
    answers: tuple[tuple[int, Answer], ...] = ()  # index of the call, answer


class CheckFailed(AssertionError):
    """The implementation breaks the rules of the check."""

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.evidence = evidence


class CommonRuleFailed(CheckFailed):
    """The implementation breaks a rule of all operators, so the check itself proves nothing."""

    def __init__(self, rule: str, message: str, evidence: Evidence) -> None:
        super().__init__(message, evidence)
        self.rule = rule


class PropertyOnWrongAnswers(CheckFailed):
    """A property holds, but the answers differ from the reference."""


class CheckResult(NamedTuple):
    """The result of one check in one precision."""

    check: str
    rules: tuple[str, ...]
    level: str
    gradient: bool
    precision: str
    status: str
    text: str  # the requirement
    examples: int = 0
    error_ratio: float = 0.0  # largest error / error bound
    grade: str = "A"  # A: within the statistical bound; B: worst-case bound; C: widened bound
    message: str = ""
    blocked_by: str = ""  # the rule whose failure explains this failure
    reason: str = ""  # the reason of an expected failure, a wider tolerance, or no run
    diagnosis: str = ""
    script: str = ""  # path of the reproduction script
    seconds: float = 0.0
    evidence: Evidence | None = None
    factor: float = 1.0  # multiplies the error bound

    @property
    def page(self) -> str:
        """Return the page of the first rule."""
        return self.rules[0].split("-R")[0]

    @property
    def rule(self) -> str:
        """Return the rule that the result is listed under."""
        return self.rules[0]


class ConformanceReport(NamedTuple):
    """The report of a run: all data that the report formats print."""

    backend: str
    version: str  # name and version of the backend's package; "" if unknown
    seed: int
    profile: str
    claims: dict[str, object]
    results: tuple[CheckResult, ...]
    planned: int
    remarks: tuple[str, ...]  # unclaimed features that work, widened tolerances
    problems: tuple[str, ...]  # broken claims, stale expectations, missing checks
    selection: tuple[str, ...] = ()  # selected pages, rules or checks; () for all
    precisions: tuple[str, ...] = ()
    device: str = "cpu"  # device of the computation

    def counts(self) -> Counter[str]:
        """Return the number of results of each status."""
        return Counter(r.status for r in self.results)

    @property
    def complete(self) -> bool:
        """Return whether every planned check has exactly one result."""
        # conformance-R1
        return self.planned == len(self.results) == sum(self.counts()[s] for s in STATUSES)

    @property
    def conforms(self) -> bool:
        """Return True for a complete run with passes, but no failed or blocked check or problem."""
        counts = self.counts()
        bad = counts["failed"] + counts["blocked"] + len(self.problems)
        return self.complete and not bad and counts["passed"] > 0
