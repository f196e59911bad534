"""The checks of an answer, in order. The report shows the first check that fails."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.exercise import AXES, ArraySpec, Exercise
from mindref.study.exercises.expected import ExpectedCase
from mindref.study.exercises.worker import CaseAnswer

RULES = ("runs", "structure", "shape", "dtype", "finite", "inputs", "values")

SMALL = 0.01
"""Entries below this share of the largest entry are compared relative to the share."""

NOTHING = 1e-11
"""Arrays whose largest entry is below it are zero up to rounding: their error is absolute."""


class Grade(NamedTuple):
    """The grade of the answer to one case."""

    failed: str  # the first rule that fails; empty if all pass
    text: str = ""
    part: int = 0
    entry: tuple[int, ...] = ()  # the entry with the largest error
    error: float = 0.0  # relative error of the entry, if the rule "values" was reached
    absolute: float = 0.0  # absolute error of the same entry

    @property
    def rank(self) -> int:
        """Return the position of the failed rule in RULES."""
        return RULES.index(self.failed) if self.failed else len(RULES)


def grade_answer(exercise: Exercise, expected: ExpectedCase, answer: CaseAnswer) -> Grade:
    """Return the grade of one answer, rule by rule."""
    if answer.raised:
        return Grade("runs", describe_answer_error(answer))
    if answer.structure:
        text = f"expected {describe_returns(exercise)}, got {answer.structure}"
        return Grade("structure", text)
    for rule in ("shape", "dtype", "finite"):
        for number, part in enumerate(exercise.returns):
            text, index = find_fault(rule, part, answer.arrays[number], expected.arrays[number])
            if text:
                return Grade(rule, text, number, index)
    faults = [f"your code changed its input {name}: work on a copy" for name in answer.modified]
    text = "the answer shares memory with the input {}: return a new array"
    faults += [text.format(name) for name in answer.views]
    return Grade("inputs", faults[0]) if faults else grade_values(exercise, expected, answer)


def describe_answer_error(answer: CaseAnswer) -> str:
    """Return the error of a file or a call as a sentence."""
    line = f", line {answer.line}" if answer.line else ""
    if answer.stage == "missing":
        return f"there is {answer.raised} in the file: keep the name of the starter"
    when = "while the file was read" if answer.stage == "import" else "when it was called"
    if answer.raised.startswith("SystemExit"):
        return f"your code ended the program {when} ({answer.raised}{line}): remove the exit"
    if "MemoryError" in answer.raised.partition(":")[0]:
        return f"your code requested more memory than an answer can need{line}"
    return f"your code raised {when}: {answer.raised}{line}"


def describe_returns(exercise: Exercise) -> str:
    """Return the expected structure of an answer in words."""
    names = [part.name for part in exercise.returns]
    if len(names) == 1:
        return f"an array, {names[0]}" if exercise.returns[0].axes else f"a number, {names[0]}"
    return f"a tuple of {len(names)} arrays, ({', '.join(names)})"


def find_fault(rule: str, part: ArraySpec, got: Array, want: Array) -> tuple[str, tuple[int, ...]]:
    """Return the message of a broken rule and the index of its entry; "" if the rule holds."""
    if rule == "shape" and got.shape != want.shape:  # even if it would broadcast
        axes = ", ".join(f"{AXES[x]}={n}" for x, n in zip(part.axes, want.shape, strict=True))
        return f"{part.name} has shape {got.shape}, expected {want.shape}: ({axes})", ()
    if rule == "dtype" and got.dtype != want.dtype:
        return f"{part.name} is {got.dtype}, expected {want.dtype}", ()
    bad = ~np.isfinite(got) if rule == "finite" else np.zeros(got.shape, bool)
    if not bad.any():
        return "", ()
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    entry = f"{format_entry(part, index)} is {got[index]}"
    return f"{entry} ({int(bad.sum())} of {got.size} entries are not finite)", index


def grade_values(exercise: Exercise, expected: ExpectedCase, answer: CaseAnswer) -> Grade:
    """Compare every entry with the closed form and, for gradients, with finite differences."""
    worst = Grade("", error=-1.0)
    rows = zip(answer.arrays, expected.arrays, expected.differences, strict=True)
    for number, (got, closed, differences) in enumerate(rows):
        error = relative_errors(got, closed)
        if differences is not None:
            error = np.maximum(error, relative_errors(got, differences))
        if error.size and error.max() > worst.error:
            index = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
            distance = abs(float(got[index]) - float(closed[index]))
            worst = Grade("", "", number, index, float(error.max()), distance)
    if worst.error <= exercise.tolerance:
        return worst._replace(error=max(worst.error, 0.0))
    got, want = answer.arrays[worst.part], expected.arrays[worst.part]
    larger = max(abs(float(got[worst.entry])), abs(float(want[worst.entry])))
    return worst._replace(failed="values", error=worst.absolute / larger if larger else worst.error)


def relative_errors(got: Array, want: Array) -> Array:
    """Return the error of every entry relative to the larger of both numbers.

    An entry below SMALL times the largest entry is compared relative to this product, because
    cancellation in a sum leaves it with fewer digits.
    """
    largest = float(np.max(np.abs(want), initial=0))
    if largest < NOTHING:
        return np.abs(got - want)
    return np.abs(got - want) / np.maximum(np.maximum(np.abs(got), np.abs(want)), SMALL * largest)


def format_entry(part: ArraySpec, index: tuple[int, ...]) -> str:
    """Return an entry in words: weights[user 0, behaviour 2, interest 1]."""
    if not index:
        return part.name
    words = (f"{AXES[axis]} {i}" for axis, i in zip(part.axes, index, strict=True))
    return f"{part.name}[{', '.join(words)}]"
