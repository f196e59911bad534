"""Read the page of an exercise: what the learner is told, the solution, the known mistakes."""

from __future__ import annotations

import importlib
import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, cast

from mindref.errors import ConfigError, say
from mindref.study.close import nearest
from mindref.study.exercises import NAMES
from mindref.study.exercises.cases import Task

TASKS = "mindref.study.exercises.tasks"
FORWARD = 4e-12
"""Largest relative error of a value: another order of summing is off by up to 1e-12."""

GRADIENT = 1e-6
"""Largest relative error of a gradient: centred differences agree to 1e-9."""

AXES = {
    "B": "user",
    "L": "behaviour",
    "K": "interest",
    "D": "component",
    "E": "component",
    "S": "negative",
    "M": "row",
    "F": "place",
    "V": "row",
    "R": "row",
    "T": "step",
    "C": "case",
    "P": "use",
}
"""What a position along an axis is called; specs/notation.md."""


class Named(NamedTuple):
    """An argument of the learner's function, or a part of its answer."""

    name: str
    axes: str  # letters; empty for a number
    what: str
    of: str = ""  # a part that is a gradient: the argument it belongs to


class Mistake(NamedTuple):
    """A known wrong answer: the solution with something changed."""

    name: str
    what: str  # completes "Your answer equals a known slip: ..."
    hint: str
    code: str  # the whole file
    seen: str = ""  # who does it in public code


class Exercise(NamedTuple):
    """Everything about an exercise but its cases."""

    name: str
    title: str
    steps: tuple[str, ...]  # ids of the trace
    rules: tuple[str, ...]  # labels of the specification
    function: str
    takes: tuple[Named, ...]
    gives: tuple[Named, ...]
    statement: str
    symbols: dict[str, str]
    starter: str
    solution: str
    hints: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    tolerance: float
    needs: tuple[str, ...]  # exercises whose functions are handed over as the first argument
    planted: str  # a bug to find: the mistake that the starter is

    @property
    def number(self) -> int:
        """Return the place in the order of study, from 1."""
        return NAMES.index(self.name) + 1

    @property
    def task(self) -> Task:
        """Return the module with the cases."""
        return cast(Task, importlib.import_module(f"{TASKS}.{stem(self.name)}"))


def stem(name: str) -> str:
    """Return the name of an exercise as that of a module."""
    return name.replace("-", "_")


def find(name: str) -> Exercise:
    """Return an exercise. Raises ConfigError with the closest names for one that is not there."""
    if name not in NAMES:
        near = listed(nearest(name, NAMES))
        raise ConfigError(say("--exercise", "the name of an exercise", name, f"try {near}"))
    return read(name)


def listed(names: list[str]) -> str:
    """Return names as in a sentence: a, b or c."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


@cache
def read(name: str) -> Exercise:
    """Return the exercise of a page. Raises ValueError for an edit that does not fit its text."""
    page = resources.files(TASKS).joinpath(f"{stem(name)}.toml").read_text(encoding="utf-8")
    row = tomllib.loads(page)
    solution, planted = row["solution"], row.get("planted", "")
    mistakes = tuple(mistake(x, solution) for x in row["mistake"])
    gives = tuple(Named(**x) for x in row["gives"])
    by_default = GRADIENT if any(part.of for part in gives) else FORWARD
    return Exercise(
        name=name,
        title=row["title"],
        steps=tuple(row["steps"]),
        rules=tuple(row["rules"]),
        function=row["function"],
        takes=tuple(Named(**x) for x in row["takes"]),
        gives=gives,
        statement=row["statement"].strip(),
        symbols=row.get("symbols", {}),
        starter=row["starter"] if not planted else in_file(mistakes, planted),
        solution=solution,
        hints=tuple(hint.strip() for hint in row["hints"]),
        mistakes=mistakes,
        tolerance=row.get("tolerance", by_default),
        needs=tuple(row.get("needs", ())),
        planted=planted,
    )


def in_file(mistakes: tuple[Mistake, ...], name: str) -> str:
    """Return the file with a mistake in it."""
    return next(x.code for x in mistakes if x.name == name)


def mistake(row: dict[str, Any], solution: str) -> Mistake:
    """Return a mistake from its table: `code`, one edit `old` and `new`, or several `edits`."""
    code = row.get("code", solution)
    for edit in row.get("edits", [row] if "old" in row else []):
        if code.count(edit["old"]) != 1:
            times = code.count(edit["old"])
            raise ValueError(f"{row['name']}: {edit['old']!r} stands {times} times, not once")
        code = code.replace(edit["old"], edit["new"])
    return Mistake(row["name"], row["what"], row["hint"], code, row.get("seen", ""))
