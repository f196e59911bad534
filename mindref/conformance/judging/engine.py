"""One check under Hypothesis: many drawn calls, one result.

Structure comes from Hypothesis, which also shrinks what fails; numbers in bulk from generators
with drawn seeds. The same seed draws the same calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st

from mindref.conformance.bounds import Precision
from mindref.conformance.judging import drawing
from mindref.conformance.judging.call import Call, leaves
from mindref.conformance.judging.check import Check
from mindref.conformance.judging.failure import Adrift, Beside, Broken
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import Subject
from mindref.errors import STRANGE

EFFECTIVE = 0.5
"""The least share of the examples in which something must have been compared."""

FEW, MANY = 5, 100
"""The least number of calls that is drawn at once, and the largest that is kept."""

QUICK = (Phase.explicit, Phase.generate)
SHRINKING = (*QUICK, Phase.shrink)


class Effort(NamedTuple):
    """How much is asked."""

    examples: int
    seed: int = 0
    shrink: bool = True
    hasty: bool = False  # any failure will do, also one that only says that answers are wrong


class Tally:
    """What was seen over the examples of a check."""

    def __init__(self) -> None:
        self.examples = self.effective = 0
        self.share, self.grade = 0.0, "A"
        self.failure: Broken | None = None

    def add(self, judge: Judge) -> None:
        """Count an example that held."""
        self.examples += 1
        self.effective += judge.compared > 0
        self.share, self.grade = max(self.share, judge.share), max(self.grade, judge.grade)

    def fail(self, failure: Broken) -> Broken:
        """Keep the last failure; one that lies beside the check does not replace its own."""
        if self.failure is None or own(failure) or not own(self.failure):
            self.failure = failure
        return failure


def own(failure: Broken) -> bool:
    """Return whether it is the check itself that fails: that is told before what lies beside it."""
    return not isinstance(failure, Adrift | Beside)


class Trial(NamedTuple):
    """Who is asked by which check, and how strictly."""

    check: Check
    subject: Subject
    precision: Precision
    seed: int
    factor: float


def run_check(
    check: Check, subject: Subject, precision: Precision, effort: Effort, factor: float = 1.0
) -> Result:
    """Return what comes of a check in one precision; never raises for what a backend does."""
    tally, began = Tally(), time.perf_counter()
    trial = Trial(check, subject, precision, effort.seed, factor)
    asked = max(1, round(effort.examples * check.share))
    for call in drawn(check, asked, effort.seed):
        failure = tried(trial, call, tally)
        if failure is not None and (effort.hasty or own(failure)):
            break
    if tally.failure is not None and effort.shrink:
        shrink(trial, asked, tally)
    result = Result(
        check.name,
        check.rules,
        check.level,
        check.gradient,
        str(precision),
        "passed",
        check.text,
        tally.effective,
        tally.share,
        tally.grade if factor == 1 else "C",
        seconds=time.perf_counter() - began,
    )
    return settled(check, result, tally)


def tried(trial: Trial, call: Call, tally: Tally) -> Broken | None:
    """Return how the rules fail for one call, None if they hold; the tally keeps either."""
    check, precision = trial.check, trial.precision
    judge = Judge(trial.subject, precision, trial.seed, trial.factor)
    try:
        check.run(judge, call.to(precision.input))
        if not check.agreement:
            judge.anchor()  # conformance-R5
    except Broken as failure:
        if not failure.evidence.calls:  # about the backend as a whole: nobody was asked
            failure.evidence = failure.evidence._replace(calls=(call.to(precision.input),))
        return tally.fail(failure)
    except STRANGE as error:  # parts that are missing or of a shape that cannot be compared
        what = f"the answer cannot be read: {type(error).__name__}: {error}"
        return tally.fail(Broken(what, judge.evidence()))
    tally.add(judge)
    return None


def shrink(trial: Trial, asked: int, tally: Tally) -> None:
    """Search for the smallest call that fails: the last failure that the search meets."""
    found, tally.failure = tally.failure, None
    sought = found is not None and own(found)

    def example(call: Call) -> None:
        failure = tried(trial, question(trial.check, call), tally)
        if failure is not None and own(failure) == sought:
            raise failure

    with suppress(Broken, hypothesis.errors.Flaky):  # it is in the tally
        run(trial.check.draws, example, max(asked, FEW), trial.seed, SHRINKING)
    tally.failure = tally.failure or found


def question(check: Check, call: Call) -> Call:
    """Return a drawn call as the check asks it: for gradients only if the check is about them."""
    return call if check.gradient else call.forward_only()


def drawn(check: Check, count: int, seed: int = 0) -> tuple[Call, ...]:
    """Return calls that a check could be fed with, always the same, in float64."""
    draw = draws if count <= MANY else draws.__wrapped__
    return tuple(question(check, call) for call in draw(check.draws, max(count, FEW), seed)[:count])


@lru_cache(maxsize=1024)  # drawing takes as long as judging, and each precision asks the same
def draws(strategy: st.SearchStrategy[Call], count: int, seed: int) -> tuple[Call, ...]:
    """Return calls of a strategy, the smallest first."""
    found: list[Call] = []
    run(strategy, found.append, count, seed, QUICK)
    return tuple(found)


def run(
    strategy: st.SearchStrategy[Call],
    example: Callable[[Call], None],
    count: int,
    seed: int,
    phases: tuple[Phase, ...],
) -> None:
    """Give a function the calls that Hypothesis draws; raise what it raises for the smallest."""

    def given(call: Call) -> None:
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
    with drawing.plainly():  # conformance-R7
        hypothesis.seed(seed)(settings(hypothesis.given(strategy)(given)))()


def sample(check: Check, dtype: str) -> Call:
    """Return the largest of a few calls that a check could be fed with."""
    some = drawn(check, FEW)
    return max(some, key=lambda c: sum(x.size for x in leaves(c.arrays).values())).to(dtype)


def settled(check: Check, result: Result, tally: Tally) -> Result:
    """Return the result with its status; what a check asks for itself is never beside it."""
    failure = tally.failure
    if failure is not None:
        result = result._replace(
            status="failed", message=str(failure), evidence=failure.evidence, grade="-"
        )
        if isinstance(failure, Beside) and failure.rule not in result.rules:
            return result._replace(status="blocked", blocked_by=failure.rule)
        if isinstance(failure, Adrift) and not check.agreement:
            return result._replace(status="blocked", blocked_by="agreement")
        return result
    if tally.effective < max(1, EFFECTIVE * tally.examples):  # conformance-R3
        message = f"only {tally.effective} of {tally.examples} examples compared anything"
        return result._replace(status="failed", message=message)
    return result
