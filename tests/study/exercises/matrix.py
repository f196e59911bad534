"""Which case kills which mistake: python -m tests.study.exercises.matrix --write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mindref.study.exercises as package
from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.expected import compute_expected_cases
from mindref.study.exercises.report import ExerciseReport
from tests.study.exercises.conftest import grade_file

README = Path(package.__file__).parent / "README.md"
BEGIN, END = "<!-- kills: begin -->", "<!-- kills: end -->"

Kills = dict[str, dict[str, str]]
"""Mistake -> group of cases -> the first rule that fails; only groups in which a rule fails."""


@cache
def make_reports(name: str) -> dict[str, ExerciseReport]:
    exercise = find_exercise(name)
    return {mistake.name: grade_file(exercise, mistake.code) for mistake in exercise.mistakes}


def find_kills(name: str) -> Kills:
    """Return the failed rule of every mistake in every group of cases."""
    kills: Kills = {}
    for mistake, report in make_reports(name).items():
        row: dict[str, str] = {}
        for expected, grade in zip(report.checked.expected_cases, report.grades, strict=True):
            if grade.failed:
                row.setdefault(expected.group, grade.failed)
        kills[mistake] = row
    return kills


def find_diagnoses(name: str) -> dict[str, str]:
    """Return mistake -> diagnosed mistake; empty if none is diagnosed."""
    return {n: x.diagnosis.name if x.diagnosis else "" for n, x in make_reports(name).items()}


def format_rows(name: str) -> Iterator[str]:
    """Yield a row of the table for each group of cases of an exercise."""
    kills = find_kills(name)
    groups = {(x.group, x.purpose): None for x in compute_expected_cases(name)}
    for group, purpose in groups:
        row = [format_kill(x, fails, group) for x, fails in kills.items() if group in fails]
        number = find_exercise(name).number
        yield f"| {number}. {name} | {group} | {purpose} | {', '.join(row)} |"


def format_kill(mistake: str, fails: dict[str, str], group: str) -> str:
    """Return a mistake with the rule that fails; bold if only this group kills it."""
    name = f"**{mistake}**" if len(fails) == 1 else mistake
    return name if fails[group] == "values" else f"{name} ({fails[group]})"


def make_text() -> str:
    pairs = [(name, pair) for name in NAMES for pair in find_diagnoses(name).items()]
    wrong = [f"{name}: {x} as {other or 'none'}" for name, (x, other) in pairs if x != other]
    right = len(pairs) - len(wrong)
    lines = [
        f"{len(pairs)} known mistakes in {len(NAMES)} exercises; {right} have a right diagnosis.",
        *(f"Wrong diagnosis: {text}." for text in wrong),
        "",
        "| exercise | group of cases | purpose | known mistakes that it kills |",
        "|---|---|---|---|",
        *(row for name in NAMES for row in format_rows(name)),
    ]
    return "\n".join(lines)


def read_text() -> str:
    return README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()


def write_text() -> None:
    head, _, after = README.read_text(encoding="utf-8").partition(BEGIN)
    tail = after.split(END)[1]
    README.write_text(f"{head}{BEGIN}\n{make_text()}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write_text()
    else:
        print(make_text())
