"""The reference answers of the cases, and finite differences of the reference forward."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.answers import Job
from mindref.study.exercises.cases import Inputs
from mindref.study.exercises.exercise import Exercise, find_exercise

DIFFERENCE_STEP = 1e-3
"""The step of the finite differences of most cases."""


class ExerciseCase(NamedTuple):
    """One call of the learner's function."""

    name: str  # as in the table of the report: "K=3 D=4, norms .3 1 4"
    inputs: Inputs
    step: float  # of the finite differences


class CaseGroup(NamedTuple):
    """Cases with a common purpose, and that purpose."""

    name: str  # one word or two
    reason: str  # the mistakes that only these cases find


class ExpectedCase(NamedTuple):
    """One case with its right answer."""

    group: CaseGroup
    case: ExerciseCase
    arrays: tuple[Array, ...]
    differences: tuple[Array | None, ...]  # for the parts that are gradients


@cache
def compute_expected_cases(name: str) -> tuple[ExpectedCase, ...]:
    """Return the cases of an exercise with their right answers; the same cases at each call."""
    exercise = find_exercise(name)
    task, reasons = exercise.task, find_exercise(exercise.cases_of).groups
    groups = task.make_cases(np.random.default_rng(zlib.crc32(name.encode())))
    return tuple(
        compute_expected_case(
            exercise,
            CaseGroup(group, reasons[group]),
            ExerciseCase(case, inputs, task.difference_steps.get(case, DIFFERENCE_STEP)),
        )
        for group, cases in groups.items()
        for case, inputs in cases.items()
    )


def compute_expected_case(exercise: Exercise, group: CaseGroup, case: ExerciseCase) -> ExpectedCase:
    """Return a case with the answer of the reference."""
    with np.errstate(all="ignore"):
        result = exercise.task.compute_answer(case.inputs)
        arrays = tuple(np.asarray(x) for x in (result if isinstance(result, tuple) else (result,)))
        differences = tuple(
            compute_differences(exercise.task.compute_loss, case, part.gradient_of)
            if part.gradient_of
            else None
            for part in exercise.returns
        )
    return ExpectedCase(group, case, arrays, differences)


def compute_differences(
    loss: Callable[[Inputs, Inputs], float], case: ExerciseCase, name: str
) -> Array:
    """Return the gradient of the loss with respect to an argument, by central differences.

    Three central differences with steps h, h/2 and h/4 are extrapolated (Richardson). The error is
    of order h^6.
    """
    x = np.asarray(case.inputs[name])
    gradient = np.zeros_like(x)

    def perturbed_loss(index: tuple[int, ...], h: float) -> float:
        perturbed = x.copy()
        perturbed[index] += h
        return loss(case.inputs, {**case.inputs, name: perturbed})

    for index in np.ndindex(x.shape):
        steps = (case.step, case.step / 2, case.step / 4)
        coarse, middle, fine = (
            (perturbed_loss(index, h) - perturbed_loss(index, -h)) / (2 * h) for h in steps
        )
        first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
        gradient[index] = (16 * second - first) / 15
    return gradient


def make_job(exercise: Exercise, code: str, file: str, needs: tuple[str, ...] = ()) -> Job:
    """Return the job of a file: every case, with the arguments of the function only."""
    names = [x.name for x in exercise.arguments]
    expected_cases = compute_expected_cases(exercise.name)
    cases = tuple({n: x.case.inputs[n] for n in names} for x in expected_cases)
    parts = len(exercise.returns)
    return Job(exercise.name, file, code, exercise.function, parts, cases, needs)
