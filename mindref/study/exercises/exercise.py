"""Read the texts of an exercise, and print its statement."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from mindref.conformance.mutants import anchors
from mindref.errors import ConfigError, say
from mindref.study.exercises import NAMES
from mindref.study.exercises.cases import ExerciseTask
from mindref.study.exercises.tasks import find_task
from mindref.study.suggest import nearest_names

WIDTH = 79
"""Columns of the printed texts."""

TASKS_PACKAGE = "mindref.study.exercises.tasks"
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


ARGUMENTS = {
    "history": ("BLD", "behaviours"),
    "mask": ("BL", "true for a behaviour, false for padding"),
    "bilinear": ("DE", "the matrix `S`"),
    "init_logits": ("BLK", "initial logits"),
    "iterations": ("", "number of iterations"),
}
"""Arguments of several exercises: axes and meaning."""

SYMBOLS = {
    "<q, t>": "inner product",
    "<S e_i, u_k>": "inner product: the sum over the components of S e_i times u_k",
    "a_k": "power of the score, with the sign of the score",
    "b_ij": "logit of behaviour i for interest j",
    "b_ik": "logit of behaviour i for interest k",
    "d": "before a symbol: the gradient of the loss with respect to it",
    "e": "vector of the target item",
    "e_i": "vector of behaviour i",
    "E_s": "expected count of negative s",
    "E_t": "expected count of the target",
    "h_k": "attention weight of interest k",
    "i": "index of a behaviour",
    "j": "index of an interest, in a sum",
    "k": "index of an interest",
    "n_s": "vector of negative s",
    "p": "the power",
    "q": "a user vector",
    "r": "number of iterations",
    "S": "the matrix that maps a behaviour to its vote",
    "s": "index of a drawn negative",
    "S e_i": "vote of behaviour i, a vector",
    "s_k": "score of interest k",
    "t": "vector of the user's target item",
    "u_k": "capsule of interest k",
    "v_k": "interest k",
    "w_ik": "coupling weight of behaviour i for interest k",
    "y": "logit of the target",
    "z_k": "sum of interest k",
    "z_s": "logit of negative s",
}
"""Symbols of several exercises, with their meaning."""


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
    parameter: str = ""  # a number in the code that may have any value


class Exercise(NamedTuple):
    """An exercise without its cases."""

    name: str
    title: str
    steps: list[str]  # ids of the steps of which the exercise computes a part
    rules: list[str]  # labels of the specification
    function: str
    arguments: list[ArraySpec]
    returns: list[ArraySpec]
    statement: str
    starter: str
    solution: str
    hints: list[str]
    mistakes: list[KnownMistake]
    tolerance: float
    cases_of: str  # the exercise with the cases: this one or another
    symbols: Mapping[str, str] = {}
    groups: Mapping[str, str] = {}  # of its cases, and the mistakes that only this group finds
    needs: Sequence[str] = ()  # exercises whose functions are in the first argument
    starter_mistake: str = ""  # for a bug to find: the mistake that the starter has

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
    path = resources.files(TASKS_PACKAGE).joinpath(f"{module_stem(name)}.toml")
    row = tomllib.loads(path.read_text(encoding="utf-8"))
    solution = complete_file(name, row.pop("headline"), row["solution"])
    mistakes = [make_mistake(key, x, solution) for key, x in row.pop("mistake").items()]
    if "starter_mistake" in row:
        starter = next(x.code for x in mistakes if x.name == row["starter_mistake"])
    else:
        starter = edit_solution(solution, {"edits": row["starter"]}, "starter")
    for key in ("arguments", "returns"):
        row[key] = [make_array_spec(x) for x in row[key]]
    entries = [{x: SYMBOLS[x]} if isinstance(x, str) else x for x in row.get("symbols", [])]
    row["symbols"] = {symbol: meaning for x in entries for symbol, meaning in x.items()}
    gradient = any(part.gradient_of for part in row["returns"])
    defaults = {"tolerance": GRADIENT if gradient else FORWARD, "cases_of": name}
    texts = {"starter": starter, "solution": solution, "mistakes": mistakes}
    return Exercise(name=name, **{**defaults, **row, **texts})


def make_array_spec(entry: str | dict[str, str]) -> ArraySpec:
    """Return an argument or result from its table, or a shared argument from its name."""
    return ArraySpec(entry, *ARGUMENTS[entry]) if isinstance(entry, str) else ArraySpec(**entry)


def complete_file(name: str, headline: str, code: str) -> str:
    """Return code with the docstring of its file; code without imports also gets NumPy."""
    docstring = f'"""Exercise {NAMES.index(name) + 1}, {name}: {headline}."""'
    imports = "" if "import numpy" in code else "import numpy as np\n\n\n"
    return f"{docstring}\n\n{imports}{code}"


def make_mistake(name: str, row: dict[str, Any], solution: str) -> KnownMistake:
    """Return a mistake from its table."""
    code = edit_solution(solution, row, name)
    parameter = row.get("parameter", "")
    if code.count(parameter) != 1 and parameter:
        raise ValueError(f"{name}: the parameter {parameter} must occur once in the code")
    return KnownMistake(name, row["diagnosis"], row["hint"], code, row.get("seen", ""), parameter)


def edit_solution(solution: str, row: dict[str, Any], name: str) -> str:
    """Return the solution with the edits of a table, each at its anchor."""
    return anchors.apply_edits(solution, anchors.read_edits(row, name))


def format_statement(exercise: Exercise) -> Iterator[str]:
    """Yield the lines that are printed at the start of an exercise."""
    yield f"Exercise {exercise.number} of {len(NAMES)}: {exercise.name}"
    yield exercise.title
    yield ""
    yield from format_list_entry("steps", ", ".join(exercise.steps))
    yield from format_list_entry("rules", ", ".join(exercise.rules))
    yield ""
    yield from wrap_paragraphs(exercise.statement)
    yield ""
    yield from textwrap.wrap(f"Write {format_call(exercise)}", WIDTH, subsequent_indent=" " * 8)
    yield "  arguments"
    if exercise.needs:
        names = ", ".join(map(module_stem, exercise.needs))
        yield from format_list_entry("functions", f"your functions: {names}")
    for spec in exercise.arguments:
        yield from format_list_entry(spec.name, describe_array_spec(spec))
    yield "  returns"
    for spec in exercise.returns:
        yield from format_list_entry(spec.name, describe_array_spec(spec))
    if exercise.symbols:
        yield "  symbols"
        for symbol, meaning in exercise.symbols.items():
            yield from format_list_entry(symbol, meaning)


def format_call(exercise: Exercise) -> str:
    """Return the call of the learner's function."""
    first = ["functions"] if exercise.needs else []
    return f"{exercise.function}({', '.join(first + [x.name for x in exercise.arguments])})"


def describe_array_spec(spec: ArraySpec) -> str:
    """Return shape, meaning and axes of an argument or a result."""
    if not spec.axes:
        return spec.meaning
    letters = ", ".join(spec.axes.replace("E", "D"))  # the same size; E only in formulas
    return f"({letters}) {spec.meaning}; axes {', '.join(AXES[a] for a in spec.axes)}"


def format_list_entry(name: str, text: str) -> list[str]:
    """Return an entry of a list as wrapped lines."""
    indent = " " * 20
    return textwrap.wrap(f"    {name:15} {text}", WIDTH, subsequent_indent=indent)


def wrap_paragraphs(text: str) -> Iterator[str]:
    """Yield a text as wrapped paragraphs; an indented block is not changed."""
    for number, block in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if block.startswith(" "):
            yield from block.splitlines()
        else:
            yield from textwrap.wrap(" ".join(block.split()), WIDTH)
