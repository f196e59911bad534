"""What is said of a wrong answer: the slip, the factor, the part; and nothing that is not so."""

from __future__ import annotations

import re

import pytest

from mindref.study.exercises import answers
from mindref.study.exercises.commands import first_wrong
from mindref.study.exercises.exercise import find
from mindref.study.exercises.expected import job
from mindref.study.exercises.report import lines
from tests.study.exercises.learner import WRITTEN, judged

NEEDY = [name for name in WRITTEN if find(name).needs]


def said(name: str, old: str, new: str) -> str:
    """Return the report on a solution with an edit, on one line."""
    exercise = find(name)
    assert exercise.solution.count(old) == 1
    return " ".join(" ".join(lines(judged(exercise, exercise.solution.replace(old, new)))).split())


def test_a_slip_in_other_words_is_recognised() -> None:
    """The learner's code is not that of the catalogue; the numbers are the same."""
    code = """
import numpy as np

def squash(sums):
    length = np.linalg.norm(sums, axis=2)[:, :, None]
    return np.divide(sums, 1 + length)
"""
    found = judged(find("squash"), code)
    assert found.mistake is not None
    assert found.mistake.name == "n-for-n-squared"


def test_a_slip_on_all_cases_but_one_is_not_it() -> None:
    code = find("squash").mistakes[0].code + "\n\n_wrong = squash\n"
    code += "def squash(sums):\n    return _wrong(sums) * (1 + (sums.shape[1] == 1))\n"
    assert judged(find("squash"), code).mistake is None


def test_a_constant_factor_is_named() -> None:
    text = said("squash", "return sums * length", "return -sums * length")
    assert "capsules is the right answer times -1 in every case." in text


def test_a_factor_that_depends_on_the_case_is_listed() -> None:
    old = 'np.einsum("blk,bkd->bld", weights, d_sums)'
    text = said("aggregate-vjp", old, old + " / votes.shape[1]")
    assert "d_votes is the right answer times 0.25, 0.3333, 0.3333, 0.25 in the cases above" in text


def test_no_factor_is_said_of_what_is_not_proportional() -> None:
    text = said("squash", "return sums * length", "return (1 + sums) * length")
    assert "the right answer times" not in text


def test_the_report_shows_both_numbers_and_what_makes_the_right_one() -> None:
    text = said("aggregate-vjp", '"blk,bkd->bld", weights', '"blk,bkd->bld", 2 * weights')
    assert "d_votes[user 0, behaviour" in text
    yours, right = re.search(r"yours (\S+) expected (\S+) finite", text).groups()  # type: ignore[union-attr]
    assert float(yours) == pytest.approx(2 * float(right))
    assert "expected is the sum of w g of interest 0" in text


@pytest.mark.parametrize("name", NEEDY)
def test_with_one_mistake_among_what_is_needed_that_exercise_is_told(name: str) -> None:
    """E11: the exercises are judged in their order, before anything is made of them together."""
    needed = [find(other) for other in find(name).needs]
    right = [job(x, x.solution, f"{x.name}.py", x.needs) for x in needed]
    assert first_wrong(needed, answers.run(right)).passed
    for at, exercise in enumerate(needed):
        for mistake in exercise.mistakes:
            slip = job(exercise, mistake.code, "mine.py", exercise.needs)
            jobs = [*right[:at], slip, *right[at + 1 :]]
            found = first_wrong(needed, answers.run(jobs))
            assert found.exercise is exercise, mistake.name
            assert found.mistake is not None
            assert found.mistake.name == mistake.name
