"""Vectors of an answer with the right direction and a wrong length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.known_mistakes import EQUAL, CheckedAnswer
from mindref.study.exercises.patterns import get_part

FACTORS = 4  # of vectors that the text states


def describe_wrong_lengths(checked: CheckedAnswer, number: int, wrong: list[int]) -> str:
    """Return the factors of a part whose vectors have only wrong lengths; "" for another part."""
    factors = [find_case_factors(checked, i, number) for i in wrong]
    if any(np.isnan(x).all() for x in factors):
        return ""
    numbers = np.concatenate(factors)
    first_numbers = numbers[~np.isnan(numbers)][:FACTORS]
    words = ", ".join(f"{x:.4g}" for x in first_numbers) + (
        " .." if len(first_numbers) == FACTORS else ""
    )
    name = checked.exercise.returns[number].name
    text = f"Every vector of {name} has the right direction; only its length is wrong: it is"
    limits = "".join(list_length_limits(checked, number))
    return f"{text} the right length times {words}{limits}"


def find_case_factors(checked: CheckedAnswer, case: int, number: int) -> Array:
    """Return the factor of every vector of a part, all NaN unless each is a positive multiple.

    The factor of a zero vector is NaN.
    """
    got, want = get_part(checked, case, number), checked.expected_cases[case].arrays[number]
    nothing = np.full(want.size // max(want.shape[-1], 1), np.nan)
    if got is None or got.shape != want.shape or want.shape[-1] < 2 or not np.isfinite(got).all():
        return nothing
    rows, right = np.reshape(got, (-1, want.shape[-1])), np.reshape(want, (-1, want.shape[-1]))
    sizes = np.sum(right * right, axis=1)
    factors = np.sum(rows * right, axis=1) / np.where(sizes == 0, 1, sizes)
    error = np.abs(rows - factors[:, None] * right).max(axis=1)
    if (error > EQUAL * np.maximum(np.abs(rows).max(axis=1), 1e-300)).any():
        return nothing
    return np.where(sizes == 0, np.nan, factors) if (factors[sizes > 0] > 0).all() else nothing


def list_length_limits(checked: CheckedAnswer, number: int) -> Iterator[str]:
    """Yield the length of an argument that separates right vectors from wrong vectors."""
    axes = checked.exercise.returns[number].axes
    cases = range(len(checked.answers))
    factors = np.concatenate([find_case_factors(checked, i, number) for i in cases])
    is_wrong = np.abs(factors - 1) > EQUAL
    for spec in checked.exercise.arguments:
        if spec.axes != axes:
            continue
        inputs = [checked.expected_cases[i].inputs[spec.name] for i in cases]
        lengths = np.concatenate([np.linalg.norm(x, axis=-1).ravel() for x in inputs])
        right, wrong = lengths[~is_wrong & ~np.isnan(factors)], lengths[is_wrong]
        if not right.size or not wrong.size:
            continue
        rule = ""
        if right.max() < wrong.min():
            rule = f"up to {right.max():.3g}, and wrong from {wrong.min():.3g} on"
        elif wrong.max() < right.min():
            rule = f"from {right.min():.3g} on, and wrong up to {wrong.max():.3g}"
        if rule:
            yield f". It is right for vectors of `{spec.name}` of length n {rule}"
            yield describe_power(wrong, factors[is_wrong])


def describe_power(lengths: Array, factors: Array) -> str:
    """Return the power n^p of the lengths n that the factors are; "" if they are no power."""
    logs = np.log(np.maximum(lengths, 1e-300))
    if len(np.unique(np.round(logs, 6))) < 3:  # one or two points fit any power
        return ""
    power = float(np.sum(logs * np.log(factors)) / np.sum(logs * logs))
    if np.abs(factors / lengths**power - 1).max() > EQUAL:
        return ""
    return f". There the factor is n^{power:.4g}"
