"""Run one check on many calls that Hypothesis draws, and return one result.

If the check fails, a search finds a smaller call that fails (conformance-R21).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import NamedTuple

import hypothesis

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Call, Implementation, is_claimed
from mindref.conformance.runner.check import ConformanceCheck
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.drawn_calls import (
    MIN_DRAWN,
    WITH_SHRINKING,
    call_for_check,
    call_size,
    draw_calls,
    run_hypothesis,
)
from mindref.conformance.runner.result import (
    CheckFailed,
    CheckResult,
    CommonRuleFailed,
    PropertyOnWrongAnswers,
    UnclaimedSettings,
)
from mindref.errors import FOREIGN_ERRORS

__all__ = ["draw_calls"]

SLOW_FRACTION = 0.3
"""Below this fraction, a check draws one call if the profile draws few."""

MIN_EFFECTIVE = 0.5
"""A check must compare a number in at least this fraction of its examples (drawn calls)."""

MAX_SHRINK_RUNS = 40
"""In the search for the smallest call that fails, a check runs on at most this many calls."""

UNCLAIMED_SETTINGS = "settings that the backend leaves to the operators"
"""Reason of the status "not_claimed"."""


class ExampleBudget(NamedTuple):
    """How many examples (drawn calls) a check runs on, and whether a failing call is shrunk."""

    examples: int
    seed: int = 0
    shrink: bool = True
    any_failure: bool = False  # stop at the first failure, even if is_own_failure is False


class ExampleTally:
    """Counts the examples of one check, and stores the failure to report."""

    def __init__(self) -> None:
        self.examples = self.effective = self.unclaimed = 0
        self.error_ratio, self.grade = 0.0, "A"
        self.failure: CheckFailed | None = None

    def add(self, context: CheckContext) -> None:
        """Count an example that passed."""
        self.examples += 1
        self.effective += context.compared > 0
        self.error_ratio = max(self.error_ratio, context.error_ratio)
        self.grade = max(self.grade, context.grade)

    def fail(self, failure: CheckFailed) -> CheckFailed:
        """Store and return `failure`. Only an own failure (is_own_failure) replaces an own one."""
        if self.failure is None or is_own_failure(failure) or not is_own_failure(self.failure):
            self.failure = failure
        return failure


def is_own_failure(failure: CheckFailed) -> bool:
    """Return whether `failure` is a plain CheckFailed, not an instance of a subclass."""
    return not isinstance(failure, PropertyOnWrongAnswers | CommonRuleFailed)


class Trial(NamedTuple):
    """A check, and the implementation that it tests. `factor` multiplies the error bounds."""

    check: ConformanceCheck
    implementation: Implementation
    precision: Precision
    seed: int
    factor: float


def run_check(
    check: ConformanceCheck,
    implementation: Implementation,
    precision: Precision,
    effort: ExampleBudget,
    factor: float = 1.0,
) -> CheckResult:
    """Run `check` and return the result. An unexpected exception of the backend is a failure."""
    tally, began = ExampleTally(), time.perf_counter()
    trial = Trial(check, implementation, precision, effort.seed, factor)
    count = example_count(check, effort.examples)
    for index, call in enumerate(draw_calls(check, count, effort.seed)):
        failure = run_example(trial, call, tally)
        if failure is not None:
            failure.evidence = failure.evidence._replace(example=index)
        if failure is not None and (effort.any_failure or is_own_failure(failure)):
            break
    result = check.result(
        precision,
        "passed",
        examples=tally.effective,
        error_ratio=tally.error_ratio,
        grade=tally.grade if factor == 1 else "C",
        seconds=time.perf_counter() - began,
    )
    result = final_result(check, result, tally)
    return shrink_result(trial, effort, result) if effort.shrink else result


def example_count(check: ConformanceCheck, examples: int) -> int:
    """Return how many calls a check draws if the profile draws `examples` calls.

    The first call of a check is the simplest one, so only the slowest checks draw one call.
    """
    least = 1 if check.fraction < SLOW_FRACTION else min(2, examples)
    return max(least, round(examples * check.fraction))


def run_example(trial: Trial, call: Call, tally: ExampleTally) -> CheckFailed | None:
    """Run the check on `call`, and count it in `tally`. Return the failure or None.

    A call with settings that the backend does not claim is counted separately.
    """
    check, precision = trial.check, trial.precision
    context = CheckContext(trial.implementation, precision, trial.seed, trial.factor)
    try:
        check.run(context, call.to(precision.input))
        if context.wrong_answers or not check.agreement:
            context.assert_first_matches()  # conformance-R5
    except UnclaimedSettings:
        tally.unclaimed += 1
        return None
    except CheckFailed as failure:
        if not failure.evidence.calls:  # the check failed before it ran a call
            failure.evidence = failure.evidence._replace(calls=(call.to(precision.input),))
        return tally.fail(failure)
    except FOREIGN_ERRORS as error:  # for example, an array is missing
        message = f"the answer cannot be read: {type(error).__name__}: {error}"
        return tally.fail(CheckFailed(message, context.evidence()))
    tally.add(context)
    return None


def shrink_result(trial: Trial, budget: ExampleBudget, result: CheckResult) -> CheckResult:
    """Return `result`. If it is a failure, report the smallest failing call that is found.

    At most MAX_SHRINK_RUNS smaller calls run.
    """
    if result.evidence is None or not trial.check.shrinks:
        return result
    began, search = time.perf_counter(), ShrinkSearch(trial, result.evidence.example, result)
    with suppress(CheckFailed, hypothesis.errors.Flaky, ShrinkLimit):
        check, seed = trial.check, trial.seed
        count = max(example_count(check, budget.examples), MIN_DRAWN)
        run_hypothesis(check.draws, search.run, count, seed, WITH_SHRINKING)
    seconds = result.seconds + time.perf_counter() - began
    return search.smallest._replace(seconds=seconds)


class ShrinkLimit(BaseException):
    """Ends the search for a smaller failing call. Hypothesis does not catch it."""


class ShrinkSearch:
    """Runs a check on smaller and smaller calls, and stores the smallest one that fails."""

    def __init__(self, trial: Trial, first: int, result: CheckResult) -> None:
        """Store the failed `result`. `first` is the index of its call among the drawn calls."""
        self.trial, self.first, self.result = trial, first, result
        self.smallest, self.size = result, float("inf")
        self.drawn = self.runs = 0

    def run(self, call: Call) -> None:
        """Run the check on `call`. Raise the failure if it has the status of the result."""
        self.drawn += 1
        if self.drawn <= self.first:  # the check has passed on these calls
            return
        if self.runs >= MAX_SHRINK_RUNS:  # conformance-R21
            raise ShrinkLimit
        self.runs += 1
        check, result = self.trial.check, self.result
        failure = run_example(self.trial, call_for_check(check, call), ExampleTally())
        if failure is None:
            return
        failed = with_failure(check, result, failure)
        if (failed.status, failed.blocked_by) != (result.status, result.blocked_by):
            return
        if (size := call_size(call)) <= self.size:
            self.smallest, self.size = failed, size
        raise failure


def largest_call(
    check: ConformanceCheck, implementation: Implementation, budget: ExampleBudget
) -> Call | None:
    """Return the claimed call with the most array elements, or None if no call is claimed."""
    drawn = draw_calls(check, example_count(check, budget.examples), budget.seed)
    calls = [call for call in drawn if is_claimed(implementation, call)]
    return max(calls, key=call_size, default=None)


def final_result(check: ConformanceCheck, result: CheckResult, tally: ExampleTally) -> CheckResult:
    """Return `result` with the status and the message that follow from `tally`."""
    if tally.failure is not None:
        return with_failure(check, result, tally.failure)
    if tally.unclaimed and not tally.examples:
        return result._replace(status="not_claimed", reason=UNCLAIMED_SETTINGS)  # backend-R20
    if tally.effective < max(1, MIN_EFFECTIVE * tally.examples):  # conformance-R3
        message = f"only {tally.effective} of {tally.examples} examples compared a number"
        return result._replace(status="failed", message=message)
    return result


def with_failure(check: ConformanceCheck, result: CheckResult, failure: CheckFailed) -> CheckResult:
    """Return `result` with the status, the message and the evidence of `failure`."""
    result = result._replace(status="failed", grade="-", blocked_by="")
    result = result._replace(message=str(failure), evidence=failure.evidence)
    if isinstance(failure, CommonRuleFailed) and failure.rule not in result.rules:
        return result._replace(status="blocked", blocked_by=failure.rule)
    if isinstance(failure, PropertyOnWrongAnswers) and not check.agreement:
        return result._replace(status="blocked", blocked_by="agreement")
    return result
