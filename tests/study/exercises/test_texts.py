"""E6, E10: hints that give nothing away, signs that are explained, commands that run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mindref.study.exercises import page
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import AXES, Exercise, find
from mindref.study.steps import KINDS
from tests import pages
from tests.study.exercises import matrix
from tests.study.exercises.conftest import Study
from tests.study.exercises.learner import WRITTEN

each = pytest.mark.parametrize("name", WRITTEN)

WORDS = {
    *("exp", "log", "sum", "sqrt", "sign", "max", "min", "mean", "if", "and", "or", "otherwise"),
    *("in", "of", "by", "over", "the", "not", "is", "where", "every", "round", "rounds", "zero"),
    *("mask", "false", "true", "squash", "grows", "needed", "after", "last", "active", "interests"),
    *("NaN", "D", "K", "L", "B", "so", "far"),
}
"""Of formulas: known functions, plain words, and letters of axes."""


def answer_lines(exercise: Exercise) -> set[str]:
    """Return the lines of the solution that the starter lacks, without their blanks."""
    lacking = set(exercise.solution.splitlines()) - set(exercise.starter.splitlines())
    return {line.replace(" ", "") for line in lacking if len(line.replace(" ", "")) > 3}


@each
def test_there_are_three_hints_and_none_has_a_line_of_the_answer(name: str) -> None:
    exercise = find(name)
    assert len(exercise.hints) == 3
    assert answer_lines(exercise)
    for hint in exercise.hints:
        for line in answer_lines(exercise):
            right = line.partition("return")[2] or line.partition("=")[2] or line
            assert line not in hint.replace(" ", "")
            assert len(right) < 12 or right not in hint.replace(" ", ""), right


def formulas(text: str) -> list[str]:
    """Return what stands between back quotes, and the blocks that are indented."""
    blocks = [block for block in text.split("\n\n") if block.startswith(" ")]
    rest = "\n\n".join(block for block in text.split("\n\n") if not block.startswith(" "))
    return re.findall(r"`([^`]+)`", rest) + blocks


def signs(text: str) -> set[str]:
    """Return the signs of a formula, each without its indices, and every index."""
    names = re.findall(r"[^\W\d]\w*", text)
    found = set()
    for name in names:
        base, _, indices = name.partition("_")
        found |= {base, *indices} if len(indices) <= 2 else {name}
    return found


def shown(exercise: Exercise) -> list[str]:
    """Return the texts in which signs are used."""
    return [exercise.statement, *(x.what for x in (*exercise.takes, *exercise.gives))]


@each
def test_every_sign_of_a_statement_is_explained(name: str) -> None:
    exercise = find(name)
    known = {exercise.function} | {x.name for x in (*exercise.takes, *exercise.gives)}
    in_file = set(re.findall(r"[^\W\d]\w*", exercise.starter.partition("import")[2]))
    explained = {sign for key in exercise.symbols for sign in signs(key)}
    used = {sign for text in shown(exercise) for f in formulas(text) for sign in signs(f)}
    assert used - WORDS - known - explained - in_file == set()
    assert set(exercise.symbols) & known == set(), "explained twice"


@each
def test_a_sign_that_is_explained_is_used(name: str) -> None:
    exercise = find(name)
    texts = [*shown(exercise), *exercise.hints]
    used = {sign for text in texts for f in formulas(text) for sign in signs(f)}
    assert {sign for key in exercise.symbols for sign in signs(key)} <= used


@each
def test_axes_and_rules_are_those_of_the_specification(name: str) -> None:
    exercise = find(name)
    for x in (*exercise.takes, *exercise.gives):
        assert set(x.axes) <= set(AXES)
    for rule in exercise.rules:
        assert rule in pages.rules(rule.partition("-R")[0]), rule


@each
def test_a_step_is_one_of_the_trace(name: str) -> None:
    assert set(find(name).steps) <= {kind.kind for kind in KINDS}


@each
def test_a_page_fits_a_terminal(name: str) -> None:
    assert max(map(len, page.statement(find(name)))) < 80
    for text in (find(name).starter, find(name).solution):
        assert max(map(len, text.splitlines())) <= 100


def shown_commands() -> set[str]:
    """Return the commands in the texts of the exercises and in what the package prints."""
    folder = Path(matrix.README).parent
    files = [*folder.glob("*.py"), *folder.glob("*.md"), *folder.glob("tasks/*")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    found = {
        c for text in texts for c in re.findall(r"mindref study ?((?: ?--?[\w-]+| NAME)*)", text)
    }
    return {" ".join(command.split()) for command in found}


def test_every_command_that_is_shown_runs(desk: Desk, study: Study) -> None:
    commands = shown_commands()
    assert "--exercise NAME" in commands
    for command in commands - {""}:
        words = command.replace("NAME", "squash").split()
        if words == ["--exercise"]:  # followed by a name that is filled in
            words = ["--exercise", "squash"]
        study("--exercise", "squash")
        if "--exercise" in words and words.index("--exercise") == len(words) - 1:
            words.append("squash")
        assert study(*words).exit_code in (0, 1), command


@pytest.mark.slow
def test_the_documentation_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(matrix.README.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(matrix, "README", copy)
    matrix.write()
    assert matrix.documented() == matrix.text()


@each
def test_an_exercise_can_be_read_in_a_terminal_without_the_package(name: str) -> None:
    """A starter imports NumPy alone: nothing of the package may do the learner's work."""
    imports = re.findall(r"^(?:import|from) (\w+)", find(name).starter, re.M)
    assert set(imports) <= {"numpy", "math"} or find(name).needs or find(name).planted
