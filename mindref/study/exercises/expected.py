"""The reference answers of the cases, and finite differences of the reference forward."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.cases import Inputs
from mindref.study.exercises.exercise import Exercise, find_exercise
from mindref.study.exercises.worker import Job

DIFFERENCE_STEP = 1e-3
"""The step of the finite differences of most cases."""


class ExpectedCase(NamedTuple):
    """One call of the learner's function, with its right answer."""

    group: str  # of cases with a common purpose
    purpose: str  # the mistakes that only these cases find
    name: str  # as in the table of the report: "K=3 D=4, norms .3 1 4"
    inputs: Inputs
    step: float  # of the finite differences
    arrays: tuple[Array, ...]
    differences: tuple[Array | None, ...] = ()  # for the parts that are gradients


@cache
def compute_expected_cases(name: str) -> tuple[ExpectedCase, ...]:
    """Return the cases of an exercise with their right answers; the same cases at each call."""
    exercise = find_exercise(name)
    task, purposes = exercise.task, find_exercise(exercise.cases_of).groups
    groups = task.make_cases(np.random.default_rng(zlib.crc32(name.encode())))
    expected_cases = []
    for group, cases in groups.items():
        for case, inputs in cases.items():
            with np.errstate(all="ignore"):
                result = task.compute_answer(inputs)
                parts = result if isinstance(result, tuple) else (result,)
                step = task.difference_steps.get(case, DIFFERENCE_STEP)
                arrays = tuple(map(np.asarray, parts))
                expected = ExpectedCase(group, purposes[group], case, inputs, step, arrays)
                differences = tuple(
                    compute_differences(task.compute_loss, expected, part.gradient_of)
                    if part.gradient_of
                    else None
                    for part in exercise.returns
                )
            expected_cases.append(expected._replace(differences=differences))
    return tuple(expected_cases)


def compute_differences(
    loss: Callable[[Inputs, Inputs], float], case: ExpectedCase, name: str
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


def make_job(exercise: Exercise, code: str, file: str = "") -> Job:
    """Return the job of a file: every case, with the arguments of the function only."""
    names = [x.name for x in exercise.arguments]
    expected_cases = compute_expected_cases(exercise.name)
    cases = tuple({n: x.inputs[n] for n in names} for x in expected_cases)
    file, needs = file or f"{exercise.name}.py", tuple(exercise.needs)
    return Job(exercise.name, file, code, exercise.function, len(exercise.returns), cases, needs)
