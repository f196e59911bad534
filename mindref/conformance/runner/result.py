"""The data of a failure, the result of a check, and the report of a run."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mindref.conformance.runner.call import Answer, AnyArray, Call

STATUSES = ("passed", "failed", "expected", "blocked", "not_claimed", "self_comparison")
"""expected: the expectations file explains the failure; blocked: another failure is the cause;
not_claimed: the backend does not claim the feature; self_comparison: the backend is the reference.
"""


class Evidence(NamedTuple):
    """The calls that a failed check made, and the wrong array of one answer."""

    calls: tuple[Call, ...]
    part: str = ""  # name of the wrong array; "" if no array is wrong
    got: AnyArray | None = None
    low: AnyArray | None = None  # smallest allowed values; `high`: largest allowed values
    high: AnyArray | None = None
    call_index: int = -1  # index in `calls` of the call with the wrong answer
    kind: str = "fact"
    """"outside": a number is outside its interval; "raised": an unexpected exception; "answered":
    an invalid call did not raise; "missing": an array is missing; "common_rule": a rule of all
    operators is broken; "fact": any other failure.
    """
    source: tuple[int, AnyArray] | None = None
    """If another answer has the expected numbers: index of the call, flat indices in the array."""
    read_only: tuple[int, ...] = ()  # index in `calls` of each call with read-only arrays
    layouts: tuple[tuple[int, str], ...] = ()  # index in `calls`, layout that is not the call's
    answers: tuple[tuple[int, Answer], ...] = ()  # index in `calls`, answer
    example: int = 0  # index of the drawn call with which the check failed first
    training: tuple[Call, Answer] | None = None
    """The training of many steps that has a wrong step, and its answer. `calls` has this step."""


class CheckFailed(AssertionError):
    """The implementation breaks a rule that the check tests."""

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.evidence = evidence


class CommonRuleFailed(CheckFailed):
    """The implementation breaks `rule`, which is a rule of all operators."""

    def __init__(self, rule: str, message: str, evidence: Evidence) -> None:
        super().__init__(message, evidence)
        self.rule = rule


class PropertyOnWrongAnswers(CheckFailed):
    """The property holds, but the first call of the check has an answer unlike the reference's."""


class UnclaimedSettings(Exception):
    """The backend leaves the settings of a call to the operators (backend-R20)."""


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
    error_ratio: float = 0.0  # largest ratio error / error bound
    grade: str = "A"  # A: within the statistical bound; B: worst-case bound; C: widened bound
    message: str = ""
    blocked_by: str = ""  # the rule whose failure causes this failure
    reason: str = ""  # why a failure is expected, a tolerance is wider, or the check did not run
    diagnosis: str = ""
    script: str = ""  # path of the script that reproduces the failure
    seconds: float = 0.0
    evidence: Evidence | None = None
    factor: float = 1.0  # multiplies the error bound

    @property
    def page(self) -> str:
        """Return the specification page of the first rule."""
        return self.rules[0].split("-R")[0]

    @property
    def rule(self) -> str:
        """Return the first rule. Reports list the result under this rule."""
        return self.rules[0]


class ConformanceReport(NamedTuple):
    """All data of a run that the report formats print."""

    backend: str
    version: str  # name and version of the backend's package; "" if unknown
    seed: int
    profile: str
    claims: dict[str, object]
    results: tuple[CheckResult, ...]
    planned: int
    remarks: tuple[str, ...]  # unclaimed features that work, widened tolerances
    problems: tuple[str, ...]  # false claims, outdated expectations, missing checks
    selection: tuple[str, ...] = ()  # selected pages, rules or checks; () for all
    precisions: tuple[str, ...] = ()
    device: str = "cpu"  # device of the computation
    stopped: str = ""  # why the run did not end, such as "--fail-fast"; "" if it ended

    def counts(self) -> Counter[str]:
        """Return the number of results with each status."""
        return Counter(r.status for r in self.results)

    @property
    def complete(self) -> bool:
        """Return whether every planned check has exactly one result, and the run has ended."""
        # conformance-R1
        all_ran = self.planned == len(self.results) == sum(self.counts()[s] for s in STATUSES)
        return all_ran and not self.stopped

    @property
    def no_verdict(self) -> bool:
        """Return whether the run was stopped, and nothing is wrong in the results so far."""
        counts = self.counts()
        return bool(self.stopped) and not (
            counts["failed"] + counts["blocked"] + len(self.problems)
        )

    @property
    def conforms(self) -> bool:
        """Return whether a complete run has passed checks, none failed or blocked, no problem."""
        counts = self.counts()
        bad = counts["failed"] + counts["blocked"] + len(self.problems)
        return self.complete and not bad and counts["passed"] > 0
