"""T7: a question is asked before the result, has one right answer, and every reply is answered."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mindref.study.terminal.ask import asking, chosen, judged
from mindref.study.terminal.stepper import Stepper
from mindref.study.trace import Question, Trace
from tests.study.terminal.conftest import Said, Studied


def questions(trace: Trace) -> list[int]:
    return [at for at, step in enumerate(trace.steps) if step.question is not None]


def numbers_asked_about(trace: Trace, at: int) -> np.ndarray:
    """Return what the choices of a question stand for, found anew from the trace."""
    step = trace.steps[at]
    assert step.question is not None
    text, count = step.question.text, len(step.question.choices)
    tensor = step.outputs[-1]
    if step.id == "serve.top":
        return trace.values["score"][trace.values["top"][0]]
    if step.kind == "interests.count":
        return np.arange(count) + 1 == np.sum(trace.values["active"])
    if step.kind == "routing.capsules":
        return np.linalg.norm(tensor.values, axis=1)
    if tensor.values.ndim == 1:
        return tensor.values
    row = next(i for i, title in enumerate(trace.labels["behaviour"]) if title in text)
    return tensor.values[row]


def test_t7_exactly_one_choice_is_right_by_the_numbers(film_club: Studied) -> None:
    asked = questions(film_club.trace)
    assert len(asked) >= 8
    for at in asked:
        question = film_club.trace.steps[at].question
        assert question is not None
        assert len(set(question.choices)) == len(question.choices) >= 2
        numbers = np.asarray(numbers_asked_about(film_club.trace, at), float)
        best = np.flatnonzero(numbers == numbers.max())
        assert best.tolist() == [question.answer], film_club.trace.steps[at].id


def test_t7_a_right_reply_and_every_wrong_one_is_told_so(film_club: Studied) -> None:
    trace = film_club.trace
    for at in questions(trace):
        question = trace.steps[at].question
        assert question is not None
        for choice in range(len(question.choices)):
            for reply in (str(choice + 1), question.choices[choice].upper()):
                stepper = Stepper(trace, film_club.given)
                asked = stepper.answer(f"? {trace.steps[at].id}")
                assert asked == asking(trace, at, question, 80)
                told = stepper.answer(reply)
                right = choice == question.answer
                assert told[0].text.startswith(" Right: " if right else " Not so: ")
                answer = f"{question.answer + 1}  {question.choices[question.answer]}"
                assert answer in " ".join(line.text for line in told[:4])
                assert told[-len(stepper.screen()) :] == stepper.screen()
                assert stepper.at == at


def test_t7_no_number_of_the_result_is_shown_before_the_reply(film_club: Studied) -> None:
    trace = film_club.trace
    for at in questions(trace):
        question = trace.steps[at].question
        assert question is not None
        text = "\n".join(line.text for line in asking(trace, at, question, 80))
        assert not re.search(r"\d\.\d{3}", text)
        assert "^" not in text.replace("|^", "").replace(")^", "").replace("^2", "")


def test_t7_enter_shows_the_result_and_a_command_drops_the_question(said: Said) -> None:
    seen = said("g routing[2].weights", "q")
    shown = said("? routing[2].weights", "", "q")
    assert seen.partition("2].weights\n")[2] in shown.replace("Enter alone", "")
    dropped = said("? routing[2].weights", "n", "q")
    assert "routing[2].sums" in dropped
    assert "Right" not in dropped


@pytest.mark.parametrize("reply", ["0", "9", "maybe", "interest"])
def test_t7_a_reply_that_is_no_choice_asks_again(reply: str, said: Said) -> None:
    text = said("? routing[2].weights", reply, "3", "q")
    assert "answer: expected a number from 1 to 4" in text
    assert " Right: " in text or " Not so: " in text


def test_t7_where_nothing_is_asked_the_next_question_is_named(film_club: Studied) -> None:
    stepper = Stepper(film_club.trace, film_club.given)
    answer = " ".join(line.text.strip() for line in stepper.answer("?"))
    assert "no question" in answer
    named = re.search(r"\? (\S+)", answer)
    assert named is not None
    assert "Your answer" in "".join(line.text for line in stepper.answer(named[0]))
    stepper.answer(f"g {len(film_club.trace.steps)}")
    assert "no question before the end" in stepper.answer("?")[0].text


@pytest.mark.parametrize(
    ("reply", "choice"), [("1", 0), (" 2 ", 1), ("Two", 1), ("3", None), ("", None), ("two!", None)]
)
def test_t7_a_reply_is_a_number_or_the_words(reply: str, choice: int | None) -> None:
    question = Question("Which?", ("one", "two"), 1)
    assert chosen(question, reply) == choice
    if choice is not None:
        assert judged(question, choice, 80)


def test_t7_the_row_that_was_asked_about_is_in_sight(film_club: Studied) -> None:
    trace = film_club.trace
    for at in questions(trace):
        question = trace.steps[at].question
        assert question is not None
        rows = [title for title in trace.labels["behaviour"] if title in question.text]
        stepper = Stepper(trace, film_club.given, columns=120)
        stepper.answer(f"? {trace.steps[at].id}")
        text = "\n".join(line.text for line in stepper.answer("1")[4:])
        assert all(re.search(rf"^ +\d+ {title} ", text, re.MULTILINE) for title in rows)
