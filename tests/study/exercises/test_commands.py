"""E6, E9: what the command does with a learner's files, hints and solutions."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mindref.study.exercises import NAMES
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import find
from tests.study.exercises.conftest import Study
from tests.study.exercises.learner import WRITTEN


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def solve(desk: Desk, name: str) -> None:
    desk.folder.mkdir(exist_ok=True)
    desk.file(name).write_text(find(name).solution, encoding="utf-8")


@pytest.mark.parametrize("name", WRITTEN)
def test_beginning_prints_the_statement_and_makes_the_file(
    desk: Desk, study: Study, name: str
) -> None:
    result = study("--exercise", name)
    assert result.exit_code == 0
    assert f"Exercise {find(name).number} of 24: {name}" in result.output
    assert find(name).function in result.output
    assert max(map(len, result.output.splitlines())) < 80
    assert desk.file(name).read_text(encoding="utf-8") == find(name).starter


def test_a_file_is_never_written_again(desk: Desk, study: Study) -> None:
    study("--exercise", "squash")
    desk.file("squash").write_text("mine", encoding="utf-8")
    before = digest(desk.file("squash"))
    for words in ([], ["--check"], ["--hint"], ["--solution", "--give-up"]):
        study("--exercise", "squash", *words)
        assert digest(desk.file("squash")) == before
    refused = study("--exercise", "squash", "--reset", answer="n\n")
    assert refused.exit_code == 0
    assert digest(desk.file("squash")) == before


def test_reset_asks_and_keeps_the_old_file_each_time(desk: Desk, study: Study) -> None:
    for text, kept in (("one", "squash.py.old"), ("two", "squash.py.old2")):
        study("--exercise", "squash")
        desk.file("squash").write_text(text, encoding="utf-8")
        assert study("--exercise", "squash", "--reset", answer="y\n").exit_code == 0
        assert desk.file("squash").read_text(encoding="utf-8") == find("squash").starter
        assert (desk.folder / kept).read_text(encoding="utf-8") == text
    assert study("--exercise", "squash", "--reset", "--yes").exit_code == 0


def test_a_wrong_answer_is_1_and_a_right_one_0(desk: Desk, study: Study) -> None:
    study("--exercise", "squash")
    wrong = study("--exercise", "squash", "--check")
    assert wrong.exit_code == 1
    assert "exercises/squash.py is still as it was made" in wrong.output
    solve(desk, "squash")
    right = study("--exercise", "squash", "--check")
    assert right.exit_code == 0
    assert "6 of 6 cases pass." in right.output
    assert "Next: mindref study --exercise zero-init" in right.output


def test_a_known_slip_is_named(desk: Desk, study: Study) -> None:
    slip = next(x for x in find("squash-vjp").mistakes if x.name == "n-for-n-squared")
    study("--exercise", "squash-vjp")
    desk.file("squash-vjp").write_text(slip.code, encoding="utf-8")
    result = study("--exercise", "squash-vjp", "--check")
    assert result.exit_code == 1
    said = "Your answer equals a known slip: (1 - n) where the derivative has (1 - n^2)."
    assert said in " ".join(result.output.split())
    assert "finite difference" in result.output
    assert "<-- d_sums[0, " in result.output


def test_hints_come_in_turn(study: Study) -> None:
    first = [study("--exercise", "squash", "--hint").output.split(":")[0] for _ in range(4)]
    assert first == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 1 of 3"]


def test_the_solution_is_for_who_has_passed_or_gives_up(desk: Desk, study: Study) -> None:
    refused = study("--exercise", "squash", "--solution")
    assert refused.exit_code == 2
    assert "--give-up" in refused.output
    given = study("--exercise", "squash", "--solution", "--give-up")
    assert given.exit_code == 0
    assert given.output == find("squash").solution
    solve(desk, "mask")
    study("--exercise", "mask", "--check")
    assert study("--exercise", "mask", "--solution").output == find("mask").solution


def test_giving_up_is_not_passing(desk: Desk, study: Study) -> None:
    study("--exercise", "squash", "--solution", "--give-up")
    assert not desk.standing("squash").passed


@pytest.mark.skipif(len(WRITTEN) < len(NAMES), reason="not every exercise is written")
def test_the_list_shows_what_is_passed_and_what_is_next(desk: Desk, study: Study) -> None:
    solve(desk, "routing-axis")
    study("--exercise", "routing-axis", "--check")
    result = study("--exercises")
    assert result.exit_code == 0
    assert re.findall(r"^ [ \d]\d  (\S+)", result.output, re.M) == list(NAMES)
    assert "routing-axis         passed" in result.output
    assert max(map(len, result.output.splitlines())) < 80
    assert "1 of 24 passed. Begin one: mindref study --exercise squash" in result.output


@pytest.mark.skipif(len(WRITTEN) < len(NAMES), reason="not every exercise is written")
def test_at_the_end_there_is_an_end(desk: Desk, study: Study) -> None:
    for name in NAMES[:-1]:
        desk.note(name, passed=True)
    solve(desk, NAMES[-1])
    result = study("--exercise", NAMES[-1], "--check")
    assert "All 24 exercises are passed" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--exercise", "squish", "--check"], "try squash"),
        (["--exercise", "squash", "--check"], "make it: mindref study --exercise squash"),
        (["--check"], "--exercise NAME with it"),
        (["--exercise", "squash", "--check", "--hint"], "one of them"),
        (["--exercise", "squash", "--give-up"], "--solution with it"),
        (["--exercise", "squash", "--yes"], "--reset with it"),
    ],
)
def test_a_wrong_use_is_2_and_says_what_to_do(study: Study, words: list[str], message: str) -> None:
    result = study(*words)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("module", [["mindref", "study"], ["mindref.study.exercises"]])
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--exercise", "squash"], 0, "Your file: exercises/squash.py"),
        (["--exercise", "squash", "--check"], 1, "is still as it was made"),
        (["--exercise", "squish"], 2, "try squash"),
        (["--exercise", "squash", "--hurry"], 2, "No such option"),
    ],
)
@pytest.mark.slow(every=4)
def test_both_ways_to_call_it_end_with_the_code(
    desk: Desk, module: list[str], words: list[str], code: int, message: str
) -> None:
    desk.create(find("squash"))
    command = [sys.executable, "-m", *module, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_record_of_progress_is_no_loss(desk: Desk, study: Study) -> None:
    study("--exercise", "squash", "--hint")
    (desk.folder / "progress.json").write_text("{", encoding="utf-8")
    result = study("--exercise", "squash", "--hint")
    assert result.exit_code == 2
    assert "remove it; your exercises are not lost" in result.output


def test_a_file_that_is_no_text_is_said_to_be_none(desk: Desk, study: Study) -> None:
    study("--exercise", "squash")
    desk.file("squash").write_bytes(b"\xff\xfe")
    assert "a text in UTF-8" in study("--exercise", "squash", "--check").output
