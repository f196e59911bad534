"""Read the texts of an exercise: statement, hints, solution and known mistakes."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from mindref.conformance.mutants import anchors
from mindref.errors import ConfigError, say
from mindref.study.exercises import NAMES
from mindref.study.exercises.cases import ExerciseTask
from mindref.study.exercises.tasks import find_task
from mindref.study.suggest import nearest_names

TASKS = "mindref.study.exercises.tasks"
FORWARD = 4e-12
"""Largest relative error of a value: another order of summation causes up to 1e-12."""

GRADIENT = 1e-6
"""Largest relative error of a gradient: the finite differences agree to 1e-9."""

AXES = {
    "B": "user",
    "L": "behaviour",
    "K": "interest",
    "D": "component",
    "E": "component",
    "S": "negative",
    "M": "vector",
    "F": "position",
    "V": "row",
    "R": "row",
    "T": "step",
    "P": "use",
}
"""The name of one position along an axis; specs/notation.md."""


class ArraySpec(NamedTuple):
    """An argument of the learner's function, or a part of its answer."""

    name: str
    axes: str  # letters; empty for a number
    meaning: str
    gradient_of: str = ""  # for a gradient: the argument that it belongs to


class KnownMistake(NamedTuple):
    """A known wrong answer: the solution with an edit."""

    name: str
    diagnosis: str  # completes "Your answer equals a known mistake: ..."
    hint: str
    code: str  # the complete file
    seen: str = ""  # public code with this mistake


class Exercise(NamedTuple):
    """An exercise without its cases."""

    name: str
    title: str
    steps: tuple[str, ...]  # ids of the trace
    rules: tuple[str, ...]  # labels of the specification
    function: str
    arguments: tuple[ArraySpec, ...]
    returns: tuple[ArraySpec, ...]
    statement: str
    symbols: dict[str, str]
    groups: dict[str, str]  # the groups of its cases, and the mistakes that only this group finds
    starter: str
    solution: str
    hints: tuple[str, ...]
    mistakes: tuple[KnownMistake, ...]
    tolerance: float
    needs: tuple[str, ...]  # exercises whose functions are in the first argument
    starter_mistake: str  # for a bug to find: the mistake that the starter has
    cases_of: str  # the exercise with the cases: this one or another

    @property
    def number(self) -> int:
        """Return the position in the order of study, from 1."""
        return NAMES.index(self.name) + 1

    @property
    def task(self) -> ExerciseTask:
        """Return the cases."""
        return find_task(self.cases_of)


def module_stem(name: str) -> str:
    """Return the name of an exercise as the name of a module."""
    return name.replace("-", "_")


def find_exercise(name: str) -> Exercise:
    """Return an exercise. Raises ConfigError with the closest names for an unknown one."""
    if name not in NAMES:
        near = join_with_or(nearest_names(name, NAMES))
        raise ConfigError(say("--exercise", "the name of an exercise", name, f"try {near}"))
    return read_exercise(name)


def join_with_or(names: list[str]) -> str:
    """Return names as in a sentence: a, b or c."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


@cache
def read_exercise(name: str) -> Exercise:
    """Return the exercise of a TOML file. Raises ValueError for an edit without its anchor."""
    path = resources.files(TASKS).joinpath(f"{module_stem(name)}.toml")
    row = tomllib.loads(path.read_text(encoding="utf-8"))
    solution = complete_file(name, row["headline"], row["solution"])
    mistakes = tuple(make_mistake(key, x, solution) for key, x in row["mistake"].items())
    starter_mistake = row.get("starter_mistake", "")
    if starter_mistake:
        starter = next(x.code for x in mistakes if x.name == starter_mistake)
    else:
        starter = edit_solution(solution, {"edits": row["starter"]}, "starter")
    returns = tuple(ArraySpec(**x) for x in row["returns"])
    by_default = GRADIENT if any(part.gradient_of for part in returns) else FORWARD
    return Exercise(
        name=name,
        title=row["title"],
        steps=tuple(row["steps"]),
        rules=tuple(row["rules"]),
        function=row["function"],
        arguments=tuple(ArraySpec(**x) for x in row["arguments"]),
        returns=returns,
        statement=row["statement"].strip(),
        symbols=row.get("symbols", {}),
        groups=row.get("groups", {}),
        starter=starter,
        solution=solution,
        hints=tuple(hint.strip() for hint in row["hints"]),
        mistakes=mistakes,
        tolerance=row.get("tolerance", by_default),
        needs=tuple(row.get("needs", ())),
        starter_mistake=starter_mistake,
        cases_of=row.get("cases_of", name),
    )


def complete_file(name: str, headline: str, code: str) -> str:
    """Return code with the docstring of its file; code without imports also gets NumPy."""
    docstring = f'"""Exercise {NAMES.index(name) + 1}, {name}: {headline}."""'
    imports = "" if "import numpy" in code else "import numpy as np\n\n\n"
    return f"{docstring}\n\n{imports}{code}"


def make_mistake(name: str, row: dict[str, Any], solution: str) -> KnownMistake:
    """Return a mistake from its table."""
    code = edit_solution(solution, row, name)
    return KnownMistake(name, row["diagnosis"], row["hint"], code, row.get("seen", ""))


def edit_solution(solution: str, row: dict[str, Any], name: str) -> str:
    """Return the solution with the edits of a table, each at its anchor."""
    return anchors.apply_edits(solution, anchors.read_edits(row, name))
