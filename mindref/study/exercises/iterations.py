"""The first wrong routing iteration: the learner's function with fewer iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.study.exercises.exercise import ArraySpec, Exercise
from mindref.study.exercises.expected import ExpectedCase, make_job
from mindref.study.exercises.grader import Grade, format_entry, grade_values, relative_errors
from mindref.study.exercises.worker import CaseAnswer, Job

ARGUMENT = "iterations"


class FirstWrongIteration(NamedTuple):
    """The number of iterations from which on an answer is wrong, and its first wrong entry."""

    iteration: int
    part: ArraySpec
    entry: tuple[int, ...]
    got: float
    want: float


def select_iterated_case(
    exercise: Exercise, expected_cases: Sequence[ExpectedCase], grades: Sequence[Grade]
) -> int | None:
    """Return the index of the first wrong case with two or more iterations, or None."""
    if ARGUMENT not in [x.name for x in exercise.arguments]:
        return None
    for i, (expected, grade) in enumerate(zip(expected_cases, grades, strict=True)):
        if grade.failed == "values" and expected.inputs[ARGUMENT] > 1:
            return i
    return None


def list_shorter_inputs(expected: ExpectedCase) -> list[dict[str, Any]]:
    """Return the inputs of a case with 1, 2, .. iterations."""
    count = int(expected.inputs[ARGUMENT])
    return [{**expected.inputs, ARGUMENT: r} for r in range(1, count + 1)]


def make_shorter_job(exercise: Exercise, code: str, file: str, expected: ExpectedCase) -> Job:
    """Return the job that runs a case with 1, 2, .. iterations."""
    names = [x.name for x in exercise.arguments]
    cases = tuple({n: x[n] for n in names} for x in list_shorter_inputs(expected))
    return make_job(exercise, code, file)._replace(cases=cases)


def find_first_wrong_iteration(
    exercise: Exercise, expected: ExpectedCase, answers: Sequence[CaseAnswer]
) -> FirstWrongIteration | None:
    """Return the first wrong number of iterations; None if no answer has wrong numbers."""
    for inputs, answer in zip(list_shorter_inputs(expected), answers, strict=False):
        with np.errstate(all="ignore"):
            result = exercise.task.compute_answer(inputs)
        parts = result if isinstance(result, tuple) else (result,)
        arrays = tuple(map(np.asarray, parts))
        shapes = [x.shape for x in arrays]
        if answer.raised or [x.shape for x in answer.arrays] != shapes:
            return None
        nothing = (None,) * len(arrays)
        right = expected._replace(inputs=inputs, arrays=arrays, differences=nothing)
        grade = grade_values(exercise, right, answer)
        if grade.failed:
            got, want = answer.arrays[grade.part], arrays[grade.part]
            wrong = ~(relative_errors(got, want) <= exercise.tolerance)
            entry = tuple(int(i) for i in np.argwhere(wrong)[0])
            part, r = exercise.returns[grade.part], int(inputs[ARGUMENT])
            return FirstWrongIteration(r, part, entry, float(got[entry]), float(want[entry]))
    return None


def describe_first_wrong_iteration(first_wrong: FirstWrongIteration) -> str:
    """Return the right iterations, the wrong one, and both values of its first wrong entry."""
    r = first_wrong.iteration
    if first_wrong.part.gradient_of:
        before = f"With {count_iterations(r - 1)} your answer is right; with {r} it is not: "
        head = before if r > 1 else "Your answer is wrong with 1 iteration already: "
    elif r == 1:
        head = "Iteration 1 is wrong already: "
    else:
        last = f"and {r - 1}" if r == 3 else f"to {r - 1}"
        names = "Iteration 1 is" if r == 2 else f"Iterations 1 {last} are"
        head = f"{names} right; iteration {r} differs: "
    entry = format_entry(first_wrong.part, first_wrong.entry)
    return f"{head}{entry} is {first_wrong.got:.6g}, expected {first_wrong.want:.6g}."


def count_iterations(count: int) -> str:
    """Return "1 iteration" or "2 iterations"."""
    return f"{count} iteration" + ("" if count == 1 else "s")
