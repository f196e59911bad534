"""The commands for a learner's files, hints and solutions."""

import re
import subprocess
import sys

import pytest

from mindref.study.exercises import NAMES, commands
from mindref.study.exercises.exercise import find_exercise
from tests.study.exercises.conftest import write_answer


@pytest.mark.parametrize("name", NAMES)
def test_starting_prints_the_statement_and_creates_the_file(workspace, study, name):
    result = study("--exercise", name)
    assert result.exit_code == 0
    assert f"Exercise {find_exercise(name).number} of 24: {name}" in result.output
    assert find_exercise(name).function in result.output
    assert max(map(len, result.output.splitlines())) < 80
    assert workspace.file_path(name).read_text(encoding="utf-8") == find_exercise(name).starter


def test_the_file_exists_if_the_pipe_of_the_statement_is_closed(workspace):
    def echo(text):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        commands.start_exercise("squash", workspace, echo)
    assert workspace.file_path("squash").exists()


def test_an_existing_file_is_never_overwritten(workspace, study):
    study("--exercise", "squash")
    write_answer(workspace, "squash", "mine")
    for words in ([], ["--check"], ["--hint"], ["--solution", "--give-up"]):
        study("--exercise", "squash", *words)
        assert workspace.file_path("squash").read_text() == "mine"
    declined = study("--exercise", "squash", "--reset", answer="n\n")
    assert declined.exit_code == 0
    assert workspace.file_path("squash").read_text() == "mine"


def test_reset_confirms_and_keeps_every_old_file(workspace, study):
    for text, backup in (("one", "squash.py.old"), ("two", "squash.py.old2")):
        study("--exercise", "squash")
        write_answer(workspace, "squash", text)
        assert study("--exercise", "squash", "--reset", answer="y\n").exit_code == 0
        assert workspace.file_path("squash").read_text() == find_exercise("squash").starter
        assert (workspace.folder / backup).read_text() == text
    assert study("--exercise", "squash", "--reset", "--yes").exit_code == 0


def test_a_wrong_answer_exits_with_1_and_a_right_one_with_0(workspace, study):
    study("--exercise", "squash")
    wrong = study("--exercise", "squash", "--check")
    assert wrong.exit_code == 1
    assert "exercises/squash.py is still the starter" in wrong.output
    write_answer(workspace, "squash")
    right = study("--exercise", "squash", "--check")
    assert right.exit_code == 0
    assert "6 of 6 cases pass." in right.output
    assert "Next: mindref study --exercise zero-init" in right.output


def test_a_known_mistake_is_diagnosed(workspace, study):
    mistake = next(x for x in find_exercise("squash-vjp").mistakes if x.name == "n-for-n-squared")
    study("--exercise", "squash-vjp")
    write_answer(workspace, "squash-vjp", mistake.code)
    result = study("--exercise", "squash-vjp", "--check")
    assert result.exit_code == 1
    diagnosis = "Your answer equals a known mistake: (1 - n) where the derivative has (1 - n^2)."
    assert diagnosis in " ".join(result.output.split())
    assert "finite difference" in result.output
    assert "<-- d_sums[0, " in result.output


def test_hints_repeat_after_the_last_with_a_note(study):
    outputs = [study("--exercise", "squash", "--hint").output for _ in range(7)]
    note = "You have seen all 3 hints. Here is the first again.\n"
    assert [text.startswith(note) for text in outputs] == [False] * 3 + [True, False, False, True]
    heads = [text.removeprefix(note).partition(":")[0] for text in outputs]
    assert heads == [f"Hint {i} of 3" for i in (1, 2, 3, 1, 2, 3, 1)]


def test_the_solution_is_printed_after_passing_or_giving_up(workspace, study):
    refused = study("--exercise", "squash", "--solution")
    assert refused.exit_code == 2
    assert refused.output == "Not passed yet. `--hint` helps; `--solution --give-up` shows it."
    printed = study("--exercise", "squash", "--solution", "--give-up")
    assert printed.exit_code == 0
    assert printed.output == find_exercise("squash").solution
    assert not workspace.get_progress("squash").passed
    write_answer(workspace, "mask")
    study("--exercise", "mask", "--check")
    assert study("--exercise", "mask", "--solution").output == find_exercise("mask").solution


def test_the_list_shows_passed_exercises_and_the_next_one(workspace, study):
    write_answer(workspace, "routing-axis")
    study("--exercise", "routing-axis", "--check")
    result = study("--exercises")
    assert result.exit_code == 0
    assert re.findall(r"^ [ \d]\d  (\S+)", result.output, re.M) == list(NAMES)
    assert "routing-axis         passed" in result.output
    assert max(map(len, result.output.splitlines())) < 80
    assert "1 of 24 passed. Begin one: mindref study --exercise squash" in result.output


def test_passing_the_last_exercise_prints_a_closing_message(workspace, study):
    for name in NAMES[:-1]:
        workspace.record(name, passed=True)
    write_answer(workspace, NAMES[-1])
    result = study("--exercise", NAMES[-1], "--check")
    assert "All 24 exercises are passed" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--exercise", "squish", "--check"], "try squash"),
        (["--exercise", "squash", "--check"], "create it: mindref study --exercise squash"),
        (["--check"], "--exercise NAME with it"),
        (["--exercise", "squash", "--check", "--hint"], "one of these options"),
        (["--exercise", "squash", "--give-up"], "--solution with it"),
        (["--exercise", "squash", "--yes"], "--reset with it"),
    ],
)
def test_a_usage_error_exits_with_2_and_says_what_to_do(study, words, message):
    result = study(*words)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--exercise", "squash"], 0, "Your file: exercises/squash.py"),
        (["--exercise", "squash", "--check"], 1, "is still the starter"),
        (["--exercise", "squish"], 2, "try squash"),
        (["--exercise", "squash", "--hurry"], 2, "No such option"),
    ],
)
@pytest.mark.slow(every=2)
def test_the_command_exits_with_the_code(workspace, words, code, message):
    workspace.create_file(find_exercise("squash"))
    command = [sys.executable, "-m", "mindref", "study", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_damaged_files_are_errors_with_advice(workspace, study):
    study("--exercise", "squash")
    workspace.file_path("squash").write_bytes(b"\xff\xfe")
    assert "a text in UTF-8" in study("--exercise", "squash", "--check").output
    (workspace.folder / "progress.json").write_text("{", encoding="utf-8")
    result = study("--exercise", "squash", "--hint")
    assert result.exit_code == 2
    assert "remove it; your exercise files stay" in result.output
