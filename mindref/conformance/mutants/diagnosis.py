"""Diagnose a failed check: find the mutant that makes the same errors as the implementation.

The implementation under test and every mutant run the same calls. A deviation is an array that a
call returned, minus the array of the reference. A mutant is named only if its deviation
explains at least 99 % of the deviation of the implementation.

The calls are drawn as for the failed check. If the implementation is right on all drawn calls, the
calls that failed are added. If invalid calls did not raise, only these calls are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import Mutant, backend_of, suite_mutants
from mindref.conformance.runner.call import (
    Answer,
    AnyArray,
    BackendImplementation,
    Call,
    Implementation,
    copy_call,
    is_float_array,
    named_arrays,
)
from mindref.conformance.runner.check import RESTS_ON, ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import draw_calls
from mindref.conformance.runner.reference import ExpectedArray, expected_answer, reference_answer
from mindref.conformance.runner.result import CheckResult
from mindref.errors import FOREIGN_ERRORS

MIN_EXPLAINED = 0.99
"""Smallest fraction of the deviation that a mutant must explain to be named."""

POOL = {"ops": 16, "model": 16, "train": 4}
"""Level -> number of compared calls, which is small for "train" because its calls are slow."""

FEW, HALF = 2, 0.5
"""A mutant runs all calls only if it explains over HALF of the deviation on FEW wrong calls."""

Wants = Sequence[dict[str, ExpectedArray] | None]
"""The expected answer of each call, or None if the reference raises."""

Parts = dict[tuple[int, str], AnyArray]
"""(index of a call, array such as "out" or "d_x") -> deviation; 0 where within the error bound."""


class Pool(NamedTuple):
    """Calls, the expected answers, and the deviation of an implementation."""

    calls: Sequence[Call]
    expected: Wants  # the expected answers
    deviation: Parts  # the deviation of the implementation under test

    @property
    def wrong(self) -> bool:
        """Return whether any answer deviates."""
        return any(part.any() for part in self.deviation.values())

    def first_wrong(self, count: int) -> Pool:
        """Return a pool with only the first `count` calls whose answers deviate."""
        wrong = sorted({key[0] for key, part in self.deviation.items() if part.any()})[:count]
        numbers = {call: number for number, call in enumerate(wrong)}
        deviation = {(numbers[c], n): x for (c, n), x in self.deviation.items() if c in numbers}
        return Pool([self.calls[c] for c in wrong], [self.expected[c] for c in wrong], deviation)


class Match(NamedTuple):
    """A mutant, and the fraction of the deviation that it explains."""

    mutant: Mutant
    share: float


def diagnose(implementation: Implementation, result: CheckResult, seed: int = 0) -> str:
    """Return a text that names the mutants that explain a failed result, or states that none do."""
    check = next(c for c in all_checks() if c.name == result.check)
    precision = Precision.of(result.precision.split("/"))
    if result.evidence is not None and result.evidence.kind == "answered":
        refused = [call for call in result.evidence.calls if reference_raises(call)]
        pool = make_pool(implementation, refused, [None] * len(refused))
        description = "in the calls of this failure"
    else:
        pool, description = distinguishing_calls(implementation, check, result, precision, seed)
    matches = rank_mutants(check, pool)
    best = [m for m in matches if m.share >= max(MIN_EXPLAINED, matches[0].share - 1e-3)]
    if best:  # conformance-R16
        shares = f"{100 * best[0].share:.1f} % of the residual {description}"
        described = [describe_mutant(m.mutant) for m in best[:3]]
        names = "; or, no different on these calls: ".join(described)
        return f"your result equals the reference with this mistake: {names} ({shares})"
    breaking = [v.description for v in suite_mutants() if v.rule == check.rules[0]]
    text = "no match among the known mistakes"
    if matches and matches[0].share > HALF:
        nearest = matches[0]
        text += f"; nearest: {describe_mutant(nearest.mutant)} ({100 * nearest.share:.0f} %)"
    if breaking:
        text += f"; mistakes that break {check.rules[0]}: " + "; ".join(breaking[:3])
    return text


def distinguishing_calls(
    implementation: Implementation,
    check: ConformanceCheck,
    result: CheckResult,
    precision: Precision,
    seed: int,
) -> tuple[Pool, str]:
    """Return a pool of calls that show the deviation, and words for these calls in the report."""
    count = POOL[check.level]
    calls = [call.to(precision.input) for call in draw_calls(check, count, seed)]
    expected = [expected_or_none(call, precision) for call in calls]
    pool, description = make_pool(implementation, calls, expected), f"over {count} calls"
    if not pool.wrong and result.evidence is not None:
        # all drawn answers are right: only the calls that failed show the deviation
        calls, description = [*calls, *result.evidence.calls], "in the calls of this failure"
        expected += [expected_or_none(call, precision) for call in result.evidence.calls]
        pool = make_pool(implementation, calls, expected)
    return pool, description


def reference_raises(call: Call) -> bool:
    """Return whether the reference raises for a call, in the dtype of the call."""
    try:
        reference_answer(call)
    except Exception:
        return True
    return False


def describe_mutant(mutant: Mutant) -> str:
    """Return what a mutant does, the rule it breaks, and public code with the same mistake."""
    seen = f", seen in {mutant.seen}" if mutant.seen else ""
    return f"{mutant.description} [{mutant.name}, {mutant.rule}{seen}]"


def make_pool(implementation: Implementation, calls: Sequence[Call], expected: Wants) -> Pool:
    """Return a pool: these calls, their expected answers, the deviation of an implementation."""
    return Pool(calls, expected, deviation_of(implementation, calls, expected))


def rank_mutants(check: ConformanceCheck, pool: Pool) -> list[Match]:
    """Return each candidate mutant with the fraction of the deviation it explains, largest first.

    Only a mutant that explains over HALF of the deviation on FEW wrong calls runs on all calls.
    """
    matches, few = [], pool.first_wrong(FEW)
    for mutant in candidate_mutants(check):
        fraction = fraction_explained_by(mutant, few)
        if fraction > HALF and len(few.calls) < len(pool.calls):
            fraction = fraction_explained_by(mutant, pool)
        matches.append(Match(mutant, fraction))
    return sorted(matches, key=lambda match: -match.share)


def fraction_explained_by(mutant: Mutant, pool: Pool) -> float:
    """Return the fraction of the deviation of a pool that a mutant explains."""
    other = deviation_of(mutant_implementation(mutant), pool.calls, pool.expected)
    return explained_fraction(pool.deviation, other)


def candidate_mutants(check: ConformanceCheck) -> Iterable[Mutant]:
    """Return the mutants of the page of this check, and of all pages whose rules this page uses."""
    pages = {check.page, check.stem, *RESTS_ON.get(check.stem, ()), "numerics"}
    if check.level != "ops":
        pages |= {"model", "optimiser"} | set(RESTS_ON["model"]) | {"softmax", "squash"}
    return [mutant for mutant in suite_mutants() if mutant.page in pages]


@cache
def mutant_implementation(mutant: Mutant) -> Implementation:
    """Return an implementation that runs calls on the edited code of a mutant."""
    return BackendImplementation(backend_of(mutant))


def expected_or_none(call: Call, precision: Precision) -> dict[str, ExpectedArray] | None:
    """Return the expected answer; None for a call for which the reference raises."""
    if len({x.dtype for x in named_arrays(call.arrays).values() if is_float_array(x)}) > 1:
        return None  # `expected_answer` would convert all arrays to one dtype
    try:
        return expected_answer(call, precision)
    except Exception:
        return None


def deviation_of(implementation: Implementation, calls: Sequence[Call], expected: Wants) -> Parts:
    """Return the deviation of an implementation for each call and each expected array."""
    deviation: Parts = {}
    for number, (call, want) in enumerate(zip(calls, expected, strict=True)):
        answer = answer_or_empty(implementation, call)
        for name, expectation in (want or {}).items():
            if name in answer and answer[name].shape == expectation.value.shape:
                deviation[number, name] = deviation_beyond_bound(answer[name], expectation)
            else:
                deviation[number, name] = np.full(1, np.inf)
        if want is None:
            deviation[number, "refused"] = np.full(1, 0.0 if not answer else np.inf)
    return deviation


def answer_or_empty(implementation: Implementation, call: Call) -> Answer:
    """Return the arrays that an implementation returns for a call; none if it raises."""
    try:
        with np.errstate(all="ignore"):  # a copy of the call, because a mutant may write to it
            answer = implementation.answer(copy_call(call))
            return {name: np.array(x) for name, x in answer.items()}
    except FOREIGN_ERRORS:
        return {}


def deviation_beyond_bound(got: AnyArray, want: ExpectedArray) -> AnyArray:
    """Return got - want.value: 0 within the error bound, infinite if just one of them is finite."""
    value = np.asarray(want.value, np.float64)
    with np.errstate(all="ignore"):
        off = got.astype(np.float64) - value
    non_finite = ~np.isfinite(value)
    off = np.where(non_finite, np.where(np.isfinite(got), np.inf, 0), off)
    off = np.where(np.isnan(off), np.inf, off)
    return np.where(np.abs(off) <= want.allowed, 0, off)


def explained_fraction(deviation: Parts, other: Parts) -> float:
    """Return the fraction of a deviation that `other` explains: the mean over calls and arrays."""
    fractions = []
    for key, x in deviation.items():
        y = other.get(key, np.zeros(1))
        if x.any() or y.any():
            fractions.append(similarity(x, y))
    return float(np.mean(fractions)) if any(x.any() for x in deviation.values()) else 0.0


def similarity(x: AnyArray, y: AnyArray) -> float:
    """Return 1 - |x - y|^2 / max(|x|^2, |y|^2), at least 0.

    For entries that are infinite in x or y, the result is the fraction that is equal in both. If
    there are finite and infinite entries, the result is the smaller of the two numbers.
    """
    if x.shape != y.shape:
        return 0.0
    infinite = np.isinf(x) | np.isinf(y)
    met = float(np.mean(x[infinite] == y[infinite])) if infinite.any() else 1.0
    x, y = x[~infinite], y[~infinite]
    size = max(float(np.sum(x * x)), float(np.sum(y * y)))
    if not size:
        return met if infinite.any() else 0.0
    return min(met, max(0.0, 1 - float(np.sum((x - y) ** 2)) / size))
