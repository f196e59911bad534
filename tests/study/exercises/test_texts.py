"""Hints without code of the answer, explained symbols, commands that run."""

import re
from pathlib import Path

import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import AXES, find_exercise
from mindref.study.steps import KINDS
from tests import spec_pages
from tests.study.exercises import matrix

each = pytest.mark.parametrize("name", NAMES)

WORDS = {
    "exp", "log", "sum", "sqrt", "sign", "max", "min", "mean", "if", "and", "or", "otherwise",
    "in", "of", "by", "over", "the", "not", "is", "where", "every", "iteration", "votes", "zero",
    "mask", "false", "true", "squash", "grows", "needed", "after", "last", "active", "interests",
    "NaN", "D", "K", "L", "B", "so", "far",
}  # fmt: skip
"""Words in formulas that need no explanation: functions, plain words, letters of axes."""


def answer_lines(exercise):
    """Return the lines of the solution that the starter lacks, without blanks."""
    missing = set(exercise.solution.splitlines()) - set(exercise.starter.splitlines())
    return {line.replace(" ", "") for line in missing if len(line.replace(" ", "")) > 3}


@each
def test_three_hints_contain_no_line_of_the_answer(name):
    exercise = find_exercise(name)
    assert len(exercise.hints) == 3
    assert answer_lines(exercise)
    for hint in exercise.hints:
        for line in answer_lines(exercise):
            right = line.partition("return")[2] or line.partition("=")[2] or line
            assert line not in hint.replace(" ", "")
            assert len(right) < 12 or right not in hint.replace(" ", ""), right


def find_formulas(text):
    """Return the texts in back quotes, and the indented blocks."""
    blocks = [block for block in text.split("\n\n") if block.startswith(" ")]
    prose = "\n\n".join(block for block in text.split("\n\n") if not block.startswith(" "))
    return re.findall(r"`([^`]+)`", prose) + blocks


def find_symbols(text):
    """Return the symbols of a formula without their indices, and every index."""
    symbols = set()
    for name in re.findall(r"[^\W\d]\w*", text):
        base, _, indices = name.partition("_")
        symbols |= {base, *indices} if len(indices) <= 2 else {name}
    return symbols


def list_texts(exercise):
    return [exercise.statement, *(x.meaning for x in exercise.arguments + exercise.returns)]


@each
def test_every_symbol_of_a_statement_is_explained(name):
    exercise = find_exercise(name)
    specs = exercise.arguments + exercise.returns
    names = {exercise.function} | {x.name for x in specs}
    in_file = set(re.findall(r"[^\W\d]\w*", exercise.starter.partition("import")[2]))
    explained = {symbol for key in exercise.symbols for symbol in find_symbols(key)}
    formulas = [f for text in list_texts(exercise) for f in find_formulas(text)]
    used = {symbol for f in formulas for symbol in find_symbols(f)}
    assert used - WORDS - names - explained - in_file == set()
    assert set(exercise.symbols) & names == set(), "explained twice"


@each
def test_every_explained_symbol_is_used(name):
    exercise = find_exercise(name)
    texts = [*list_texts(exercise), *exercise.hints]
    used = {symbol for text in texts for f in find_formulas(text) for symbol in find_symbols(f)}
    assert {symbol for key in exercise.symbols for symbol in find_symbols(key)} <= used


@each
def test_axes_rules_and_steps_exist(name):
    exercise = find_exercise(name)
    assert set(exercise.steps) <= {kind.kind for kind in KINDS}
    for x in exercise.arguments + exercise.returns:
        assert set(x.axes) <= set(AXES)
    for rule in exercise.rules:
        assert rule in spec_pages.rules(rule.partition("-R")[0]), rule


def find_commands():
    """Return the commands in the texts of the exercises and in the messages of the package."""
    folder = Path(matrix.README).parent
    files = [*folder.glob("*.py"), *folder.glob("*.md"), *folder.glob("tasks/*")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    commands = re.findall(r"mindref study ?((?: ?--?[\w-]+| NAME)*)", "\n".join(texts))
    return {" ".join(command.split()) for command in commands}


def test_every_printed_command_runs(workspace, study):
    commands = find_commands()
    assert "--exercise NAME" in commands
    for command in commands - {""}:
        words = command.replace("NAME", "squash").split()
        study("--exercise", "squash")
        if words[-1] == "--exercise":  # the message appends a name
            words.append("squash")
        assert study(*words).exit_code in (0, 1), command


@pytest.mark.slow
def test_the_readme_can_be_written(tmp_path, monkeypatch):
    copy = tmp_path / "README.md"
    copy.write_text(matrix.README.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(matrix, "README", copy)
    matrix.write_text()
    assert matrix.read_text() == matrix.make_text()


@each
def test_a_file_has_short_lines_and_a_starter_imports_numpy_only(name):
    """The package must not do the learner's work."""
    exercise = find_exercise(name)
    assert max(map(len, (exercise.starter + exercise.solution).splitlines())) <= 100
    imports = set(re.findall(r"^(?:import|from) (\w+)", exercise.starter, re.M))
    assert imports <= {"numpy", "math"} or exercise.needs or exercise.starter_mistake
