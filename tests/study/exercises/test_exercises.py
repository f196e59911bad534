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
from tests.assertions import nonempty
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
    assert report.diagnosis is None


@each
def test_every_known_mistake_is_killed_and_diagnosed(name):
    reports, kills = matrix.make_reports(name), matrix.find_kills(name)
    assert len(kills) >= 4
    assert len(kills) == len(find_exercise(name).mistakes), "two mistakes share a name"
    for mistake, report in reports.items():
        assert [answer.raised for answer in report.checked.answers if answer.stage] == []
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
    for expected in nonempty(compute_expected_cases(name)):
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
    for expected in nonempty(compute_expected_cases(name)):
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
@pytest.mark.slow(every=4)
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
    return join_report(grade_file(exercise, exercise.solution.replace(old, new)))


def join_report(report):
    """Return a report in one line."""
    return " ".join(" ".join(format_report(report)).split())


def test_a_known_mistake_in_other_code_is_diagnosed():
    code = """
import numpy as np

def squash(sums):
    length = np.linalg.norm(sums, axis=2)[:, :, None]
    return np.divide(sums, 1 + length)
"""
    report = grade_file(find_exercise("squash"), code)
    assert report.diagnosis.name == "n-for-n-squared"


def test_a_mistake_that_differs_in_one_case_is_named_with_this_case():
    code = find_exercise("squash").mistakes[3].code + "\n\n_wrong = squash\n"
    code += "def squash(sums):\n    return _wrong(sums) * (1 + (sums.shape[1] == 1))\n"
    report = grade_file(find_exercise("squash"), code)
    assert report.diagnosis.name == find_exercise("squash").mistakes[3].name
    assert 'The case "K=1 D=4" fails for another reason.' in join_report(report)


@each
@pytest.mark.slow(every=4)
def test_an_answer_with_random_errors_has_no_name(name):
    code = change_answer(name, "x * (1 + rng.uniform(-1, 1, x.shape)) + rng.normal(size=x.shape)")
    report = grade_file(find_exercise(name), code)
    assert not report.passed
    assert report.diagnosis is None


@pytest.mark.parametrize("epsilon", [1e-14, 1e-9, 3.7e-5, 0.3])
@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("keepdims=True))", "keepdims=True) + {})", "epsilon"),
        ("* length /", "* length**2 / np.sqrt(length**2 + {}) /", "epsilon-in-the-division"),
        ("* length /", "* length**2 / (length + {}) /", "epsilon-added-to-the-length"),
    ],
)
def test_an_epsilon_of_any_size_is_fitted(epsilon, old, new, name):
    exercise = find_exercise("squash")
    assert exercise.solution.count(old) == 1
    report = grade_file(exercise, exercise.solution.replace(old, new.format(epsilon)))
    assert report.diagnosis.name == name
    assert f"an epsilon of about {epsilon:.2g} " in join_report(report)


def test_the_errors_are_true_and_the_tolerance_is_printed():
    """Entries of 1e-8 have a relative error of 5 %, which a lower bound of 1e-3 would hide."""
    exercise = find_exercise("squash")
    code = exercise.solution.replace("keepdims=True))", "keepdims=True) + 1e-9)")
    report = grade_file(exercise, code)
    i = next(i for i, x in enumerate(report.checked.expected_cases) if x.name == "norms 1e-4")
    grade = report.grades[i]
    got = report.checked.answers[i].arrays[0][grade.entry]
    want = report.checked.expected_cases[i].arrays[0][grade.entry]
    assert grade.absolute == abs(got - want)
    assert grade.error == abs(got - want) / max(abs(got), abs(want)) > 0.04
    text = join_report(report)
    assert f"norms 1e-4 ok ok ok {grade.error:.1e} {grade.absolute:.1e}" in text
    assert f"Allowed error: {exercise.tolerance:.0e}" in text


@pytest.mark.parametrize(
    ("name", "mistake", "printed"),
    [("mask", "maximum-of-the-masked", True), ("mask", "zero-for-minus-infinity", False)],
)
def test_the_purpose_of_a_case_is_printed_if_only_its_group_fails(name, mistake, printed):
    exercise = find_exercise(name)
    code = next(x.code for x in exercise.mistakes if x.name == mistake)
    assert ("purpose of this case" in join_report(grade_file(exercise, code))) is printed


def test_the_first_wrong_iteration_is_reported_with_its_first_entry():
    old, new = "for _ in range(iterations):", "for _ in range(min(iterations, 2)):"
    text = report_of_edit("route", old, new)
    assert "Iterations 1 and 2 are right; iteration 3 differs: capsules[user 0, interest 0" in text
    text = report_of_edit("route", "return capsules", "return 2 * capsules")
    assert "Iteration 1 is wrong already: capsules[user 0, interest 0, component 0]" in text
    text = report_of_edit("route-vjp-last", "for _ in range(iterations):", new)
    assert (
        "With 2 iterations your answer is right; with 3 it is not: d_bilinear[component 0" in text
    )


VOTES = 'np.einsum("blk,bkd->bld", weights, d_sums)'


@pytest.mark.parametrize(
    ("name", "old", "new", "text"),
    [
        ("squash", "return sums *", "return -sums *", "capsules has the opposite sign"),
        ("squash", "return sums *", "return 3 * sums *", "capsules is 3 times the right answer"),
        ("squash", "return sums *", "return 0 * sums *", "capsules is zero everywhere"),
        ("squash", "return sums *", "return np.abs(sums) *", "capsules has the right magnitude"),
        ("aggregate-vjp", VOTES, f"{VOTES}[:, ::-1]", "reverse order along the axis behaviour"),
        (
            "aggregate-vjp",
            VOTES,
            f"{VOTES} / votes.shape[1]",
            "the number of behaviours, L",
        ),
        ("aggregate-vjp", VOTES, f"{VOTES}.swapaxes(1, 2)", "axes behaviour and component are"),
    ],
)
def test_a_pattern_of_every_case_is_named(name, old, new, text):
    assert text in report_of_edit(name, old, new)


def test_the_report_prints_both_numbers_and_the_terms_of_the_right_one():
    text = report_of_edit("aggregate-vjp", '"blk,bkd->bld", weights', '"blk,bkd->bld", 2 * weights')
    assert "d_votes[user 0, behaviour" in text
    yours, right = re.search(r"yours (\S+) expected (\S+) finite", text).groups()  # type: ignore[union-attr]
    assert float(yours) == pytest.approx(2 * float(right))
    assert "expected is the sum of w g of interest 0" in text


@pytest.mark.parametrize("name", WITH_NEEDS)
@pytest.mark.slow(every=3)
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
            assert report.diagnosis.name == mistake.name
