"""T2: move forwards, backwards, and to every step."""

import io

import pytest

from mindref.errors import ConfigError
from mindref.study.terminal import print_view
from mindref.study.terminal.lookup import find_gradient_step
from mindref.study.terminal.screen import format_screen
from mindref.study.terminal.stepper import Stepper


@pytest.fixture
def stepper(film_club):
    return Stepper(film_club.trace, film_club.inputs)


def test_t2_back_prints_the_previous_screen_again(stepper):
    screens = [stepper.screen()]
    while stepper.step_index < len(stepper.trace.steps) - 1:
        screens.append(stepper.answer("n"))
    for screen in reversed(screens[:-1]):
        assert stepper.answer("p") == screen
    assert stepper.step_index == 0


def test_t2_goto_reaches_every_step_by_number_id_and_tensor(stepper):
    for i, step in enumerate(stepper.trace.steps):
        screen = format_screen(stepper.trace, i, 80)
        for name in (str(i + 1), step.id, step.outputs[0].name):
            stepper.answer("g 1")
            assert stepper.answer(f"g {name}") == screen
            assert stepper.step_index == i
        assert step.id in screen[0].text
        assert f" {i + 1}/{len(stepper.trace.steps)}  " in screen[0].text


def test_t2_a_number_alone_is_a_step_and_g_with_a_letter_a_tensor(stepper):
    assert stepper.answer("14") == format_screen(stepper.trace, 13, 80)
    stepper.answer("g p")  # the profile, not goto and back
    assert stepper.trace.steps[stepper.step_index].id == "profile.embed"
    stepper.answer("n n p")
    assert stepper.trace.steps[stepper.step_index].id == "interests.count"


def test_t2_the_first_and_the_last_step_are_announced(stepper):
    assert "first step" in stepper.answer("p")[0].text
    stepper.answer(f"g {len(stepper.trace.steps)}")
    assert "last step" in stepper.answer("n")[0].text


def test_t2_the_list_has_every_step_by_phase_and_marks_the_current_one(stepper):
    stepper.columns = 200
    stepper.answer("g 14")
    lines = [" ".join(line.text.split()) for line in stepper.answer("l")]
    phases = ("forward", "backward", "update", "serve")
    steps = list(enumerate(stepper.trace.steps))
    expected = {p: [f"{i + 1} {x.id} {x.title}" for i, x in steps if x.phase == p] for p in phases}
    expected["forward"][13] = "> " + expected["forward"][13]
    assert lines[: lines.index("")] == [x for phase in phases for x in (phase, *expected[phase])]


@pytest.mark.parametrize("command", ["g e", "x d_S[1, 2]", "d", "v softmax-over-behaviours"])
def test_t2_all_prints_the_last_view_in_full(command, stepper):
    stepper.answer("g routing[2].weights")
    short = [line.text for line in stepper.answer(command)]
    full = [line.text for line in stepper.answer("all")]
    assert any("`all` to show" in line for line in short)
    assert not any("`all` to show" in line for line in full)
    assert len(full) > len(short) - 3
    assert full[0] in short


@pytest.mark.parametrize("wrong", ["rooting[2].weights", "0", "1000", "routing[9].weights"])
def test_t2_an_unknown_step_is_an_error_with_the_three_closest(wrong, film_club):
    with pytest.raises(ConfigError, match="closest") as error:
        print_view(film_club.trace, film_club.inputs, step=wrong, stdout=io.StringIO())
    ids = {step.id for step in film_club.trace.steps}
    near = str(error.value).partition("closest: ")[2].split(", ")
    assert len(near) == 3
    assert set(near) <= ids


def test_t2_a_session_continues_after_an_error(run_commands):
    text = run_commands("g rooting[2].weights", "frob", "x w[", "n", "q")
    assert "closest: routing[2].weights" in text
    assert " 2/" in text


def test_t2_backward_goes_to_the_gradient_and_returns(stepper):
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


def test_t2_every_answer_ends_with_suggested_commands(stepper):
    for command in ("n", "p", "p", "g", "x", "d", "v", "b", "?", "l", "h", "all", "g nowhere"):
        lines = stepper.answer(command)
        assert lines
        stepper.question_index = None
        text = "\n".join(line.text for line in lines[-8:])
        assert "Try" in text or "q quit" in text or "closest" in text or "Enter" in text, command
    assert "Three things to try next" in stepper.answer("q")[0].text
    assert stepper.ended
