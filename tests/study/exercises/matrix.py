"""Which case kills which mistake: python -m tests.study.exercises.matrix --write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mindref.study.exercises as package
from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import Exercise, find_exercise
from mindref.study.exercises.expected import compute_expected_cases
from mindref.study.exercises.report import ExerciseReport
from tests.study.exercises.learner import grade_file

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
        for expected, grade in zip(report.expected_cases, report.grades, strict=True):
            if grade.failed:
                row.setdefault(expected.group.name, grade.failed)
        kills[mistake] = row
    return kills


def find_diagnoses(name: str) -> dict[str, str]:
    """Return mistake -> diagnosed mistake; empty if none is diagnosed."""
    return {n: x.mistake.name if x.mistake else "" for n, x in make_reports(name).items()}


def find_groups(exercise: Exercise) -> dict[str, str]:
    return {x.group.name: x.group.reason for x in compute_expected_cases(exercise.name)}


def format_exercise(name: str) -> Iterator[str]:
    """Yield the section of one exercise."""
    exercise, kills = find_exercise(name), find_kills(name)
    yield f"### {exercise.number}. {name}: {exercise.title}"
    yield ""
    yield "| group of cases | purpose | known mistakes that it kills |"
    yield "|---|---|---|"
    for group, reason in find_groups(exercise).items():
        row = [format_kill(x, fails, group) for x, fails in kills.items() if group in fails]
        yield f"| {group} | {reason} | {', '.join(row)} |"
    wrong = [f"{x} as {other or 'none'}" for x, other in find_diagnoses(name).items() if x != other]
    if wrong:
        yield ""
        yield f"Wrong diagnoses: {', '.join(wrong)}."


def format_kill(mistake: str, fails: dict[str, str], group: str) -> str:
    """Return a mistake with the rule that fails; bold if only this group kills it."""
    name = f"**{mistake}**" if len(fails) == 1 else mistake
    return name if fails[group] == "values" else f"{name} ({fails[group]})"


def make_text() -> str:
    count = sum(len(find_exercise(name).mistakes) for name in NAMES)
    right = sum(a == b for name in NAMES for a, b in find_diagnoses(name).items())
    parts = [
        f"{count} known mistakes in {len(NAMES)} exercises; {right} have a right diagnosis.",
        *("\n".join(format_exercise(name)) for name in NAMES),
    ]
    return "\n\n".join(parts)


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
