"""Trivially wrong implementations, such as one that returns zeros. Every check must reject them.

A check that accepts one of them is too weak to test a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Answer, Call, is_float_array, map_floats, named_arrays
from mindref.conformance.runner.check import ConformanceCheck
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.reference import CallKey, reference_answer

Wrong = Callable[[Call, Answer, Answer], Answer]
"""(call, right answer, right answer to the previous call) -> trivial answer."""


class TrivialImplementation:
    """An implementation that returns trivial answers, such as zeros, or writes to the input."""

    def __init__(self, name: str) -> None:
        """Store `name`, which is a key of TRIVIAL_IMPLEMENTATIONS."""
        self.name = name
        self.previous: Answer = {}

    def answer(self, call: Call) -> Answer:
        """Return a trivial answer to `call`, even if `call` is invalid."""
        try:
            right = {name: np.array(x) for name, x in right_answer(CallKey(call)).items()}
        except Exception:
            right = {"out": np.zeros(1)}
        previous, self.previous = self.previous, right
        return TRIVIAL_IMPLEMENTATIONS[self.name](call, right, previous)


@lru_cache(maxsize=64)  # each trivial implementation gets the same calls
def right_answer(question: CallKey) -> Answer:
    """Return the reference's answer. It is cached, so callers must not change the arrays."""
    return reference_answer(question.call)


def zeros(call: Call, right: Answer, previous: Answer) -> Answer:
    """Return zeros with the shapes of `right`."""
    return {name: np.zeros_like(x) for name, x in right.items()}


def ones(call: Call, right: Answer, previous: Answer) -> Answer:
    """Return ones with the shapes of `right`."""
    return {name: np.ones_like(x) for name, x in right.items()}


def answer_other_numbers(call: Call, right: Answer, previous: Answer) -> Answer:
    """Change the numbers in the arrays of `call`, and return the right answer to this new call."""
    other = call._replace(arrays=map_floats(lambda x: 0.5 - 0.75 * x, call.arrays))
    try:
        answer = reference_answer(other.to(call.dtype))
    except Exception:
        return zeros(call, right, previous)
    return {name: np.array(x) for name, x in answer.items()}


def input_view(call: Call, right: Answer, previous: Answer) -> Answer:
    """Return views of the first number in the input, with the shapes of `right`."""
    floats = first_float_array(call)
    if floats is None:
        return zeros(call, right, previous)
    one = floats.reshape(-1)[:1]
    return {name: np.broadcast_to(one, x.shape) for name, x in right.items()}


def write_input(call: Call, right: Answer, previous: Answer) -> Answer:
    """Overwrite an input number, and return `right`. If it is read-only, return zeros."""
    floats = first_float_array(call)
    if floats is None or not floats.flags.writeable:
        return zeros(call, right, previous)
    floats.reshape(-1)[:1] = 12345.0
    return right


def previous_answer(call: Call, right: Answer, previous: Answer) -> Answer:
    """Return `previous`, or zeros for the first call."""
    return previous or zeros(call, right, previous)


MORE_EXAMPLES, MAX_EXAMPLES = 5, 30
"""If a trivial implementation passes on MAX_EXAMPLES examples, the check is too weak."""

# conformance-R4
TRIVIAL_IMPLEMENTATIONS: dict[str, Wrong] = {
    "zeros": zeros,
    "constants": ones,
    "another input": answer_other_numbers,
    "the input itself": input_view,
    "a changed input": write_input,
    "the answer before": previous_answer,
}


def first_float_array(call: Call) -> Any:
    """Return the first float array of `call` that is not empty, or None."""
    arrays = named_arrays(call.arrays).values()
    return next((x for x in arrays if is_float_array(x) and x.size), None)


def accepted_trivial(
    check: ConformanceCheck, precision: Precision, examples: int = 3, seed: int = 0
) -> list[str]:
    """Return the names of the trivial implementations that `check` accepts.

    A right answer may be trivial, such as a gradient of zero. So a trivial implementation that
    passes on `examples` examples is tested again on MORE_EXAMPLES, then on MAX_EXAMPLES examples.
    """
    accepted = []
    for name in TRIVIAL_IMPLEMENTATIONS:
        for count in (examples, MORE_EXAMPLES, MAX_EXAMPLES):
            effort = ExampleBudget(count, seed, shrink=False, any_failure=True)
            if not passes_check(check, TrivialImplementation(name), precision, effort):
                break
        else:
            accepted.append(name)
    return accepted


def passes_check(
    check: ConformanceCheck,
    null: TrivialImplementation,
    precision: Precision,
    effort: ExampleBudget,
) -> bool:
    """Return whether the trivial implementation `null` passes `check`."""
    return run_check(check._replace(fraction=1.0), null, precision, effort).status == "passed"
