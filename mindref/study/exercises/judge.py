"""The rules by which an answer is judged, in their order; the first that fails is the one told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.answers import Answer
from mindref.study.exercises.exercise import AXES, Exercise, Named
from mindref.study.exercises.expected import Expected

RULES = ("runs", "structure", "shape", "dtype", "finite", "inputs", "values")

SMALL = 0.01
"""Share of an array's largest entry below which an error is measured by that share instead."""

ZERO = 1e-3
"""The same for arrays without a large entry."""


class Verdict(NamedTuple):
    """What is to be said of the answer to one case."""

    failed: str  # the first rule that is broken; empty if none is
    text: str = ""
    part: int = 0
    entry: tuple[int, ...] = ()  # the worst one
    error: float = 0.0  # largest relative error; only where values were looked at

    @property
    def rank(self) -> int:
        """Return the place of the broken rule in the order of the rules."""
        return RULES.index(self.failed) if self.failed else len(RULES)


def judge(exercise: Exercise, wanted: Sequence[Expected], answers: list[Answer]) -> list[Verdict]:
    """Return a verdict for every case."""
    return [verdict(exercise, *pair) for pair in zip(wanted, answers, strict=True)]


def verdict(exercise: Exercise, want: Expected, answer: Answer) -> Verdict:
    """Judge one answer, rule by rule."""
    if answer.raised:
        return Verdict("runs", raised(answer))
    if answer.structure:
        return Verdict("structure", f"expected {asked(exercise)}, got {answer.structure}")
    for rule, check in (("shape", shape), ("dtype", dtype), ("finite", finite)):
        for number, part in enumerate(exercise.gives):
            text, index = check(part, answer.arrays[number], want.arrays[number])
            if text:
                return Verdict(rule, text, number, index)
    if answer.modified:
        return Verdict(
            "inputs", f"your code changed its input {answer.modified[0]}: work on a copy"
        )
    if answer.views:
        text = f"the answer lies in the memory of the input {answer.views[0]}: return a new array"
        return Verdict("inputs", text)
    return values(exercise, want, answer)


def raised(answer: Answer) -> str:
    """Say what went wrong before there was an answer."""
    at = f", line {answer.line}" if answer.line else ""
    if answer.stage == "missing":
        return f"there is {answer.raised} in the file: keep the name of the starter"
    when = "while the file was read" if answer.stage == "import" else "when it was called"
    if answer.raised.startswith("SystemExit"):
        return f"your code left the program {when} ({answer.raised}{at}): take the exit out"
    if "MemoryError" in answer.raised.partition(":")[0]:
        return f"your code asked for more memory than an answer can need{at}"
    return f"your code raised {when}: {answer.raised}{at}"


def asked(exercise: Exercise) -> str:
    """Say what is to be returned."""
    names = [part.name for part in exercise.gives]
    if len(names) == 1:
        return f"an array, {names[0]}" if exercise.gives[0].axes else f"a number, {names[0]}"
    return f"a tuple of {len(names)} arrays, ({', '.join(names)})"


def shape(part: Named, got: Array, want: Array) -> tuple[str, tuple[int, ...]]:
    """Say that a shape is another one: exactly this one is asked for, however it would stretch."""
    if got.shape == want.shape:
        return "", ()
    axes = ", ".join(f"{AXES[x]}={n}" for x, n in zip(part.axes, want.shape, strict=True))
    return f"{part.name} has shape {got.shape}, expected {want.shape}: ({axes})", ()


def dtype(part: Named, got: Array, want: Array) -> tuple[str, tuple[int, ...]]:
    """Say that numbers are of another type."""
    if got.dtype == want.dtype:
        return "", ()
    return f"{part.name} is {got.dtype}, expected {want.dtype}", ()


def finite(part: Named, got: Array, want: Array) -> tuple[str, tuple[int, ...]]:
    """Say where a number is none."""
    bad = ~np.isfinite(got)
    if not bad.any():
        return "", ()
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    count = int(bad.sum())
    return f"{place(part, index)} is {got[index]} ({count} of {got.size} entries are)", index


def values(exercise: Exercise, want: Expected, answer: Answer) -> Verdict:
    """Compare every entry with the closed form and, for gradients, with centred differences."""
    worst = Verdict("", error=-1.0)
    rows = zip(answer.arrays, want.arrays, want.differences, strict=True)
    for number, (got, closed, differences) in enumerate(rows):
        error = apart(got, closed)
        if differences is not None:
            error = np.maximum(error, apart(got, differences))
        if error.size and error.max() > worst.error:
            index = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
            worst = Verdict("", "", number, index, float(error.max()))
    if worst.error <= exercise.tolerance:
        return worst._replace(error=max(worst.error, 0.0))
    return worst._replace(failed="values")


def apart(got: Array, want: Array) -> Array:
    """Return the relative error of every entry, against the larger of the two or a floor."""
    floor = max(SMALL * float(np.max(np.abs(want), initial=0)), ZERO)
    return np.abs(got - want) / np.maximum(np.maximum(np.abs(got), np.abs(want)), floor)


def place(part: Named, index: tuple[int, ...]) -> str:
    """Return an entry in words: weights[user 0, behaviour 2, interest 1]."""
    if not index:
        return part.name
    return (
        f"{part.name}[{', '.join(f'{AXES[x]} {i}' for x, i in zip(part.axes, index, strict=True))}]"
    )
