"""Trivially wrong implementations that every check must reject before it tests a backend.

A check that accepts one of them proves nothing about any backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Answer, Call, is_float_array, map_floats, named_arrays
from mindref.conformance.runner.check import ConformanceCheck
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.reference import reference_answer


class TrivialImplementation:
    """An implementation that answers in the right shapes with wrong numbers."""

    name = ""

    def answer(self, call: Call) -> Answer:
        """Return a wrong answer of the right shapes; also for a call that must raise."""
        try:
            right = reference_answer(call)
        except Exception:
            right = {"out": np.zeros(1)}
        return self.wrong_answer(call, {name: np.array(x) for name, x in right.items()})

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Return the answer that is given instead."""
        raise NotImplementedError


class Zeros(TrivialImplementation):
    """Returns zeros."""

    name = "zeros"

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Return zeros."""
        return {name: np.zeros_like(x) for name, x in right.items()}


class Constants(TrivialImplementation):
    """Returns ones."""

    name = "constants"

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Return ones."""
        return {name: np.ones_like(x) for name, x in right.items()}


class OtherInput(TrivialImplementation):
    """Returns the right answer to another call."""

    name = "another input"

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Answer for other numbers."""
        other = call._replace(arrays=map_floats(lambda x: 0.5 - 0.75 * x, call.arrays))
        try:
            answer = reference_answer(other.to(call.dtype))
        except Exception:
            return {name: np.zeros_like(x) for name, x in right.items()}
        return {name: np.array(x) for name, x in answer.items()}


class InputAlias(TrivialImplementation):
    """Returns a view of its input."""

    name = "the input itself"

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Return the first number of the first float array, in the shape of the answer."""
        floats = first_float_array(call)
        if floats is None:
            return {name: np.zeros_like(x) for name, x in right.items()}
        one = floats.reshape(-1)[:1]
        return {name: np.broadcast_to(one, x.shape) for name, x in right.items()}


class WritesInput(TrivialImplementation):
    """Returns the right answer, and changes a number of its input."""

    name = "a changed input"

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Write to the first float array that can be written to."""
        floats = first_float_array(call)
        if floats is None or not floats.flags.writeable:
            return {name: np.zeros_like(x) for name, x in right.items()}
        floats.reshape(-1)[:1] = 12345.0
        return right


class PreviousAnswer(TrivialImplementation):
    """Returns the answer to the previous call."""

    name = "the answer before"

    def __init__(self) -> None:
        self.before: Answer = {}

    def wrong_answer(self, call: Call, right: Answer) -> Answer:
        """Return the right answer to the previous call; zeros at first."""
        stale, self.before = self.before, right
        return stale or {name: np.zeros_like(x) for name, x in right.items()}


MAX_EXAMPLES = 30
"""Examples that a trivial implementation must pass before the check counts as too weak."""

# conformance-R4
TRIVIAL_IMPLEMENTATIONS: tuple[type[TrivialImplementation], ...] = (
    Zeros,
    Constants,
    OtherInput,
    InputAlias,
    WritesInput,
    PreviousAnswer,
)


def first_float_array(call: Call) -> Any:
    """Return the first float array of a call that has an element."""
    return next(
        (x for x in named_arrays(call.arrays).values() if is_float_array(x) and x.size), None
    )


def accepted_trivial(
    check: ConformanceCheck, precision: Precision, examples: int = 3, seed: int = 0
) -> list[str]:
    """Return the names of the trivial implementations that the check accepts; must be empty.

    A few examples may prove little, such as a gradient of zero. A trivial implementation that
    passes them is tested again on as many examples as a standard run has.
    """
    accepted = []
    for null in TRIVIAL_IMPLEMENTATIONS:
        tries = (
            ExampleBudget(count, seed, shrink=False, any_failure=True)
            for count in (examples, MAX_EXAMPLES)
        )
        if all(passes_check(check, null(), precision, effort) for effort in tries):
            accepted.append(null.name)
    return accepted


def passes_check(
    check: ConformanceCheck,
    null: TrivialImplementation,
    precision: Precision,
    effort: ExampleBudget,
) -> bool:
    """Return whether a trivial implementation passes the check."""
    return run_check(check._replace(fraction=1.0), null, precision, effort).status == "passed"
