"""Compare an answer with the known mistakes of its exercise, case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.exercise import Exercise, KnownMistake, find_exercise
from mindref.study.exercises.expected import ExpectedCase, make_job
from mindref.study.exercises.grader import Grade, grade_answer
from mindref.study.exercises.worker import CaseAnswer, run_jobs

EQUAL = 1e-9
"""Relative tolerance of two answers that count as equal."""

UNEXPLAINED = 1e-3
"""A fitted mistake must explain the deviation of an answer, up to this fraction."""

ROUNDING = 1e-12
"""The same for the rounding errors of an answer, relative to the largest entry."""

STEPS = 30  # of the search for a parameter
SMALLEST, LARGEST = 1e-20, 1e6  # parameters; others are a search without a result


class CheckedAnswer(NamedTuple):
    """An answer to every case, with its grades."""

    exercise: Exercise
    expected_cases: Sequence[ExpectedCase]
    answers: Sequence[CaseAnswer]
    grades: Sequence[Grade]

    @property
    def failing(self) -> list[int]:
        """Return the indices of the cases that fail."""
        return [i for i, grade in enumerate(self.grades) if grade.failed]


def find_equal_mistake(checked: CheckedAnswer) -> KnownMistake | None:
    """Return the known mistake with the same answers in every case, or None."""
    name, answers = checked.exercise.name, checked.answers
    for number, mistake in enumerate(checked.exercise.mistakes):
        # most mistakes differ in the first case; all cases may take seconds
        if all(
            all(map(equal_answers, answers, run_known_mistake(name, number, count)))
            for count in (1, len(answers))
        ):
            return mistake
    return None


def find_partial_mistake(checked: CheckedAnswer) -> tuple[KnownMistake, list[int]] | None:
    """Return the known mistake of at least half of the failing cases, and these cases.

    The answer must fail every case that the mistake fails, because a case that passes contradicts
    the mistake. Equal numbers are required in a case: an equal error or NaN has many causes.
    None also if two mistakes have the same answers in equally many cases.
    """
    candidates = []
    for number, mistake in enumerate(checked.exercise.mistakes):
        cases = find_equal_cases(checked, number)
        has_numbers = any(checked.grades[i].failed == "values" for i in cases)
        if has_numbers and 2 * len(cases) >= len(checked.failing):
            candidates.append((len(cases), mistake, cases))
    candidates.sort(key=lambda candidate: -candidate[0])
    if not candidates or (len(candidates) > 1 and candidates[0][0] == candidates[1][0]):
        return None
    return candidates[0][1:]


def find_equal_cases(checked: CheckedAnswer, number: int) -> list[int]:
    """Return the failing cases in which the answer equals a mistake; [] after a contradiction."""
    exercise = checked.exercise
    wrong_answers = run_known_mistake(exercise.name, number, len(checked.answers))
    cases = []
    for i, wrong in enumerate(wrong_answers):
        grade = checked.grades[i]
        is_wrong = grade_answer(exercise, checked.expected_cases[i], wrong).failed
        if not grade.failed and is_wrong:
            return []
        if grade.failed and is_wrong and equal_answers(checked.answers[i], wrong):
            cases.append(i)
    return cases


def find_two_mistakes(checked: CheckedAnswer) -> list[tuple[KnownMistake, list[int]]]:
    """Return the two known mistakes that together explain all failing cases, with their cases.

    No passing case may contradict either of them. An error is not enough, because it has many
    causes. Empty also if several pairs explain all failing cases.
    """
    if any(checked.grades[i].failed == "runs" for i in checked.failing):
        return []
    explained = [
        (mistake, find_equal_cases(checked, number))
        for number, mistake in enumerate(checked.exercise.mistakes)
        if mistake.name != checked.exercise.starter_mistake  # a bug is not revealed
    ]
    pairs = [
        [one, other]
        for one, other in combinations(explained, 2)
        if sorted({*one[1], *other[1]}) == checked.failing
    ]
    return pairs[0] if len(pairs) == 1 else []


@cache
def run_known_mistake(name: str, number: int, count: int) -> list[CaseAnswer]:
    """Return the answers of a known mistake to the first `count` cases of an exercise.

    The code runs in this process, because it is part of this package.
    """
    exercise = find_exercise(name)
    return run_code(exercise, exercise.mistakes[number].code, range(count))


def run_code(exercise: Exercise, code: str, cases: Sequence[int]) -> list[CaseAnswer]:
    """Return the answers of code of this package to some cases."""
    needed = [find_exercise(other) for other in exercise.needs]
    jobs = [make_job(x, x.solution)._replace(cases=()) for x in needed]
    job = make_job(exercise, code)
    return run_jobs([*jobs, job._replace(cases=tuple(job.cases[i] for i in cases))])[-1]


def find_fitted_mistake(checked: CheckedAnswer) -> tuple[KnownMistake, float] | None:
    """Return the known mistake whose parameter can be fitted to the answer, and the parameter."""
    if any(checked.grades[i].failed != "values" for i in checked.failing):
        return None
    for mistake in checked.exercise.mistakes:
        if not mistake.parameter:
            continue
        start = float(mistake.parameter)
        for first in (start, 1 / start):
            value = fit_parameter(checked, mistake, first)
            if value is not None and explains_every_case(checked, mistake, value):
                return mistake, value
    return None


def set_parameter(mistake: KnownMistake, value: float) -> str:
    """Return the code of a mistake with another value of its parameter."""
    return mistake.code.replace(mistake.parameter, repr(value))


def fit_parameter(checked: CheckedAnswer, mistake: KnownMistake, start: float) -> float | None:
    """Return the parameter for which the mistake has the deviation of the answer, or None.

    The search is a secant in logarithms, in the failing case with the largest relative error.
    """
    case = max(checked.failing, key=lambda i: checked.grades[i].error)
    deviation = flatten_deviation(checked.expected_cases[case], checked.answers[case])
    size = float(deviation @ deviation)
    if not size or not math.isfinite(size):
        return None

    def measure_log_size(log_value: float) -> float:
        code = set_parameter(mistake, math.exp(log_value))
        (answer,) = run_code(checked.exercise, code, [case])
        other = flatten_deviation(checked.expected_cases[case], answer)
        ratio = float(other @ deviation) / size if len(other) == len(deviation) else 0.0
        return math.log(ratio) if ratio > 0 else math.nan

    x, old_x, old_y = math.log(start), math.nan, math.nan
    for _ in range(STEPS):
        y = measure_log_size(x)
        slope = (y - old_y) / (x - old_x) if x != old_x else math.nan
        step = -y / slope if math.isfinite(slope) and slope else -y
        if not math.isfinite(step) or abs(x) > 100:
            return None
        if abs(step) < 1e-13 * max(abs(x), 1):
            break
        old_x, old_y, x = x, y, x + max(min(step, 10), -10)
    value = math.exp(x)
    return value if SMALLEST < value < LARGEST else None


def flatten_deviation(expected: ExpectedCase, answer: CaseAnswer) -> Array:
    """Return answer minus right answer of all parts in one vector; empty if shapes differ."""
    pairs = list(zip(answer.arrays, expected.arrays, strict=False))
    if len(pairs) != len(expected.arrays) or any(a.shape != b.shape for a, b in pairs):
        return np.zeros(0)
    return np.concatenate([np.ravel(a - b) for a, b in pairs])


def explains_every_case(checked: CheckedAnswer, mistake: KnownMistake, value: float) -> bool:
    """Return whether a mistake with this parameter has the answers of every case."""
    cases = range(len(checked.answers))
    answers = run_code(checked.exercise, set_parameter(mistake, value), cases)
    for i, expected in enumerate(checked.expected_cases):
        deviation = flatten_deviation(expected, checked.answers[i])
        other = flatten_deviation(expected, answers[i])
        largest = max((float(np.max(np.abs(x), initial=0)) for x in expected.arrays), default=0.0)
        allowed = UNEXPLAINED * np.max(np.abs(other), initial=0) + ROUNDING * largest
        if len(deviation) != len(other):
            return False
        if not np.max(np.abs(deviation - other), initial=0) <= allowed:
            return False
    return True


def equal_answers(x: CaseAnswer, y: CaseAnswer) -> bool:
    """Return whether two answers are the same, the kind of failure included."""
    if x.raised or y.raised:
        return bool(x.raised and y.raised) and x.raised.split(":")[0] == y.raised.split(":")[0]
    if (x.structure, x.modified, x.views) != (y.structure, y.modified, y.views):
        return False
    if [(a.shape, a.dtype) for a in x.arrays] != [(a.shape, a.dtype) for a in y.arrays]:
        return False
    return all(map(equal_arrays, x.arrays, y.arrays))


def equal_arrays(a: Array, b: Array) -> bool:
    """Return whether two arrays are equal, up to EQUAL times their largest entry."""
    if not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(a, b))
    finite = np.abs(b[np.isfinite(b)])
    return bool(
        np.allclose(a, b, rtol=EQUAL, atol=EQUAL * np.max(finite, initial=1e-6), equal_nan=True)
    )
