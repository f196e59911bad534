"""Find the known mistake that an answer equals in every case, or a constant factor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from mindref.study.exercises.answers import CaseAnswer, run_jobs
from mindref.study.exercises.exercise import Exercise, KnownMistake, find_exercise
from mindref.study.exercises.expected import ExpectedCase, make_job

EQUAL = 1e-9
"""Relative tolerance of two answers that count as equal."""


def find_known_mistake(exercise: Exercise, answers: list[CaseAnswer]) -> KnownMistake | None:
    """Return the known mistake with the same answers in every case, or None."""
    for number, mistake in enumerate(exercise.mistakes):
        # most mistakes differ in the first case; all cases may take seconds
        if all(
            all(map(equal_answers, answers, run_known_mistake(exercise.name, number, count)))
            for count in (1, len(answers))
        ):
            return mistake
    return None


def find_factors(
    expected_cases: Sequence[ExpectedCase], answers: list[CaseAnswer], part: int
) -> list[float]:
    """Return the factor of a part in every case; an empty list if one case has no factor."""
    factors = []
    for expected, answer in zip(expected_cases, answers, strict=True):
        if answer.raised or part >= len(answer.arrays):
            return []
        got, right = answer.arrays[part], expected.arrays[part]
        size = float(np.sum(right * right))
        if got.shape != right.shape or not size:
            return []
        factor = float(np.sum(got * right)) / size
        if not np.isfinite(factor) or not factor or not equal_arrays(got, factor * right):
            return []
        factors.append(factor)
    return factors


@cache
def run_known_mistake(name: str, number: int, count: int) -> list[CaseAnswer]:
    """Return the answers of a known mistake to the first `count` cases of an exercise.

    The code runs in this process, because it is part of this package.
    """
    exercise = find_exercise(name)
    needed = [find_exercise(other) for other in exercise.needs]
    jobs = [make_job(x, x.solution, f"{x.name}.py", x.needs) for x in needed]
    jobs = [job._replace(cases=()) for job in jobs]
    code = exercise.mistakes[number].code
    job = make_job(exercise, code, f"{name}.py", exercise.needs)
    return run_jobs([*jobs, job._replace(cases=job.cases[:count])])[-1]


def equal_answers(x: CaseAnswer, y: CaseAnswer) -> bool:
    """Return whether two answers are the same, the kind of failure included."""
    if x.raised or y.raised:
        return bool(x.raised and y.raised) and x.raised.split(":")[0] == y.raised.split(":")[0]
    if (x.structure, x.modified, x.views) != (y.structure, y.modified, y.views):
        return False
    if [(a.shape, a.dtype) for a in x.arrays] != [(a.shape, a.dtype) for a in y.arrays]:
        return False
    return all(equal_arrays(a, b) for a, b in zip(x.arrays, y.arrays, strict=True))


def equal_arrays(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are equal, up to EQUAL times their largest entry."""
    if not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(a, b))
    finite = np.abs(b[np.isfinite(b)])
    return bool(
        np.allclose(a, b, rtol=EQUAL, atol=EQUAL * np.max(finite, initial=1e-3), equal_nan=True)
    )
