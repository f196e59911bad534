"""The page of an exercise as text: what to write, what each sign means, where it belongs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import AXES, Exercise, Named, stem

WIDTH = 79


def statement(exercise: Exercise) -> Iterator[str]:
    """Yield the lines that are printed when an exercise is begun."""
    yield f"Exercise {exercise.number} of {len(NAMES)}: {exercise.name}"
    yield exercise.title
    yield ""
    yield from entry("steps", ", ".join(exercise.steps))
    yield from entry("rules", ", ".join(exercise.rules))
    yield ""
    yield from wrapped(exercise.statement)
    yield ""
    yield from textwrap.wrap(f"Write {call(exercise)}", WIDTH, subsequent_indent=" " * 8)
    yield "  takes"
    if exercise.needs:
        yield from entry("mine", f"your functions: {', '.join(map(stem, exercise.needs))}")
    for x in exercise.takes:
        yield from entry(x.name, described(x))
    yield "  returns"
    for x in exercise.gives:
        yield from entry(x.name, described(x))
    if exercise.symbols:
        yield "  signs"
        for sign, meaning in exercise.symbols.items():
            yield from entry(sign, meaning)


def call(exercise: Exercise) -> str:
    """Return the call of the learner's function."""
    first = ["mine"] if exercise.needs else []
    return f"{exercise.function}({', '.join(first + [x.name for x in exercise.takes])})"


def described(x: Named) -> str:
    """Return the axes of an argument or of a part, and what it is."""
    if not x.axes:
        return x.what
    letters = ", ".join(x.axes.replace("E", "D"))  # one size; E where a formula needs two letters
    return f"({letters}) {x.what}; axes {', '.join(AXES[a] for a in x.axes)}"


def entry(name: str, text: str) -> list[str]:
    """Return a line of a list, wrapped under itself."""
    indent = " " * 20
    return textwrap.wrap(f"    {name:15} {text}", WIDTH, subsequent_indent=indent)


def wrapped(text: str) -> Iterator[str]:
    """Yield a text wrapped by paragraphs; what is indented stays as it is."""
    for number, block in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if block.startswith(" "):
            yield from block.splitlines()
        else:
            yield from textwrap.wrap(" ".join(block.split()), WIDTH)
