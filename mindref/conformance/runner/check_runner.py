"""Run one check on many calls that Hypothesis draws, and return one result.

Hypothesis draws the sizes and options of a call, and shrinks a failing call. The numbers in arrays
come from random generators, whose seeds Hypothesis draws. Equal seeds give equal calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, NamedTuple

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Call, Implementation, is_claimed, named_arrays
from mindref.conformance.runner.check import ConformanceCheck
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.result import (
    CheckFailed,
    CheckResult,
    CommonRuleFailed,
    PropertyOnWrongAnswers,
    UnclaimedSettings,
)
from mindref.errors import FOREIGN_ERRORS

MIN_EFFECTIVE = 0.5
"""A check must compare a number in at least this fraction of its examples (drawn calls)."""

MIN_DRAWN, MAX_CACHED = 5, 100
"""A check draws at least MIN_DRAWN calls. If it draws more than MAX_CACHED, they are not cached."""

WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)
WITH_SHRINKING = (*WITHOUT_SHRINKING, Phase.shrink)

UNCLAIMED_SETTINGS = "settings that the backend leaves to the operators"
"""Reason of the status "not_claimed"."""

CONSTANT_METHOD = "_maybe_draw_constant"


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
    for call in draw_calls(check, count, effort.seed):
        failure = run_example(trial, call, tally)
        if failure is not None and (effort.any_failure or is_own_failure(failure)):
            break
    if tally.failure is not None and effort.shrink:
        shrink_failure(trial, count, tally)
    result = check.result(
        precision,
        "passed",
        examples=tally.effective,
        error_ratio=tally.error_ratio,
        grade=tally.grade if factor == 1 else "C",
        seconds=time.perf_counter() - began,
    )
    return final_result(check, result, tally)


def example_count(check: ConformanceCheck, examples: int) -> int:
    """Return how many calls a check draws if the profile draws `examples` calls."""
    return max(1, round(examples * check.fraction))


def run_example(trial: Trial, call: Call, tally: ExampleTally) -> CheckFailed | None:
    """Run the check on `call`, and count it in `tally`. Return the failure or None.

    A call with settings that the backend does not claim is counted separately.
    """
    check, precision = trial.check, trial.precision
    context = CheckContext(trial.implementation, precision, trial.seed, trial.factor)
    try:
        check.run(context, call.to(precision.input))
        if not check.agreement:
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


def shrink_failure(trial: Trial, count: int, tally: ExampleTally) -> None:
    """Search for the smallest call that fails, and store its failure in `tally`."""
    drawn_failure, tally.failure = tally.failure, None
    seeks_own = drawn_failure is not None and is_own_failure(drawn_failure)

    def example(call: Call) -> None:
        failure = run_example(trial, call_for_check(trial.check, call), tally)
        if failure is not None and is_own_failure(failure) == seeks_own:
            raise failure

    count = max(count, MIN_DRAWN)
    with suppress(CheckFailed, hypothesis.errors.Flaky):  # `tally` stores the failure
        run_hypothesis(trial.check.draws, example, count, trial.seed, WITH_SHRINKING)
    tally.failure = tally.failure or drawn_failure


def call_for_check(check: ConformanceCheck, call: Call) -> Call:
    """Return `call`, without the cotangent if `check` tests no gradients."""
    return call if check.gradient else call.forward_only()


def draw_calls(check: ConformanceCheck, count: int, seed: int = 0) -> tuple[Call, ...]:
    """Draw up to `count` calls for `check`, in float64. Equal seeds give equal calls."""
    draw = cached_calls if count <= MAX_CACHED else cached_calls.__wrapped__
    calls = draw(check.draws, max(count, MIN_DRAWN), seed)
    return tuple(call_for_check(check, call) for call in calls[:count])


@lru_cache(maxsize=1024)  # drawing is slow, and each precision uses the same calls
def cached_calls(strategy: st.SearchStrategy[Call], count: int, seed: int) -> tuple[Call, ...]:
    """Draw up to `count` calls from `strategy`. The first call is the simplest."""
    calls: list[Call] = []
    run_hypothesis(strategy, calls.append, count, seed, WITHOUT_SHRINKING)
    return tuple(calls)


def run_hypothesis(
    strategy: st.SearchStrategy[Call],
    example: Callable[[Call], None],
    count: int,
    seed: int,
    phases: tuple[Phase, ...],
) -> None:
    """Run `example` on calls drawn from `strategy`. If `example` raises an error, raise it."""

    def test(call: Call) -> None:
        example(call)

    settings = hypothesis.settings(
        max_examples=count,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    with without_source_constants():  # conformance-R7
        hypothesis.seed(seed)(settings(hypothesis.given(strategy)(test)))()


@contextmanager
def without_source_constants() -> Iterator[None]:
    """Make the drawn calls independent of which modules are loaded.

    By default, Hypothesis draws some numbers from the source code of loaded modules. Then one seed
    gives different calls if, for example, a backend is installed. Hypothesis has no setting to
    prevent this.
    """
    before = getattr(HypothesisProvider, CONSTANT_METHOD, None)
    if before is None:  # this version of Hypothesis has no such constants
        yield
        return
    setattr(HypothesisProvider, CONSTANT_METHOD, draw_no_constant)
    try:
        yield
    finally:
        setattr(HypothesisProvider, CONSTANT_METHOD, before)


def draw_no_constant(*args: Any, **options: Any) -> None:
    """Return None instead of a constant. This function replaces a method of Hypothesis."""


def largest_call(
    check: ConformanceCheck, implementation: Implementation, budget: ExampleBudget
) -> Call | None:
    """Return the claimed call with the most array elements, or None if no call is claimed."""
    drawn = draw_calls(check, example_count(check, budget.examples), budget.seed)
    calls = [call for call in drawn if is_claimed(implementation, call)]
    sizes = [sum(x.size for x in named_arrays(call.arrays).values()) for call in calls]
    return calls[int(np.argmax(sizes))] if calls else None


def final_result(check: ConformanceCheck, result: CheckResult, tally: ExampleTally) -> CheckResult:
    """Return `result` with the status and the message that follow from `tally`."""
    failure = tally.failure
    if failure is not None:
        result = result._replace(status="failed", grade="-")
        result = result._replace(message=str(failure), evidence=failure.evidence)
        if isinstance(failure, CommonRuleFailed) and failure.rule not in result.rules:
            return result._replace(status="blocked", blocked_by=failure.rule)
        if isinstance(failure, PropertyOnWrongAnswers) and not check.agreement:
            return result._replace(status="blocked", blocked_by="agreement")
        return result
    if tally.unclaimed and not tally.examples:
        return result._replace(status="not_claimed", reason=UNCLAIMED_SETTINGS)  # backend-R20
    if tally.effective < max(1, MIN_EFFECTIVE * tally.examples):  # conformance-R3
        message = f"only {tally.effective} of {tally.examples} examples compared a number"
        return result._replace(status="failed", message=message)
    return result
