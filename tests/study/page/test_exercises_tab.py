"""The tab of the exercises: statement, signature, starter, and commands that can be copied."""

import re

import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.page_texts import describe_for_page, list_page_exercises
from mindref.study.exercises.workspace import Workspace
from mindref.study.page import write_page

ORDER = "all => all.map(one => [one.dataset.exercise, one.open])"
CAPTURE = """() => { window.copied = [];
  Object.defineProperty(navigator, 'clipboard', {configurable: true, value: {
    writeText: async text => { window.copied.push(text); } }}); }"""


@pytest.fixture
def page(opened, rich):
    return opened(rich, "#ask=0")


def show_exercises(page, step):
    page.at(view="steps", step=step)
    page.at(view="exercises", step=step)
    return page.page.eval_on_selector_all("#tab details.exercise", ORDER)


def test_exercises_of_the_current_step_are_first_and_open(page):
    assert show_exercises(page, "routing[2].capsules") == [["squash", True], ["mask", False]]
    assert show_exercises(page, "routing[2].weights") == [["mask", True], ["squash", False]]
    assert show_exercises(page, "ids") == [["squash", False], ["mask", False]]


def test_an_exercise_has_its_texts_and_commands(page):
    show_exercises(page, "routing[2].capsules")
    text = " ".join(page.page.inner_text("#tab [data-exercise=squash]").split())
    exercise = find_exercise("squash")
    assert "started" in text
    assert "squash(sums)" in text
    for x in exercise.arguments + exercise.returns:
        assert x.name in text
    for part in re.split(r"`|\n\n", exercise.statement) + exercise.starter.splitlines():
        assert " ".join(part.split()) in text
    assert "`" not in text
    assert "mindref study --exercise squash --check" in text


def test_the_copy_buttons_copy_commands_and_starter(page):
    show_exercises(page, "routing[2].capsules")
    page.page.evaluate(CAPTURE)
    for button in page.page.query_selector_all("#tab [data-exercise=squash] button.copy"):
        button.click()
    page.page.wait_for_function("window.copied.length === 3")
    command = "mindref study --exercise squash"
    starter = find_exercise("squash").starter
    assert page.page.evaluate("window.copied") == [command, f"{command} --check", starter]
    assert page.page.inner_text("#tab button.copy") == "Copied"
    assert page.page.inner_text("#live") == "Copied"


def test_an_exercise_leads_to_its_step(page):
    show_exercises(page, "ids")
    page.open_details()
    page.page.click("#tab [data-exercise=squash] button.quiet")
    assert page.step() == "routing[1].capsules"
    assert page.errors == []


def test_no_exercise_makes_a_narrow_page_scroll_sideways(opened, trace, tmp_path):
    path = tmp_path / "all.html"
    derived = {"exercises": list_page_exercises(Workspace(tmp_path))}
    write_page([trace], path, derived=[derived])
    page = opened(path, "#ask=0", viewport={"width": 400, "height": 800})
    show_exercises(page, "ids")
    page.open_details()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert len(page.page.query_selector_all("#tab details.exercise")) == len(NAMES)


def test_every_exercise_has_texts_for_the_page(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.record("mask", passed=True)
    workspace.record("squash", checks=1)
    exercises = list_page_exercises(workspace)
    assert [x["name"] for x in exercises] == list(NAMES)
    status = {x["name"]: x["status"] for x in exercises}
    assert (status["mask"], status["squash"], status["route"]) == ("passed", "started", "open")
    for name in NAMES:
        texts = describe_for_page(find_exercise(name))
        assert all(texts[key] for key in ("statement", "call", "arguments", "returns", "starter"))
