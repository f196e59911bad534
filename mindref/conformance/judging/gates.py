"""Answers that no check may accept: each check is shown them before it judges anybody.

A check that lets one of these pass proves nothing, whoever else passes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.judging.call import Answer, Call, is_float, leaves, mapped
from mindref.conformance.judging.check import Check
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.reference import plainly


class Null:
    """Knows the shapes of a right answer, and gives another."""

    name = ""

    def answer(self, call: Call) -> Answer:
        """Return something of the right shape; a question that should be refused is answered."""
        try:
            right = plainly(call)
        except Exception:
            right = {"out": np.zeros(1)}
        return self.spoil(call, {name: np.array(x) for name, x in right.items()})

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Return the answer that is given instead."""
        raise NotImplementedError


class Zeros(Null):
    """All zeros."""

    name = "zeros"

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Return zeros."""
        return {name: np.zeros_like(x) for name, x in right.items()}


class Constants(Null):
    """The same number everywhere."""

    name = "constants"

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Return ones."""
        return {name: np.ones_like(x) for name, x in right.items()}


class Other(Null):
    """The right answer to another question."""

    name = "another input"

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Answer for other numbers."""
        other = call._replace(arrays=mapped(lambda x: 0.5 - 0.75 * x, call.arrays))
        try:
            found = plainly(other.to(call.dtype))
        except Exception:
            return {name: np.zeros_like(x) for name, x in right.items()}
        return {name: np.array(x) for name, x in found.items()}


class Alias(Null):
    """A view of the input."""

    name = "the input itself"

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Return the first number of the first float array, in the shape of the answer."""
        given = first_floats(call)
        if given is None:
            return {name: np.zeros_like(x) for name, x in right.items()}
        one = given.reshape(-1)[:1]
        return {name: np.broadcast_to(one, x.shape) for name, x in right.items()}


class Writes(Null):
    """The right answer, and a number of the input has changed."""

    name = "a changed input"

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Write to the first float array that can be written to."""
        given = first_floats(call)
        if given is None or not given.flags.writeable:
            return {name: np.zeros_like(x) for name, x in right.items()}
        given.reshape(-1)[:1] = 12345.0
        return right


class Stale(Null):
    """The answer to the question before."""

    name = "the answer before"

    def __init__(self) -> None:
        self.before: Answer = {}

    def spoil(self, call: Call, right: Answer) -> Answer:
        """Return what was right the last time, zeros at first."""
        stale, self.before = self.before, right
        return stale or {name: np.zeros_like(x) for name, x in right.items()}


THOROUGH = 30
"""Examples that a null is shown before it counts as passed."""

# conformance-R4
NULLS: tuple[type[Null], ...] = (Zeros, Constants, Other, Alias, Writes, Stale)


def first_floats(call: Call) -> Any:
    """Return the first float array of a call that holds a number."""
    return next((x for x in leaves(call.arrays).values() if is_float(x) and x.size), None)


def leaks(check: Check, precision: Precision, examples: int = 3, seed: int = 0) -> list[str]:
    """Return the names of the nulls that the check would pass; there must be none.

    A few examples may be of the kind that says little, such as a gradient of zero: a null that
    passes them is shown as many as a judgement has before the check is accused.
    """
    found = []
    for null in NULLS:
        tries = (Effort(count, seed, shrink=False, hasty=True) for count in (examples, THOROUGH))
        if all(passes(check, null(), precision, effort) for effort in tries):
            found.append(null.name)
    return found


def passes(check: Check, null: Null, precision: Precision, effort: Effort) -> bool:
    """Return whether the check would pass a null."""
    return run_check(check._replace(share=1.0), null, precision, effort).status == "passed"
