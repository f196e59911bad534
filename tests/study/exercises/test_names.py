"""Names by condition, by length, by two known mistakes, and the answers of a starter."""

import numpy as np
import pytest

from mindref.study.exercises.conditions import find_condition, list_limits
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.report import format_report
from tests.study.exercises.conftest import grade_file

CHOICE = """
{right}

_right = {function}
{wrong}

_wrong = {function}


def {function}(*arguments):
    return (_wrong if {condition} else _right)(*arguments)
"""


def mix_answers(name, condition, wrong, right=""):
    """Return the report of `wrong` if a condition of the arguments holds, else of `right`."""
    exercise = find_exercise(name)
    names = {"right": right or exercise.solution, "wrong": wrong, "condition": condition}
    return grade_file(exercise, CHOICE.format(function=exercise.function, **names))


def edit_answer(name, old, new):
    """Return the report of a solution with an edit."""
    exercise = find_exercise(name)
    assert exercise.solution.count(old) == 1
    return grade_file(exercise, exercise.solution.replace(old, new))


def find_code(name, mistake):
    return next(x.code for x in find_exercise(name).mistakes if x.name == mistake)


def name_of(report):
    return report.diagnosis.name if report.diagnosis else ""


def join_lines(report):
    return " ".join(" ".join(format_report(report)).split())


PASS_ON = "def softmax_vjp(weights, d_weights):\n    return d_weights.copy()\n"


@pytest.mark.parametrize(
    ("condition", "name"),
    [("arguments[0].shape[2] == 1", "pattern argument"), ("arguments[0].shape[1] == 3", "")],
    ids=["only K = 1", "no common condition"],
)
def test_a_pattern_that_a_passing_case_lacks_needs_a_condition(condition, name):
    report = mix_answers("softmax-vjp", condition, PASS_ON)
    assert not report.passed
    assert name_of(report) == name


def test_a_size_of_a_passing_case_is_no_condition():
    checked = mix_answers("softmax-vjp", "arguments[0].shape[2] == 1", PASS_ON).checked
    assert find_condition(checked) == "K = 1"
    right = grade_file(checked.exercise, checked.exercise.solution).checked
    cases, answers, grades = (
        [*x, y[-1]]  # the case with K = 1 again, with its right answer
        for x, y in zip(checked[1:], right[1:], strict=True)
    )
    assert (
        find_condition(checked._replace(expected_cases=cases, answers=answers, grades=grades)) == ""
    )


@pytest.mark.parametrize(
    ("right", "words"), [({1.0, 2.0}, ["`power` is 0 or infinity"]), ({0.0, 2.0}, [])]
)
def test_a_number_of_a_passing_case_is_no_condition(right, words):
    assert list(list_limits("power", {np.inf, 0.0}, right)) == words


def test_an_argument_that_is_added_twice_is_named():
    old = "d_target = d_target_so_far +"
    report = edit_answer("label-attention-vjp", old, f"{old} d_target_so_far +")
    assert name_of(report) == "pattern added"
    assert "d_target is the right answer plus the argument `d_target_so_far`" in join_lines(report)


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        ("np.where(length > 1.5, length, 1)", "up to 1, and wrong from 2 on. There the factor is"),
        ("np.where(length < 0.1, 2, 1)", "from 0.3 on, and wrong up to 0.0002."),
        ("np.where(length > 1.5, 1 / (1 + length), 1)", "up to 1, and wrong from 2 on."),
    ],
)
def test_the_lengths_that_separate_right_and_wrong_vectors_are_reported(factor, text):
    report = edit_answer("squash", "return sums", f"return {factor} * sums")
    assert f"It is right for vectors of `sums` of length n {text}" in join_lines(report)
    assert ("There the factor is n^1." in join_lines(report)) is ("There" in text)


@pytest.mark.parametrize("numbers", ["1, 1 / (1 + length)", "1 / (1 + length), 1"])
def test_no_length_is_reported_if_right_and_wrong_vectors_have_similar_lengths(numbers):
    factor = f"np.where((length > 0.4) & (length < 3), {numbers})"
    report = edit_answer("squash", "return sums", f"return {factor} * sums")
    assert name_of(report) == "pattern length"
    assert "It is right for" not in join_lines(report)


def test_a_mistake_is_not_named_if_a_case_that_it_fails_passes():
    wrong = find_code("squash", "unit-length")
    report = mix_answers("squash", "arguments[0].shape[1] > 1", wrong)
    assert not report.passed
    assert name_of(report) == "pattern length"


def test_two_mistakes_are_not_named_if_a_case_that_one_of_them_fails_passes():
    wrong = find_code("mask", "maximum-of-the-masked")
    other = find_code("mask", "large-negative-number")
    report = mix_answers("mask", "np.isnan(arguments[0]).any()", other, right=wrong)
    assert name_of(report) == "maximum-of-the-masked"
    assert 'The case "NaN in the padding" fails for another reason' in join_lines(report)


STILL = "Your file still has the same answers as the starter."


def test_the_answers_of_a_starter_are_recognised():
    assert STILL in join_lines(grade_file(find_exercise("bug-1"), find_exercise("bug-1").starter))


def test_a_file_that_differs_from_the_starter_in_one_case_is_not_the_starter():
    """The other wrong answer is no known mistake: the starter with doubled capsules."""
    starter = find_exercise("bug-1").starter
    doubled = starter.replace("return capsules", "return 2 * capsules")
    report = mix_answers("bug-1", "arguments[3].shape[2] == 2", doubled, right=starter)
    text = join_lines(report)
    assert STILL not in text
    assert "In 7 of 8 failing cases your file has the same answers as the starter." in text
    assert 'Your change has an effect in the case "L=4 K=2 D=3 r=5"' in text
    assert "over the behaviours" not in text


def test_a_mistake_that_is_right_in_the_failing_cases_is_not_named():
    """Zero over zero is right for other vectors, and an epsilon changes them by less than 1e-9."""
    solution, wrong = (
        find_exercise("squash").solution,
        find_code("squash", "epsilon-in-the-division"),
    )
    report = mix_answers("squash", "arguments[0].shape[1] == 1", solution, right=wrong)
    assert len(report.checked.failing) == 4
    assert name_of(report) == "pattern length"


def test_wrong_lengths_are_named_if_the_cases_have_different_widths():
    factor = "(1 + np.arange(votes.shape[1])[:, None])"
    report = edit_answer("agreement-vjp", "return d_votes,", f"return {factor} * d_votes,")
    assert name_of(report) == "pattern length"
    assert "Every vector of d_votes has the right direction" in join_lines(report)
