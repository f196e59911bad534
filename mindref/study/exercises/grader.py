"""The checks of an answer in order, and the known mistake that an answer equals.

The report shows the first check that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.exercise import AXES, ArraySpec, Exercise, KnownMistake, find_exercise
from mindref.study.exercises.expected import ExpectedCase, make_job
from mindref.study.exercises.worker import CaseAnswer, run_jobs

RULES = ("runs", "structure", "shape", "dtype", "finite", "inputs", "values")

SMALL = 0.01
"""Entries below this share of the largest entry are compared relative to the share."""

ZERO = 1e-3
"""The same for arrays without a large entry: the smallest denominator of a relative error."""

EQUAL = 1e-9
"""Relative tolerance of two answers that count as equal."""


class Grade(NamedTuple):
    """The grade of the answer to one case."""

    failed: str  # the first rule that fails; empty if all pass
    text: str = ""
    part: int = 0
    entry: tuple[int, ...] = ()  # the entry with the largest error
    error: float = 0.0  # largest relative error, if the rule "values" was reached

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
            worst = Grade("", "", number, index, float(error.max()))
    if worst.error <= exercise.tolerance:
        return worst._replace(error=max(worst.error, 0.0))
    return worst._replace(failed="values")


def relative_errors(got: Array, want: Array) -> Array:
    """Return the relative error of every entry, with a lower bound of the denominator."""
    smallest = max(SMALL * float(np.max(np.abs(want), initial=0)), ZERO)
    return np.abs(got - want) / np.maximum(np.maximum(np.abs(got), np.abs(want)), smallest)


def format_entry(part: ArraySpec, index: tuple[int, ...]) -> str:
    """Return an entry in words: weights[user 0, behaviour 2, interest 1]."""
    if not index:
        return part.name
    words = (f"{AXES[axis]} {i}" for axis, i in zip(part.axes, index, strict=True))
    return f"{part.name}[{', '.join(words)}]"


def find_known_mistake(exercise: Exercise, answers: list[CaseAnswer]) -> KnownMistake | None:
    """Return the known mistake with the same answers in every case, or None."""
    for number, mistake in enumerate(exercise.mistakes):
        # most mistakes differ in the first case; all cases may take seconds
        if all(
            all(map(equal_answers, answers, run_known_mistake(exercise.name, number, count)))
            for count in (1, len(answers))
        ):
            return mistake
    return None


def find_factors(
    expected_cases: Sequence[ExpectedCase], answers: list[CaseAnswer], part: int
) -> list[float]:
    """Return the factor of a part in every case; an empty list if one case has no factor."""
    factors = []
    for expected, answer in zip(expected_cases, answers, strict=True):
        if answer.raised or part >= len(answer.arrays):
            return []
        got, right = answer.arrays[part], expected.arrays[part]
        size = float(np.sum(right * right))
        if got.shape != right.shape or not size:
            return []
        factor = float(np.sum(got * right)) / size
        if not np.isfinite(factor) or not factor or not equal_arrays(got, factor * right):
            return []
        factors.append(factor)
    return factors


@cache
def run_known_mistake(name: str, number: int, count: int) -> list[CaseAnswer]:
    """Return the answers of a known mistake to the first `count` cases of an exercise.

    The code runs in this process, because it is part of this package.
    """
    exercise = find_exercise(name)
    needed = [find_exercise(other) for other in exercise.needs]
    jobs = [make_job(x, x.solution)._replace(cases=()) for x in needed]
    job = make_job(exercise, exercise.mistakes[number].code)
    return run_jobs([*jobs, job._replace(cases=job.cases[:count])])[-1]


def equal_answers(x: CaseAnswer, y: CaseAnswer) -> bool:
    """Return whether two answers are the same, the kind of failure included."""
    if x.raised or y.raised:
        return bool(x.raised and y.raised) and x.raised.split(":")[0] == y.raised.split(":")[0]
    if (x.structure, x.modified, x.views) != (y.structure, y.modified, y.views):
        return False
    if [(a.shape, a.dtype) for a in x.arrays] != [(a.shape, a.dtype) for a in y.arrays]:
        return False
    return all(map(equal_arrays, x.arrays, y.arrays))


def equal_arrays(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are equal, up to EQUAL times their largest entry."""
    if not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(a, b))
    finite = np.abs(b[np.isfinite(b)])
    return bool(
        np.allclose(a, b, rtol=EQUAL, atol=EQUAL * np.max(finite, initial=1e-3), equal_nan=True)
    )
