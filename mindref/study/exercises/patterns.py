"""General mistakes, recognised from the answer and the right one: a factor, a sign, an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.exercise import AXES, ArraySpec
from mindref.study.exercises.expected import ExpectedCase
from mindref.study.exercises.known_mistakes import CheckedAnswer, equal_arrays

Change = Callable[[ExpectedCase, Array], Array]
"""Return what a right array becomes by a mistake."""


class Pattern(NamedTuple):
    """A mistake in one part of the answer."""

    name: str
    text: str  # completes "NAME OF THE PART ..."
    change: Change


def get_part(checked: CheckedAnswer, case: int, number: int) -> Array | None:
    """Return a part of an answer; None if there is no array."""
    arrays = checked.answers[case].arrays
    return arrays[number] if number < len(arrays) else None


def is_right(checked: CheckedAnswer, case: int, number: int) -> bool:
    """Return whether a part of an answer is right."""
    got, want = get_part(checked, case, number), checked.expected_cases[case].arrays[number]
    return got is not None and got.shape == want.shape and equal_arrays(got, want)


def list_array_patterns(
    checked: CheckedAnswer, number: int, part: ArraySpec, wrong: list[int]
) -> Iterator[Pattern]:
    """Yield the patterns that need the right array and the sizes of a case, the simplest first."""
    yield Pattern("zero", "is zero everywhere", of_array(np.zeros_like))
    yield from list_factors(checked, number, wrong)
    yield from list_sizes(checked, part)
    yield from list_orders(part)
    yield from list_functions()
    yield from list_reductions(part)


def list_factors(checked: CheckedAnswer, number: int, wrong: list[int]) -> Iterator[Pattern]:
    """Yield the constant factor and the constant difference of the first wrong case."""
    case = wrong[0]
    got, want = get_part(checked, case, number), checked.expected_cases[case].arrays[number]
    if got is None or got.shape != want.shape or not np.isfinite(got).all():
        return
    size = float(np.sum(want * want))
    factor = float(np.sum(got * want)) / size if size else 0.0
    if factor:
        text = describe_factor(factor) + describe_sizes(checked, wrong, factor)
        yield Pattern("factor", text, of_array(lambda x: factor * x))
    difference = float(np.mean(got - want)) if got.size > 1 else 0.0
    if difference:
        text = f"is the right answer plus {difference:.6g} everywhere"
        yield Pattern("difference", text, of_array(lambda x: x + difference))


def describe_factor(factor: float) -> str:
    """Return a constant factor in words, as a fraction if it is a simple one."""
    if abs(factor + 1) < 1e-9:
        return "has the opposite sign everywhere: the right answer times -1"
    simple = Fraction(factor).limit_denominator(12)
    exact = abs(float(simple) - factor) < 1e-9 * abs(factor)
    number = str(simple) if exact else f"{factor:.6g}"
    return f"is {number} times the right answer everywhere: a constant factor is wrong"


def describe_sizes(checked: CheckedAnswer, wrong: list[int], factor: float) -> str:
    """Return the sizes that equal a factor, or one divided by it, in every wrong case."""
    cases = [checked.expected_cases[i] for i in wrong]
    names = []
    for words, size in find_sizes(checked).items():
        values = {size(case) for case in cases}
        value = values.pop() if len(values) == 1 else 0.0
        if value > 1 and min(abs(value * factor - 1), abs(value - factor)) < 1e-9:
            names.append(f"{words}, is {value:g}")
    return f" ({' and '.join(names)} in these cases)" if names else ""


def find_sizes(checked: CheckedAnswer) -> dict[str, Callable[[ExpectedCase], float]]:
    """Return the size of every axis and the number arguments, by their names."""
    sizes: dict[str, Callable[[ExpectedCase], float]] = {}
    for spec in checked.exercise.arguments:
        for position, axis in enumerate(spec.axes.replace("E", "D")):
            words = f"the number of {AXES[axis]}s, {axis}"
            sizes.setdefault(words, make_size(spec.name, position))
        if not spec.axes and is_numeric_argument(checked.expected_cases[0].inputs[spec.name]):
            sizes[f"the argument `{spec.name}`"] = make_number(spec.name)
    return sizes


def is_numeric_argument(value: Any) -> bool:
    """Return whether an argument is a number; the setting of a training may be a text."""
    return isinstance(value, int | float)


def list_sizes(checked: CheckedAnswer, part: ArraySpec) -> Iterator[Pattern]:
    """Yield products with the size of an axis, with its root, and with a number of the input."""
    for words, size in find_sizes(checked).items():
        text, divided = f"is the right answer divided by {words}", "a mean instead of a sum?"
        yield Pattern("divided", f"{text}: {divided}", scale_by(size, -1))
        text = f"is the right answer times {words}"
        yield Pattern("multiplied", f"{text}: a sum instead of a mean?", scale_by(size, 1))
        yield Pattern("divided-root", f"is divided by the root of {words}", scale_by(size, -0.5))
    for spec in checked.exercise.arguments:
        if spec.name in ("mask", "active") and part.axes[:1] == "B":
            word = AXES[spec.axes[1]]
            text = f"is divided by the number of real {word}s of the user: a mean instead of a sum?"
            yield Pattern("divided-real", text, divide_by_count(spec.name))


def make_size(name: str, position: int) -> Callable[[ExpectedCase], float]:
    """Return a function with the size of an axis of an input."""
    return lambda case: float(np.shape(case.inputs[name])[position])


def make_number(name: str) -> Callable[[ExpectedCase], float]:
    """Return a function with a number of the input."""
    return lambda case: float(case.inputs[name])


def scale_by(size: Callable[[ExpectedCase], float], power: float) -> Change:
    """Return the product with a power of a size."""
    return lambda case, x: x * np.float64(size(case)) ** power


def divide_by_count(name: str) -> Change:
    """Return the quotient by the number of true entries of each user."""

    def change(case: ExpectedCase, x: Array) -> Array:
        counts = np.maximum(np.sum(case.inputs[name], axis=1), 1)
        return x / counts.reshape(-1, *[1] * (x.ndim - 1))

    return change


def list_orders(part: ArraySpec) -> Iterator[Pattern]:
    """Yield answers with the right numbers in the wrong places."""
    for one, other in combinations(range(len(part.axes)), 2):
        words = f"{AXES[part.axes[one]]} and {AXES[part.axes[other]]}"
        text = f"is transposed: the axes {words} are exchanged"
        yield Pattern("transposed", text, of_array(partial(np.swapaxes, axis1=one, axis2=other)))
    for position, letter in enumerate(part.axes):
        text = f"is in reverse order along the axis {AXES[letter]}"
        yield Pattern("reversed", text, of_array(partial(np.flip, axis=position)))
        for shift in (1, -1):
            text = f"is shifted by one along the axis {AXES[letter]}"
            change = of_array(partial(np.roll, shift=shift, axis=position))
            yield Pattern("shifted", text, change)


def list_functions() -> Iterator[Pattern]:
    """Yield functions of each entry."""
    functions: tuple[tuple[str, str, Callable[..., Any]], ...] = (
        ("squared", "is the square of the right answer", np.square),
        ("root", "is the root of the right answer", np.sqrt),
        ("magnitude", "has the right magnitude, but no sign: an absolute value too many", np.abs),
        ("cut", "has zero for every negative entry", lambda x: np.maximum(x, 0)),
        ("inverse", "is one divided by the right answer", lambda x: 1 / x),
        ("exp", "is exp of the right answer", np.exp),
        ("log", "is the logarithm of the right answer", np.log),
        ("complement", "is one minus the right answer", lambda x: 1 - x),
    )
    for name, text, function in functions:
        yield Pattern(name, text, of_array(function))


def list_reductions(part: ArraySpec) -> Iterator[Pattern]:
    """Yield answers in which the positions of an axis were mixed."""
    functions: tuple[tuple[str, str, Callable[..., Any]], ...] = (
        ("summed", "is summed over all {}s", lambda x, total: total),
        ("averaged", "is averaged over all {}s", lambda x, total: total / len(x)),
        ("centred", "lacks its mean over the {}s", lambda x, total: x - total / len(x)),
        ("normalised", "is divided by its sum over the {}s", lambda x, total: x / total),
        ("first", "has the numbers of {0} 0 for every {0}", lambda x, total: x[:1]),
    )
    for position, letter in enumerate(part.axes):
        for name, text, function in functions:
            change = of_array(partial(reduce_axis, axis=position, function=function))
            yield Pattern(name, text.format(AXES[letter]), change)
    if part.axes[-1:] == "D":
        yield Pattern("unit", "has vectors of length one", of_array(divide_by_length))


def of_array(function: Callable[..., Any]) -> Change:
    """Return a change that does not depend on the inputs of the case."""
    return lambda case, x: function(x)


def reduce_axis(x: Array, axis: int, function: Callable[..., Array]) -> Array:
    """Return a function of an array and its sum over an axis, in the shape of the array."""
    first = np.moveaxis(x, axis, 0)
    changed = function(first, first.sum(axis=0, keepdims=True))
    return np.moveaxis(changed + np.zeros_like(first), 0, axis)


def divide_by_length(x: Array) -> Array:
    """Return vectors divided by their lengths."""
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))
