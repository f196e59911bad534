"""Fifty-two wrong answers: all fail, most are named, and no name is wrong."""

import tomllib
from pathlib import Path

import pytest

from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.report import format_report
from tests.study.exercises.conftest import grade_file

FOLDER = Path(__file__).parent
FILES = ("wrong_answers.toml", "second_reader.toml")
ANSWERS = [
    row
    for file in FILES
    for row in tomllib.loads((FOLDER / file).read_text(encoding="utf-8"))["answer"]
]
COUNTS = {"review": 15, "new": 15, "second reader": 22}
NAMED = {"review": 14, "new": 14, "second reader": 22}
"""The numbers of wrong answers by source, and of those that must be named."""


def make_report(row):
    """Return the report of a wrong answer."""
    exercise = find_exercise(row["exercise"])
    code = exercise.solution
    for old, new in row["edits"]:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    return grade_file(exercise, code)


def join_lines(report):
    return " ".join(" ".join(format_report(report)).split())


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: f"{row['exercise']}: {row['mistake']}")
def test_a_wrong_answer_fails_and_has_no_other_name_than_its_own(row):
    report = make_report(row)
    assert not report.passed
    assert (report.diagnosis.name if report.diagnosis else "") == row["name"]
    lines = list(format_report(report))
    assert max(len(line) for line in lines[1 + len(report.grades) :]) < 80  # below the table
    text = join_lines(report)
    assert row["says"] in text
    assert row.get("iteration", "") in text


def test_enough_wrong_answers_of_each_source_are_named():
    sources = [row["from"] for row in ANSWERS]
    named = [row["from"] for row in ANSWERS if row["name"]]
    assert {source: sources.count(source) for source in sources} == COUNTS
    assert {source: named.count(source) for source in named} == NAMED
