"""The report of a wrong answer: known mistake, factor, failed exercise."""

import re

import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.commands import find_first_failure
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.expected import make_job
from mindref.study.exercises.report import format_report
from mindref.study.exercises.worker import run_jobs
from tests.study.exercises.learner import grade_file

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
            *("aggregate-vjp", VOTES, VOTES + " / votes.shape[1]"),
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
    """E11: the needed exercises are checked separately, in order."""
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
