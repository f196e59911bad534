"""The statement of an exercise as text: task, arguments, results and symbols."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import AXES, ArraySpec, Exercise, module_stem

WIDTH = 79


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
