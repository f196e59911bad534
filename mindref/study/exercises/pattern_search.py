"""The pattern that explains the failing cases of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mindref.study.exercises.conditions import find_condition
from mindref.study.exercises.exercise import ArraySpec
from mindref.study.exercises.input_patterns import list_arguments, list_fewer_iterations
from mindref.study.exercises.known_mistakes import CheckedAnswer, equal_arrays
from mindref.study.exercises.patterns import Pattern, get_part, is_right, list_array_patterns

CONDITIONAL = ("argument", "lacks", "added", "zero", "transposed")
"""Patterns that a few cases are enough for. A factor or a mean fits a single case by chance."""


class FoundPattern(NamedTuple):
    """A pattern, the part of the answer, and the failing cases that it explains."""

    pattern: Pattern
    part: int
    cases: list[int]
    condition: str = ""  # of the failing cases, if a passing case does not have the pattern


def find_pattern(checked: CheckedAnswer) -> FoundPattern | None:
    """Return the first pattern of the first wrong part that explains most failing cases.

    Every other case must have the pattern, too. If no pattern is of this kind, a pattern of all
    failing cases is returned if they have a condition that no passing case has.
    """
    for number, part in enumerate(checked.exercise.returns):
        wrong = [i for i in checked.failing if not is_right(checked, i, number)]
        if not wrong:
            continue
        condition, conditional = find_condition(checked), None
        right = [i for i in range(len(checked.answers)) if i not in wrong]
        for pattern in list_patterns(checked, number, part, wrong):
            cases = [i for i in wrong if explains_case(checked, i, number, pattern)]
            if 2 * len(cases) <= len(checked.failing):
                continue
            if all(explains_case(checked, i, number, pattern) for i in right):
                return FoundPattern(pattern, number, cases)
            is_conditional = condition and pattern.name in CONDITIONAL
            if is_conditional and conditional is None and cases == checked.failing:
                conditional = FoundPattern(pattern, number, cases, condition)
        return conditional
    return None


def list_patterns(
    checked: CheckedAnswer, number: int, part: ArraySpec, wrong: list[int]
) -> Iterator[Pattern]:
    """Yield the patterns of a part, the simplest first."""
    yield from list_arguments(checked, part)
    yield from list_array_patterns(checked, number, part, wrong)
    yield from list_fewer_iterations(checked, number)


def explains_case(checked: CheckedAnswer, case: int, number: int, pattern: Pattern) -> bool:
    """Return whether a part of an answer is the right part, changed by a pattern."""
    expected = checked.expected_cases[case]
    got = get_part(checked, case, number)
    with np.errstate(all="ignore"):
        changed = np.asarray(pattern.change(expected, expected.arrays[number]))
    if got is None or got.shape != changed.shape or not np.isfinite(changed).all():
        return False
    return bool(np.issubdtype(got.dtype, np.floating)) and equal_arrays(got, changed)
