"""T2: forwards, backwards, and to every step."""

from __future__ import annotations

import io
from typing import Any

import pytest

from mindref.errors import ConfigError
from mindref.study.terminal import one_shot
from mindref.study.terminal.finding import gradient_of
from mindref.study.terminal.screen import screen
from mindref.study.terminal.stepper import Stepper
from tests.study.terminal.conftest import Said, Studied


@pytest.fixture
def stepper(film_club: Studied) -> Stepper:
    return Stepper(film_club.trace, film_club.given)


def test_t2_back_gives_the_screen_before_to_the_letter(stepper: Stepper) -> None:
    seen = [stepper.screen()]
    while stepper.at < len(stepper.trace.steps) - 1:
        seen.append(stepper.answer("n"))
    for before in reversed(seen[:-1]):
        assert stepper.answer("p") == before
    assert stepper.at == 0


def test_t2_goto_reaches_every_step_by_number_id_and_tensor(stepper: Stepper) -> None:
    for at, step in enumerate(stepper.trace.steps):
        own = screen(stepper.trace, at, 80)
        for name in (str(at + 1), step.id, step.outputs[0].name):
            stepper.answer("g 1")
            assert stepper.answer(f"g {name}") == own
            assert stepper.at == at
        assert step.id in own[0].text
        assert f" {at + 1}/{len(stepper.trace.steps)}  " in own[0].text


def test_t2_a_number_alone_goes_there_and_g_with_a_letter_to_its_tensor(stepper: Stepper) -> None:
    assert stepper.answer("14") == screen(stepper.trace, 13, 80)
    stepper.answer("g p")  # the profile, not goto and back
    assert stepper.trace.steps[stepper.at].id == "profile.embed"
    stepper.answer("n n p")
    assert stepper.trace.steps[stepper.at].id == "interests.count"


def test_t2_the_ends_are_said(stepper: Stepper) -> None:
    assert "first step" in stepper.answer("p")[0].text
    stepper.answer(f"g {len(stepper.trace.steps)}")
    assert "last step" in stepper.answer("n")[0].text


@pytest.mark.parametrize("wrong", ["rooting[2].weights", "0", "1000", "routing[9].weights", ""])
def test_t2_an_unknown_step_lists_three_that_are_closest(wrong: str, film_club: Studied) -> None:
    if not wrong:
        return
    with pytest.raises(ConfigError, match="closest") as told:
        one_shot(film_club.trace, film_club.given, at=wrong, stdout=io.StringIO())
    ids = {step.id for step in film_club.trace.steps}
    near = str(told.value).partition("closest: ")[2].split(", ")
    assert len(near) == 3
    assert set(near) <= ids


def test_t2_a_session_goes_on_after_a_mistake(said: Said) -> None:
    text = said("g rooting[2].weights", "frob", "x w[", "n", "q")
    assert "closest: routing[2].weights" in text
    assert " 2/" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"explain": "w[1][99, 1]"}, "behaviour: expected a number from 1 to"),
        ({"explain": "nothing[1]"}, "cell: expected a cell such as"),
        ({"variant": "soft-over-behaviours"}, "closest: softmax-over-behaviours"),
        ({"ledger": "Q"}, "ledger: expected"),
    ],
)
def test_t2_whatever_is_unknown_is_refused_and_nothing_is_written(
    given: dict[str, Any], message: str, film_club: Studied
) -> None:
    out = io.StringIO()
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        one_shot(*film_club, **given, stdout=out)
    assert out.getvalue() == ""


def test_t2_backward_and_back_again(stepper: Stepper) -> None:
    """From what is made to its gradient, and from there to the same step."""
    trace = stepper.trace
    there = {}
    for at, step in enumerate(trace.steps):
        found = gradient_of(trace, at)
        if found is not None:
            assert {trace.steps[found].phase, step.phase} == {"forward", "backward"}
            there[step.id] = trace.steps[found].id
    assert there["routing[2].weights"] == "routing[2].d_weights"
    assert there["routing[2].d_weights"] == "routing[2].weights"
    assert there["routing[3].capsules"] == "interests.d_join"
    assert len(there) > 30
    stepper.answer("g ids")
    assert "no gradient" in stepper.answer("b")[0].text


def test_t2_every_answer_ends_with_something_to_do(stepper: Stepper) -> None:
    for command in ("n", "p", "p", "g", "x", "d", "v", "b", "?", "l", "h", "all", "g nowhere"):
        lines = stepper.answer(command)
        assert lines
        stepper.asked = None
        text = "\n".join(line.text for line in lines[-8:])
        assert "Try" in text or "q quit" in text or "closest" in text or "Enter" in text, command
    assert "Three things to try next" in stepper.answer("q")[0].text
    assert stepper.ended
