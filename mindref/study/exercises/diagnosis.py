"""Which known mistake an answer equals, in every case and to 1e-9; or by which factor it is off."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from mindref.study.exercises.answers import Answer, run
from mindref.study.exercises.exercise import Exercise, Mistake, find
from mindref.study.exercises.expected import Expected, job

EQUAL = 1e-9


def diagnose(exercise: Exercise, answers: list[Answer]) -> Mistake | None:
    """Return the known mistake that answers as the learner does, None if none of them does."""
    for number, mistake in enumerate(exercise.mistakes):
        # most part ways at the first case; the others need not be asked, which may take seconds
        if all(
            all(map(alike, answers, known(exercise.name, number, count)))
            for count in (1, len(answers))
        ):
            return mistake
    return None


def factors(wanted: Sequence[Expected], answers: list[Answer], part: int) -> list[float]:
    """Return what every case of a part is multiplied by; nothing where it is not that simple."""
    found = []
    for want, answer in zip(wanted, answers, strict=True):
        if answer.raised or part >= len(answer.arrays):
            return []
        got, right = answer.arrays[part], want.arrays[part]
        size = float(np.sum(right * right))
        if got.shape != right.shape or not size:
            return []
        factor = float(np.sum(got * right)) / size
        if not np.isfinite(factor) or not factor or not near(got, factor * right):
            return []
        found.append(factor)
    return found


@cache
def known(name: str, number: int, count: int) -> list[Answer]:
    """Return what a known mistake of an exercise answers to so many cases, from the first on.

    It runs in this process, as it is our own code; what it needs is our own, too.
    """
    exercise = find(name)
    needed = [find(name) for name in exercise.needs]
    jobs = [job(x, x.solution, f"{x.name}.py", x.needs) for x in needed]
    jobs = [x._replace(cases=()) for x in jobs]
    code = exercise.mistakes[number].code
    whole = job(exercise, code, f"{name}.py", exercise.needs)
    return run([*jobs, whole._replace(cases=whole.cases[:count])])[-1]


def alike(x: Answer, y: Answer) -> bool:
    """Return whether two answers are the same, one being as wrong as the other."""
    if x.raised or y.raised:
        return bool(x.raised and y.raised) and x.raised.split(":")[0] == y.raised.split(":")[0]
    if (x.structure, x.modified, x.views) != (y.structure, y.modified, y.views):
        return False
    if [(a.shape, a.dtype) for a in x.arrays] != [(a.shape, a.dtype) for a in y.arrays]:
        return False
    return all(near(a, b) for a, b in zip(x.arrays, y.arrays, strict=True))


def near(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are equal, to EQUAL of their largest entry."""
    if not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(a, b))
    finite = np.abs(b[np.isfinite(b)])
    return bool(
        np.allclose(a, b, rtol=EQUAL, atol=EQUAL * np.max(finite, initial=1e-3), equal_nan=True)
    )
