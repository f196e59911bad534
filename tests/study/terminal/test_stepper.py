"""Move forwards, backwards, and to every step.

A question comes before its result, has one right answer, and every reply has feedback.
"""

import io
import re

import pytest

from mindref.errors import ConfigError
from mindref.study.terminal import View, print_view
from mindref.study.terminal.commands import HELP
from mindref.study.terminal.lookup import find_gradient_step
from mindref.study.terminal.screen import format_screen
from mindref.study.terminal.stepper import Stepper, format_feedback, format_question, parse_choice
from mindref.study.trace import Question
from tests.assertions import nonempty


@pytest.fixture
def stepper(film_club):
    return Stepper(film_club.trace, film_club.inputs)


def test_back_prints_the_previous_screen_again(stepper):
    screens = [stepper.screen()]
    while stepper.step_index < len(stepper.trace.steps) - 1:
        screens.append(stepper.answer("n"))
    for screen in reversed(screens[:-1]):
        assert stepper.answer("p") == screen
    assert stepper.step_index == 0


def test_goto_reaches_every_step_by_number_id_and_tensor(stepper):
    for i, step in enumerate(stepper.trace.steps):
        screen = format_screen(stepper.trace, i, 80)
        for name in (str(i + 1), step.id, step.outputs[0].name):
            stepper.answer("g 1")
            assert stepper.answer(f"g {name}") == screen
            assert stepper.step_index == i
        assert step.id in screen[0].text
        assert f" {i + 1}/{len(stepper.trace.steps)}  " in screen[0].text


def test_a_number_alone_is_a_step_and_g_with_a_letter_a_tensor(stepper):
    assert stepper.answer("14") == format_screen(stepper.trace, 13, 80)
    stepper.answer("g p")  # the profile, not goto and back
    assert stepper.trace.steps[stepper.step_index].id == "profile.embed"
    stepper.answer("n n p")
    assert stepper.trace.steps[stepper.step_index].id == "interests.count"


def test_the_first_and_the_last_step_are_announced(stepper):
    assert "first step" in stepper.answer("p")[0].text
    stepper.answer(f"g {len(stepper.trace.steps)}")
    assert "last step" in stepper.answer("n")[0].text


def test_the_list_has_every_step_by_phase_and_marks_the_current_one(stepper):
    stepper.columns = 200
    stepper.answer("g 14")
    lines = [" ".join(line.text.split()) for line in stepper.answer("l")]
    phases = ("forward", "backward", "update", "serve")
    steps = list(enumerate(stepper.trace.steps))
    expected = {p: [f"{i + 1} {x.id} {x.title}" for i, x in steps if x.phase == p] for p in phases}
    expected["forward"][13] = "> " + expected["forward"][13]
    assert lines[: lines.index("")] == [x for phase in phases for x in (phase, *expected[phase])]


@pytest.mark.parametrize("command", ["g e", "x d_S[1, 2]", "d", "v softmax-over-behaviours"])
def test_all_prints_the_last_view_in_full(command, stepper):
    stepper.answer("g routing[2].weights")
    short = [line.text for line in stepper.answer(command)]
    full = [line.text for line in stepper.answer("all")]
    assert any("`all` to show" in line for line in short)
    assert not any("`all` to show" in line for line in full)
    assert len(full) > len(short) - 3
    assert full[0] in short


@pytest.mark.parametrize("wrong", ["rooting[2].weights", "0", "1000", "routing[9].weights"])
def test_an_unknown_step_is_an_error_with_the_three_closest(wrong, film_club):
    with pytest.raises(ConfigError, match="closest") as error:
        print_view(film_club.trace, film_club.inputs, View(step=wrong), stdout=io.StringIO())
    ids = {step.id for step in film_club.trace.steps}
    near = str(error.value).partition("closest: ")[2].split(", ")
    assert len(near) == 3
    assert set(near) <= ids


def test_a_session_continues_after_an_error(run_commands):
    text = run_commands("g rooting[2].weights", "frob", "x w[", "n", "q")
    assert "closest: routing[2].weights" in text
    assert " 2/" in text


def test_backward_goes_to_the_gradient_and_returns(stepper):
    trace = stepper.trace
    partners = {}
    for i, step in enumerate(trace.steps):
        partner = find_gradient_step(trace, i)
        if partner is not None:
            assert {trace.steps[partner].phase, step.phase} == {"forward", "backward"}
            partners[step.id] = trace.steps[partner].id
    assert partners["routing[2].weights"] == "routing[2].d_weights"
    assert partners["routing[2].d_weights"] == "routing[2].weights"
    assert partners["routing[3].capsules"] == "interests.d_join"
    assert len(partners) > 30
    weights = stepper.answer("g routing[3].weights")
    assert "routing[3].d_weights" in stepper.answer("b")[0].text
    assert stepper.answer("b") == weights
    stepper.answer("g ids")
    assert "no gradient" in stepper.answer("b")[0].text


def test_every_answer_ends_with_suggested_commands(stepper):
    for command in ("n", "p", "p", "g", "x", "d", "v", "b", "?", "l", "h", "all", "g nowhere"):
        lines = stepper.answer(command)
        assert lines
        stepper.question_index = None
        text = "\n".join(line.text for line in lines[-8:])
        assert "Try" in text or "q quit" in text or "closest" in text or "Enter" in text, command
    assert stepper.commands.keys() == HELP.keys()
    assert "Three things to try next" in stepper.answer("q")[0].text
    assert stepper.ended


def find_questions(trace):
    return [(i, step.question) for i, step in enumerate(trace.steps) if step.question]


def test_feedback_distinguishes_right_and_wrong_replies(film_club):
    trace = film_club.trace
    for step_index, question in nonempty(find_questions(trace)):
        for choice in range(len(question.choices)):
            for reply in (str(choice + 1), question.choices[choice].upper()):
                stepper = Stepper(trace, film_club.inputs)
                lines = stepper.answer(f"? {trace.steps[step_index].id}")
                assert lines == format_question(trace, step_index, question, 80)
                feedback = stepper.answer(reply)
                right = choice == question.answer
                assert feedback[0].text.startswith(" Right: " if right else " Wrong: ")
                answer = f"{question.answer + 1}  {question.choices[question.answer]}"
                text = " ".join(line.text for line in feedback[:9])
                assert " ".join(answer.split()) in " ".join(text.split())
                assert feedback[-len(stepper.screen()) :] == stepper.screen()
                assert stepper.step_index == step_index


def test_a_question_prints_no_number_of_the_result_and_the_result_its_row(film_club):
    trace = film_club.trace
    for step_index, question in nonempty(find_questions(trace)):
        stepper = Stepper(trace, film_club.inputs, columns=120)
        lines = stepper.answer(f"? {trace.steps[step_index].id}")
        choices = set(question.choices)
        text = "\n".join(x.text for x in lines if x.text.strip().partition("  ")[2] not in choices)
        assert not re.search(r"\d\.\d{3}", text)
        assert " ^" not in text  # the mark of the largest number
        rows = [title for title in trace.labels["behaviour"] if title in question.text]
        text = "\n".join(line.text for line in stepper.answer("1"))
        assert all(re.search(rf"^ +\d+ {title} ", text, re.MULTILINE) for title in rows)


def test_enter_prints_the_result_and_a_command_cancels_the_question(run_commands):
    screen = run_commands("g routing[2].weights", "q")
    after_enter = run_commands("? routing[2].weights", "", "q")
    assert screen.partition("2].weights\n")[2] in after_enter.replace("Enter without a number", "")
    cancelled = run_commands("? routing[2].weights", "n", "q")
    assert "routing[2].sums" in cancelled
    assert "Right" not in cancelled


@pytest.mark.parametrize("reply", ["0", "9", "maybe", "interest"])
def test_an_invalid_reply_is_an_error_and_the_question_stays(reply, run_commands):
    text = run_commands("? routing[2].weights", reply, "3", "q")
    assert "answer: expected a number from 1 to 5" in text
    assert " Right: " in text or " Wrong: " in text


def test_a_step_without_question_names_the_next_question(film_club):
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
def test_a_reply_is_the_number_or_the_text_of_a_choice(reply, choice):
    question = Question("Which?", ("one", "two"), 1)
    assert parse_choice(question, reply) == choice
    if choice is not None:
        assert format_feedback(question, choice, 80)


@pytest.mark.parametrize("command", ["x w[2][1, 1]", "l", "h", "rooting", "g nowhere", "? off"])
def test_a_question_stays_after_a_command_that_does_not_move(film_club, command):
    stepper = Stepper(film_club.trace, film_club.inputs)
    stepper.answer("? routing[2].weights")
    step_index = stepper.step_index
    stepper.answer(command)
    assert stepper.question_index == stepper.step_index == step_index
    lines = stepper.answer("1")
    assert re.match(r" (Right|Wrong): ", lines[0].text)
    assert lines[-len(stepper.screen()) :] == stepper.screen(), "the numbers of the step"


@pytest.mark.parametrize("command", ["n", "p", "g 3", "b", "all"])
def test_a_question_ends_with_a_move_or_with_the_numbers(film_club, command):
    stepper = Stepper(film_club.trace, film_club.inputs)
    stepper.answer("? routing[2].weights")
    stepper.answer(command)
    assert stepper.question_index is None


def test_a_question_mark_asks_at_the_current_step_until_it_had_a_reply(film_club):
    stepper = Stepper(film_club.trace, film_club.inputs)
    (first, question), (second, later), *_ = find_questions(film_club.trace)
    stepper.answer(f"g {first + 1}")
    assert stepper.answer("?") == format_question(film_club.trace, first, question, 80)
    assert stepper.answer("?") == format_question(film_club.trace, first, question, 80)
    stepper.answer("1")
    stepper.answer(f"g {second}")
    assert stepper.answer("?") == format_question(film_club.trace, second, later, 80)
    stepper.answer("1")
    assert "no question" in stepper.answer("?")[0].text
