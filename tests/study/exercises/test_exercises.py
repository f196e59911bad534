"""Starters fail, right answers pass, known mistakes are killed and reported."""

import re
from pathlib import Path

import numpy as np
import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.commands import find_first_failure
from mindref.study.exercises.exercise import GRADIENT, find_exercise
from mindref.study.exercises.expected import compute_expected_cases, make_job
from mindref.study.exercises.grader import relative_errors
from mindref.study.exercises.report import format_report
from mindref.study.exercises.worker import run_jobs
from tests.study.exercises import matrix
from tests.study.exercises.conftest import grade_file

each = pytest.mark.parametrize("name", NAMES)


@each
@pytest.mark.slow(every=3)
def test_a_starter_runs_and_fails(name):
    report = grade_file(find_exercise(name), find_exercise(name).starter)
    assert not report.passed
    assert all(grade.failed != "runs" for grade in report.grades)


@each
def test_a_solution_passes_and_has_no_diagnosis(name):
    report = grade_file(find_exercise(name), find_exercise(name).solution)
    assert [grade.text for grade in report.grades if grade.failed] == []
    assert report.passed
    assert report.mistake is None


@each
def test_every_known_mistake_is_killed_and_diagnosed(name):
    reports, kills = matrix.make_reports(name), matrix.find_kills(name)
    assert len(kills) >= 4
    assert len(kills) == len(find_exercise(name).mistakes), "two mistakes share a name"
    for mistake, report in reports.items():
        assert [answer.raised for answer in report.answers if answer.stage] == []
        assert kills[mistake], f"{mistake} passes"
    assert {m: n for m, n in matrix.find_diagnoses(name).items() if m != n} == {}
    groups = {expected.group for expected in compute_expected_cases(name)}
    assert groups == {group for row in kills.values() for group in row}


def test_the_readme_has_the_current_kills():
    assert matrix.read_text() == matrix.make_text(), (
        "run: python -m tests.study.exercises.matrix --write"
    )


@each
def test_the_closed_form_agrees_with_finite_differences(name):
    steps = find_exercise(name).task.difference_steps
    assert set(steps) <= {expected.name for expected in compute_expected_cases(name)}
    for expected in compute_expected_cases(name):
        for closed, differences in zip(expected.arrays, expected.differences, strict=True):
            if differences is not None:
                error = np.max(relative_errors(differences, closed), initial=0)
                assert error < GRADIENT / 10, expected.name


@each
def test_a_case_has_the_arguments_and_the_perturbed_inputs(name):
    exercise = find_exercise(name)
    perturbed = {part.gradient_of for part in exercise.returns} - {""}
    for expected in compute_expected_cases(name):
        inputs = expected.inputs
        assert {x.name for x in exercise.arguments} | perturbed == set(inputs)
        for x in exercise.arguments:
            assert np.ndim(inputs[x.name]) == len(x.axes), (expected.name, x.name)
        for part, array in zip(exercise.returns, expected.arrays, strict=True):
            assert array.ndim == len(part.axes)
            assert array.dtype == np.float64


@each
def test_the_terms_of_an_entry_make_the_entry(name):
    exercise, rng = find_exercise(name), np.random.default_rng(0)
    for expected in compute_expected_cases(name):
        for part, array in zip(exercise.returns, expected.arrays, strict=True):
            indices = list(np.ndindex(array.shape))
            for i in rng.permutation(len(indices))[:10]:
                index = indices[i]
                terms = exercise.task.explain_entry(expected.inputs, part.name, index)
                scale = max(abs(value) for _, value in terms.numbers)
                assert abs(terms.value - array[index]) <= 1e-9 * max(scale, 1e-3), (part, index)


RIGHT = (Path(__file__).parent / "right_answers.py").read_text(encoding="utf-8")

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


WITH_NEEDS = [name for name in NAMES if find_exercise(name).needs]


def report_of_edit(name, old, new):
    """Return the report of a solution with an edit, in one line."""
    exercise = find_exercise(name)
    assert exercise.solution.count(old) == 1
    report = grade_file(exercise, exercise.solution.replace(old, new))
    return " ".join(" ".join(format_report(report)).split())


def test_a_known_mistake_in_other_code_is_diagnosed():
    code = """
import numpy as np

def squash(sums):
    length = np.linalg.norm(sums, axis=2)[:, :, None]
    return np.divide(sums, 1 + length)
"""
    report = grade_file(find_exercise("squash"), code)
    assert report.mistake.name == "n-for-n-squared"


def test_a_mistake_that_differs_in_one_case_is_not_diagnosed():
    code = find_exercise("squash").mistakes[0].code + "\n\n_wrong = squash\n"
    code += "def squash(sums):\n    return _wrong(sums) * (1 + (sums.shape[1] == 1))\n"
    assert grade_file(find_exercise("squash"), code).mistake is None


VOTES = 'np.einsum("blk,bkd->bld", weights, d_sums)'


@pytest.mark.parametrize(
    ("name", "old", "new", "factor"),
    [
        ("squash", "return sums *", "return -sums *", "capsules is {} -1 in every case."),
        ("squash", "return sums *", "return (1 + sums) *", ""),  # a nonlinear change has no factor
        (
            "aggregate-vjp",
            VOTES,
            VOTES + " / votes.shape[1]",
            "d_votes is {} 0.25, 0.3333, 0.3333, 0.25 in the cases above",
        ),
    ],
)
def test_a_factor_of_every_case_is_reported(name, old, new, factor):
    text, words = report_of_edit(name, old, new), "the right answer times"
    assert factor.format(words) in text
    assert (words in text) == bool(factor)


def test_the_report_prints_both_numbers_and_the_terms_of_the_right_one():
    text = report_of_edit("aggregate-vjp", '"blk,bkd->bld", weights', '"blk,bkd->bld", 2 * weights')
    assert "d_votes[user 0, behaviour" in text
    yours, right = re.search(r"yours (\S+) expected (\S+) finite", text).groups()  # type: ignore[union-attr]
    assert float(yours) == pytest.approx(2 * float(right))
    assert "expected is the sum of w g of interest 0" in text


@pytest.mark.parametrize("name", WITH_NEEDS)
def test_a_mistake_in_a_needed_exercise_is_reported_for_this_exercise(name):
    """The needed exercises are checked separately, in order."""
    needed = [find_exercise(other) for other in find_exercise(name).needs]
    right = [make_job(x, x.solution) for x in needed]
    assert find_first_failure(needed, run_jobs(right)).passed
    for i, exercise in enumerate(needed):
        for mistake in exercise.mistakes:
            wrong = make_job(exercise, mistake.code)
            jobs = [*right[:i], wrong, *right[i + 1 :]]
            report = find_first_failure(needed, run_jobs(jobs))
            assert report.exercise is exercise, mistake.name
            assert report.mistake.name == mistake.name
