"""A condition that all failing cases of an answer have and no passing case has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mindref.study.exercises.known_mistakes import CheckedAnswer

LIMITS = {0: "0", 1: "1", math.inf: "infinity"}
"""Values of a number argument for which an answer may have separate code."""


def find_condition(checked: CheckedAnswer) -> str:
    """Return a condition such as "K = 1" or "`power` is 0 or infinity"; "" if there is none.

    If several conditions hold in the same cases, all of them are returned.
    """
    failing = checked.failing
    passing = [i for i in range(len(checked.answers)) if i not in failing]
    if not failing or not passing:
        return ""
    return " and ".join(dict.fromkeys(list_conditions(checked, failing, passing)))


def list_conditions(
    checked: CheckedAnswer, failing: Sequence[int], passing: Sequence[int]
) -> Iterator[str]:
    """Yield the axes of size one, without users, and the limits of numbers in failing cases."""
    for spec in checked.exercise.arguments:
        wrong, right = (
            [checked.expected_cases[i].inputs[spec.name] for i in cases]
            for cases in (failing, passing)
        )
        for position, axis in enumerate(spec.axes.replace("E", "D")):
            wrong_sizes, right_sizes = (
                {np.shape(x)[position] for x in xs} for xs in (wrong, right)
            )
            if axis != "B" and wrong_sizes == {1} and 1 not in right_sizes:
                yield f"{axis} = 1"
        if not spec.axes and all(isinstance(x, int | float) for x in wrong):
            yield from list_limits(spec.name, set(wrong), set(right))


def list_limits(name: str, wrong: set[Any], right: set[Any]) -> Iterator[str]:
    """Yield the condition that a number has one of the values of the failing cases."""
    if wrong <= set(LIMITS) and not wrong & right:
        words = " or ".join(LIMITS[x] for x in sorted(wrong))
        yield f"`{name}` is {words}"
