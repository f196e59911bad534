"""Patterns that need the inputs: an argument itself, and the answer with fewer iterations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.exercise import ArraySpec
from mindref.study.exercises.expected import ExpectedCase
from mindref.study.exercises.iterations import ARGUMENT, count_iterations
from mindref.study.exercises.known_mistakes import CheckedAnswer
from mindref.study.exercises.patterns import Change, Pattern


def list_arguments(checked: CheckedAnswer, part: ArraySpec) -> Iterator[Pattern]:
    """Yield the arguments with the axes of a part, and sums that lack one or have it twice."""
    axes = part.axes.replace("E", "D")
    for spec in checked.exercise.arguments:
        value = checked.expected_cases[0].inputs[spec.name]
        is_real = np.issubdtype(np.asarray(value).dtype, np.floating)
        if not axes or spec.axes.replace("E", "D") != axes or not is_real:
            continue
        name = f"the argument `{spec.name}`"
        yield Pattern("argument", f"is {name}, unchanged", add_argument(spec.name, 1, 0))
        yield Pattern("lacks", f"lacks {name}, which must be added", add_argument(spec.name, -1))
        text = f"is the right answer plus {name}: it is added once too often"
        yield Pattern("added", text, add_argument(spec.name, 1))


def add_argument(name: str, sign: int, answer: int = 1) -> Change:
    """Return `answer` times the right answer plus `sign` times an argument."""
    return lambda case, x: answer * x + sign * case.inputs[name]


def list_fewer_iterations(checked: CheckedAnswer, number: int) -> Iterator[Pattern]:
    """Yield answers that do not change after some number of iterations."""
    if ARGUMENT not in [x.name for x in checked.exercise.arguments]:
        return
    most = max(int(x.inputs[ARGUMENT]) for x in checked.expected_cases)
    compute_answer = checked.exercise.task.compute_answer
    for count in range(1, most):
        text = f"is the right answer for {count_iterations(count)} if `{ARGUMENT}` is larger:"
        change = cap_iterations(compute_answer, number, count)
        yield Pattern("fewer-iterations", f"{text} later iterations have no effect", change)


def cap_iterations(compute_answer: Any, number: int, count: int) -> Change:
    """Return the right part for at most `count` iterations."""

    def change(case: ExpectedCase, x: Array) -> Array:
        if case.inputs[ARGUMENT] <= count:
            return x
        answer = compute_answer({**case.inputs, ARGUMENT: count})
        return np.asarray(answer[number] if isinstance(answer, tuple) else answer)

    return change
