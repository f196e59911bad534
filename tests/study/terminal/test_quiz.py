"""T7: a question comes before its result, has one right answer, and every reply has feedback."""

import re

import numpy as np
import pytest

from mindref.study.terminal.stepper import Stepper, format_feedback, format_question, parse_choice
from mindref.study.trace import Question


def find_questions(trace):
    return [(i, step.question) for i, step in enumerate(trace.steps) if step.question]


def numbers_of_choices(trace, step_index, question):
    """Return the number of each choice, computed from the trace."""
    step = trace.steps[step_index]
    tensor = step.outputs[-1]
    if step.id == "serve.top":
        return trace.values["score"][trace.values["top"][0]]
    if step.kind == "interests.count":
        return np.arange(len(question.choices)) + 1 == np.sum(trace.values["active"])
    if step.kind == "routing.capsules":
        return np.linalg.norm(tensor.values, axis=1)
    if tensor.values.ndim == 1:
        return tensor.values
    row = next(i for i, title in enumerate(trace.labels["behaviour"]) if title in question.text)
    return tensor.values[row]


def test_t7_exactly_one_choice_has_the_largest_number(film_club):
    questions = find_questions(film_club.trace)
    assert len(questions) >= 8
    for step_index, question in questions:
        assert len(set(question.choices)) == len(question.choices) >= 2
        numbers = np.asarray(numbers_of_choices(film_club.trace, step_index, question), float)
        best = np.flatnonzero(numbers == numbers.max())
        assert best.tolist() == [question.answer], film_club.trace.steps[step_index].id


def test_t7_feedback_distinguishes_right_and_wrong_replies(film_club):
    trace = film_club.trace
    for step_index, question in find_questions(trace):
        for choice in range(len(question.choices)):
            for reply in (str(choice + 1), question.choices[choice].upper()):
                stepper = Stepper(trace, film_club.inputs)
                lines = stepper.answer(f"? {trace.steps[step_index].id}")
                assert lines == format_question(trace, step_index, question, 80)
                feedback = stepper.answer(reply)
                right = choice == question.answer
                assert feedback[0].text.startswith(" Right: " if right else " Wrong: ")
                answer = f"{question.answer + 1}  {question.choices[question.answer]}"
                assert answer in " ".join(line.text for line in feedback[:4])
                assert feedback[-len(stepper.screen()) :] == stepper.screen()
                assert stepper.step_index == step_index


def test_t7_a_question_prints_no_number_of_the_result_and_the_result_its_row(film_club):
    trace = film_club.trace
    for step_index, question in find_questions(trace):
        stepper = Stepper(trace, film_club.inputs, columns=120)
        lines = stepper.answer(f"? {trace.steps[step_index].id}")
        text = "\n".join(line.text for line in lines)
        assert not re.search(r"\d\.\d{3}", text)
        assert "^" not in text.replace("|^", "").replace(")^", "").replace("^2", "")
        rows = [title for title in trace.labels["behaviour"] if title in question.text]
        text = "\n".join(line.text for line in stepper.answer("1")[4:])
        assert all(re.search(rf"^ +\d+ {title} ", text, re.MULTILINE) for title in rows)


def test_t7_enter_prints_the_result_and_a_command_cancels_the_question(run_commands):
    screen = run_commands("g routing[2].weights", "q")
    after_enter = run_commands("? routing[2].weights", "", "q")
    assert screen.partition("2].weights\n")[2] in after_enter.replace("Enter without a number", "")
    cancelled = run_commands("? routing[2].weights", "n", "q")
    assert "routing[2].sums" in cancelled
    assert "Right" not in cancelled


@pytest.mark.parametrize("reply", ["0", "9", "maybe", "interest"])
def test_t7_an_invalid_reply_is_an_error_and_the_question_stays(reply, run_commands):
    text = run_commands("? routing[2].weights", reply, "3", "q")
    assert "answer: expected a number from 1 to 4" in text
    assert " Right: " in text or " Wrong: " in text


def test_t7_a_step_without_question_names_the_next_question(film_club):
    stepper = Stepper(film_club.trace, film_club.inputs)
    answer = " ".join(line.text.strip() for line in stepper.answer("?"))
    assert "no question" in answer
    command = re.search(r"\? (\S+)", answer)
    assert "Your answer" in "".join(line.text for line in stepper.answer(command[0]))
    stepper.answer(f"g {len(film_club.trace.steps)}")
    assert "no question before the end" in stepper.answer("?")[0].text


@pytest.mark.parametrize(
    ("reply", "choice"), [("1", 0), (" 2 ", 1), ("Two", 1), ("3", None), ("", None), ("two!", None)]
)
def test_t7_a_reply_is_the_number_or_the_text_of_a_choice(reply, choice):
    question = Question("Which?", ("one", "two"), 1)
    assert parse_choice(question, reply) == choice
    if choice is not None:
        assert format_feedback(question, choice, 80)
