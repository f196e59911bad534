"""Which case kills which mistake: python -m tests.study.exercises.matrix --write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mindref.study.exercises as package
from mindref.study.exercises.exercise import Exercise, find
from mindref.study.exercises.expected import expected
from mindref.study.exercises.report import Report
from tests.study.exercises.learner import WRITTEN, judged

README = Path(package.__file__).parent / "README.md"
BEGIN, END = "<!-- kills: begin -->", "<!-- kills: end -->"

Kills = dict[str, dict[str, str]]
"""Mistake -> group of cases -> the first rule that it breaks there; only where it breaks one."""


@cache
def reports(name: str) -> dict[str, Report]:
    """Return what the checker says of every known mistake of an exercise."""
    exercise = find(name)
    return {mistake.name: judged(exercise, mistake.code) for mistake in exercise.mistakes}


def kills(name: str) -> Kills:
    """Return what every mistake of an exercise breaks, and where."""
    found: Kills = {}
    for mistake, seen in reports(name).items():
        row: dict[str, str] = {}
        for want, verdict in zip(seen.wanted, seen.verdicts, strict=True):
            if verdict.failed:
                row.setdefault(want.group.name, verdict.failed)
        found[mistake] = row
    return found


def named(name: str) -> dict[str, str]:
    """Return mistake -> what the diagnosis calls it; empty where it names none."""
    return {n: seen.mistake.name if seen.mistake else "" for n, seen in reports(name).items()}


def groups(exercise: Exercise) -> dict[str, str]:
    """Return the groups of cases and their reasons."""
    return {want.group.name: want.group.reason for want in expected(exercise.name)}


def essential(name: str) -> dict[str, list[str]]:
    """Return group -> the mistakes that no other group kills."""
    found: dict[str, list[str]] = {group: [] for group in groups(find(name))}
    for mistake, row in kills(name).items():
        if len(row) == 1:
            found[next(iter(row))].append(mistake)
    return found


def table(name: str) -> Iterator[str]:
    """Yield the part of the documentation that is about one exercise."""
    exercise, only = find(name), essential(name)
    shown = groups(exercise)
    yield f"### {exercise.number}. {name}: {exercise.title}"
    yield ""
    yield f"| known mistake | {' | '.join(shown)} | named |"
    yield "|---|" + "---|" * len(shown) + "---|"
    for mistake, row in kills(name).items():
        cells = [row.get(group, "") for group in shown]
        mark = "yes" if named(name)[mistake] == mistake else named(name)[mistake] or "no"
        yield f"| {mistake} | {' | '.join(cells)} | {mark} |"
    yield ""
    for group, reason in shown.items():
        alone = f" Essential: it alone kills {', '.join(only[group])}." if only[group] else ""
        yield f"- **{group}**: {reason}.{alone}"


def text() -> str:
    """Return everything between the marks."""
    counts = [len(find(name).mistakes) for name in WRITTEN]
    right = sum(a == b for name in WRITTEN for a, b in named(name).items())
    parts = [
        f"{sum(counts)} known mistakes in {len(WRITTEN)} exercises; {right} are named correctly.",
        *("\n".join(table(name)) for name in WRITTEN),
    ]
    return "\n\n".join(parts)


def documented() -> str:
    """Return what the documentation says."""
    return README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()


def write() -> None:
    """Put the text between its marks."""
    whole = README.read_text(encoding="utf-8")
    head, rest = whole.split(BEGIN)
    tail = rest.split(END)[1]
    README.write_text(f"{head}{BEGIN}\n{text()}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    else:
        print(text())
