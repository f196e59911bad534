"""The deviation of an implementation from the reference, for a pool of calls.

The deviation of an array is its difference from the array of the reference. An array is wrong if a
number deviates by more than the error bound. If a result is wrong, only results are compared:
automatic gradients follow a wrong result, but a mutant may keep the gradient of the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import (
    Answer,
    AnyArray,
    Call,
    Implementation,
    copy_call,
    float_arrays,
)
from mindref.conformance.runner.reference import ExpectedArray, expected_answer
from mindref.errors import FOREIGN_ERRORS

NO_NUMBERS = "OSUMmc"
"""Kinds of dtypes that are no real numbers, such as an array of None."""

REFUSED = "refused"
"""Name of an array with one number: 0 if an invalid call raised an error, otherwise infinity."""

Wants = Sequence[dict[str, ExpectedArray] | None]
"""The expected answer of each call, or None if the reference raises an error."""


class Part(NamedTuple):
    """The deviation of one array, and the error bound of each number."""

    deviation: AnyArray
    allowed: AnyArray

    @property
    def wrong(self) -> AnyArray:
        """Return where the deviation exceeds the error bound."""
        wrong: AnyArray = ~(np.abs(self.deviation) <= self.allowed)
        return wrong


Parts = dict[tuple[int, str], Part]
"""(index of a call, array such as "out" or "d_x") -> deviation of the array."""


class Pool(NamedTuple):
    """Calls, their expected answers, and the deviation of the implementation under test."""

    calls: Sequence[Call]
    expected: Wants
    parts: Parts
    gradients: bool = True  # whether gradients are compared

    @property
    def wrong_calls(self) -> list[int]:
        """Return the indices of the calls with a wrong array."""
        return sorted({call for (call, _), part in self.parts.items() if part.wrong.any()})

    def select(self, indices: Sequence[int]) -> Pool:
        """Return a pool of the calls with these indices, in this order."""
        numbers = {call: number for number, call in enumerate(indices)}
        parts = {(numbers[c], n): part for (c, n), part in self.parts.items() if c in numbers}
        calls = [self.calls[index] for index in indices]
        return Pool(calls, [self.expected[i] for i in indices], parts, self.gradients)

    def without_gradients(self) -> Pool:
        """Return the pool with results only."""
        parts = {key: part for key, part in self.parts.items() if not is_gradient_part(key[1])}
        return Pool([c.forward_only() for c in self.calls], self.expected, parts, gradients=False)


def is_gradient_part(name: str) -> bool:
    """Return whether the array `name` of an answer is a gradient or belongs to one."""
    return name.startswith("d_") or name == "rows"


def make_pool(implementation: Implementation, calls: Sequence[Call], expected: Wants) -> Pool:
    """Run `calls` on `implementation`. If a result is wrong, leave out the gradients."""
    pool = Pool(calls, expected, deviation_of(implementation, calls, expected))
    results = pool.without_gradients()
    return results if results.wrong_calls else pool  # conformance-R31


def precision_of_call(call: Call, precision: Precision) -> Precision:
    """Return the precision of `call`, whose dtype may differ from that of the run."""
    name = call.dtype.name
    return precision if name == precision.input else Precision.of(name)  # conformance-R29


def expected_or_none(call: Call, precision: Precision) -> dict[str, ExpectedArray] | None:
    """Return the expected answer of `call`, or None if `call` must raise an error."""
    if len({x.dtype for x in float_arrays(call)}) > 1:
        return None  # mixed dtypes must raise an error, but `expected_answer` converts them
    try:
        return expected_answer(call, precision_of_call(call, precision))
    except Exception:
        return None


def deviation_of(
    implementation: Implementation,
    calls: Sequence[Call],
    expected: Wants,
    gradients: bool = True,
) -> Parts:
    """Return the deviation of an implementation for each call and each expected array."""
    parts: Parts = {}
    for number, (call, want) in enumerate(zip(calls, expected, strict=True)):
        answer = answer_or_empty(implementation, call)
        if want is None:
            refused = np.full(1, 0.0 if not answer else np.inf)
            parts[number, REFUSED] = Part(refused, np.zeros(1))
            continue
        for name, expectation in want.items():
            if name in ("rows", "couplings") and answer and name not in answer:
                continue  # optional arrays
            if gradients or not is_gradient_part(name):
                parts[number, name] = part_of(answer.get(name), expectation)
    return parts


def answer_or_empty(implementation: Implementation, call: Call) -> Answer:
    """Return the answer of `implementation` to `call`, or an empty dict if it raises an error."""
    try:
        with np.errstate(all="ignore"):  # copy the call, because a mutant may write to its arrays
            answer = implementation.answer(copy_call(call))
            return {name: np.array(x) for name, x in answer.items()}
    except FOREIGN_ERRORS:
        return {}


def part_of(got: AnyArray | None, want: ExpectedArray) -> Part:
    """Return got - want.value with its bound; infinity if only one is finite or `got` is absent."""
    if got is None or got.shape != want.value.shape or got.dtype.kind in NO_NUMBERS:
        return Part(np.full(1, np.inf), np.zeros(1))
    value = np.asarray(want.value, np.float64)
    with np.errstate(all="ignore"):
        off = got.astype(np.float64) - value
    non_finite = ~np.isfinite(value)
    off = np.where(non_finite, np.where(np.isfinite(got), np.inf, 0), off)
    off = np.where(np.isnan(off), np.inf, off)
    allowed = np.broadcast_to(np.asarray(want.allowed, np.float64), off.shape)
    return Part(off, np.where(np.isnan(allowed), np.inf, allowed))


def call_similarities(tested: Parts, mutant_parts: Parts) -> dict[int, float]:
    """Return the least similarity of arrays in each call with a wrong array in either argument."""
    similarities: dict[int, float] = {}
    for key, part in tested.items():
        mutant_part = mutant_parts.get(key)
        if mutant_part is None:
            mutant_part = Part(np.zeros_like(part.deviation), part.allowed)
        if part.wrong.any() or mutant_part.wrong.any():
            alike = similarity(part.deviation, mutant_part.deviation, part.allowed)
            similarities[key[0]] = min(alike, similarities.get(key[0], 1.0))
    return similarities


def similarity(x: AnyArray, y: AnyArray, allowed: AnyArray | float = 0.0) -> float:
    """Return 1 - |x - y|^2 / max(|x|^2, |y|^2) for the finite entries, but at least 0.

    Differences of at most 2 `allowed` count as 0. If entries are infinite in x or y, compute the
    fraction of these entries that are equal in x and y. If this fraction is smaller, or if all
    other entries are 0, return the fraction.
    """
    if x.shape != y.shape:
        return 0.0
    infinite = np.isinf(x) | np.isinf(y)
    met = float(np.mean(x[infinite] == y[infinite])) if infinite.any() else 1.0
    bound = np.broadcast_to(np.asarray(allowed), x.shape)[~infinite]
    x, y = x[~infinite], y[~infinite]
    scale = max(float(np.max(np.abs(x), initial=0)), float(np.max(np.abs(y), initial=0)))
    if not scale:
        return met if infinite.any() else 0.0
    with np.errstate(all="ignore"):
        difference = np.where(np.abs(x - y) <= 2 * bound, 0, x - y) / scale
    x, y = x / scale, y / scale  # no square overflows
    size = max(float(np.sum(x * x)), float(np.sum(y * y)))
    return min(met, max(0.0, 1 - float(np.sum(difference**2)) / size))
