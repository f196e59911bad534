"""What the reference says to the cases of an exercise: values, and differences of its forward."""

from __future__ import annotations

import zlib
from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.answers import Job
from mindref.study.exercises.cases import Case, Group, Loss
from mindref.study.exercises.exercise import Exercise, find


class Expected(NamedTuple):
    """One case with its right answer."""

    group: Group
    case: Case
    arrays: tuple[Array, ...]
    differences: tuple[Array | None, ...]  # centred, for the parts that are gradients


@cache
def expected(name: str) -> tuple[Expected, ...]:
    """Return the cases of an exercise, the same ones each time, with their right answers."""
    exercise = find(name)
    groups = exercise.task.groups(np.random.default_rng(zlib.crc32(name.encode())))
    return tuple(answered(exercise, g, case) for g in groups for case in g.cases)


def answered(exercise: Exercise, group: Group, case: Case) -> Expected:
    """Return a case with what the reference answers."""
    with np.errstate(all="ignore"):
        result = exercise.task.reference(case.given)
        arrays = tuple(np.asarray(x) for x in (result if isinstance(result, tuple) else (result,)))
        differences = tuple(
            centred(exercise.task.loss(case.given), case, part.of) if part.of else None
            for part in exercise.gives
        )
    return Expected(group, case, arrays, differences)


def centred(loss: Loss, case: Case, name: str) -> Array:
    """Return the gradient of the loss by an argument, entry by entry, without any derivation.

    Three centred differences, each with half the step of the one before, extrapolated: the error is
    of the sixth order in the step.
    """
    x = np.asarray(case.given[name])
    found = np.zeros_like(x)

    def at(index: tuple[int, ...], h: float) -> float:
        moved = x.copy()
        moved[index] += h
        return loss({**case.given, name: moved})

    for index in np.ndindex(x.shape):
        steps = (case.step, case.step / 2, case.step / 4)
        coarse, middle, fine = ((at(index, h) - at(index, -h)) / (2 * h) for h in steps)
        first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
        found[index] = (16 * second - first) / 15
    return found


def job(exercise: Exercise, code: str, file: str, needs: tuple[str, ...] = ()) -> Job:
    """Return what a file is asked: every case of its exercise, without what it is not told."""
    names = [x.name for x in exercise.takes]
    cases = tuple({n: x.case.given[n] for n in names} for x in expected(exercise.name))
    parts = len(exercise.gives)
    return Job(exercise.name, file, code, exercise.function, parts, cases, needs)
