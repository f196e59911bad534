"""E4: right answers pass, in any memory layout and any style of code."""

from pathlib import Path

import numpy as np
import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.expected import compute_expected_cases
from tests.study.exercises.learner import grade_file

RIGHT = (Path(__file__).parent / "right_answers.py").read_text(encoding="utf-8")
each = pytest.mark.parametrize("name", NAMES)

WRAPPED = """

_right = {function}


def {function}(*arguments):
    rng = np.random.default_rng(0)
    answer = _right(*arguments)
    parts = answer if isinstance(answer, tuple) else (answer,)
    changed = tuple({change} for x in map(np.asarray, parts))
    return changed if isinstance(answer, tuple) else changed[0]
"""


def change_answer(name, change):
    """Return the solution with a change of every part of its answer."""
    exercise = find_exercise(name)
    return exercise.solution + WRAPPED.format(function=exercise.function, change=change)


@each
@pytest.mark.parametrize(
    "change",
    ["x * (1 + 1e-12 * rng.uniform(-1, 1, x.shape))", "np.asfortranarray(x) if x.ndim else x"],
    ids=["rounding-noise", "fortran-order"],
)
def test_an_equal_answer_passes(name, change):
    assert grade_file(find_exercise(name), change_answer(name, change)).passed


def copy_readonly(x):
    x = np.array(x, order="F")
    x.flags.writeable = False
    return x


@each
def test_a_solution_passes_with_read_only_inputs_in_fortran_order(name):
    exercise = find_exercise(name)
    assert grade_file(exercise, exercise.solution, copy_array=copy_readonly).passed


@each
def test_an_answer_with_loops_and_another_order_of_sums_passes(name):
    report = grade_file(find_exercise(name), RIGHT)
    assert [grade.text for grade in report.grades if grade.failed] == []
    assert report.passed


@each
def test_an_answer_with_a_hundredfold_error_fails(name):
    relative = 100 * find_exercise(name).tolerance
    code = change_answer(name, f"x + {relative} * np.max(np.abs(x), initial=0)")
    report = grade_file(find_exercise(name), code)
    zero = [not np.any(part) for x in compute_expected_cases(name) for part in x.arrays]
    assert not report.passed or all(zero)
