"""Diagnose a failed check: find the mutant that makes the same errors as the implementation.

The implementation under test and every mutant run the same calls. The deviation is the difference
between a returned array and the array of the reference. A mutant is the mistake only if its
deviation explains at least 99 % of the deviation of the implementation.

The calls are drawn as for the failed check. If the implementation is right on all drawn calls, the
calls that failed are added. If invalid calls raised no error, only these calls are compared.
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
from mindref.conformance.runner.check import FAMILY_OF, RESTS_ON, ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import draw_calls
from mindref.conformance.runner.reference import ExpectedArray, expected_answer, reference_answer
from mindref.conformance.runner.result import CheckResult
from mindref.errors import FOREIGN_ERRORS

MIN_EXPLAINED = 0.99
"""A mutant is the mistake only if it explains at least this fraction of the deviation."""

POOL = {"ops": 16, "model": 16, "train": 4}
"""Backend level -> number of calls to compare. The calls of the level "train" are slow."""

FEW, HALF = 2, 0.5
"""A mutant first runs FEW calls. It runs all calls if it explains over HALF of the deviation."""

Wants = Sequence[dict[str, ExpectedArray] | None]
"""The expected answer of each call, or None if the reference raises an error."""

Parts = dict[tuple[int, str], AnyArray]
"""(index of a call, array such as "out" or "d_x") -> deviation, which is 0 within the bound."""


class Pool(NamedTuple):
    """Calls, their expected answers, and the deviation of the implementation under test."""

    calls: Sequence[Call]
    expected: Wants
    deviation: Parts

    @property
    def wrong(self) -> bool:
        """Return whether any deviation is not zero."""
        return any(part.any() for part in self.deviation.values())

    def first_wrong(self, count: int) -> Pool:
        """Return a pool of the first `count` calls that the implementation answered wrongly."""
        wrong = sorted({key[0] for key, part in self.deviation.items() if part.any()})[:count]
        numbers = {call: number for number, call in enumerate(wrong)}
        deviation = {(numbers[c], n): x for (c, n), x in self.deviation.items() if c in numbers}
        return Pool([self.calls[c] for c in wrong], [self.expected[c] for c in wrong], deviation)


class Match(NamedTuple):
    """A mutant, and the fraction of the deviation that it explains."""

    mutant: Mutant
    share: float


def diagnose(implementation: Implementation, result: CheckResult, seed: int = 0) -> str:
    """Return a text that names the mutants that explain `result`, or states that none does."""
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
    """Return the pool of calls to compare, and a text that describes these calls in the report."""
    count = POOL[check.level]
    calls = [call.to(precision.input) for call in draw_calls(check, count, seed)]
    expected = [expected_or_none(call, precision) for call in calls]
    pool, description = make_pool(implementation, calls, expected), f"over {count} calls"
    if not pool.wrong and result.evidence is not None:
        # all answers to drawn calls are right, so add the calls that failed
        calls, description = [*calls, *result.evidence.calls], "in the calls of this failure"
        expected += [expected_or_none(call, precision) for call in result.evidence.calls]
        pool = make_pool(implementation, calls, expected)
    return pool, description


def reference_raises(call: Call) -> bool:
    """Return whether the reference raises an error for `call`."""
    try:
        reference_answer(call)
    except Exception:
        return True
    return False


def describe_mutant(mutant: Mutant) -> str:
    """Return a text: the mistake, the name, the broken rule, and public code with the mistake."""
    seen = f", seen in {mutant.seen}" if mutant.seen else ""
    return f"{mutant.description} [{mutant.name}, {mutant.rule}{seen}]"


def make_pool(implementation: Implementation, calls: Sequence[Call], expected: Wants) -> Pool:
    """Run `calls` on `implementation`, and return a pool with the deviation."""
    return Pool(calls, expected, deviation_of(implementation, calls, expected))


def rank_mutants(check: ConformanceCheck, pool: Pool) -> list[Match]:
    """Return the mutants with the fraction of the deviation that each explains, largest first."""
    matches, few = [], pool.first_wrong(FEW)
    for mutant in candidate_mutants(check):
        fraction = fraction_explained_by(mutant, few)
        if fraction > HALF and len(few.calls) < len(pool.calls):
            fraction = fraction_explained_by(mutant, pool)
        matches.append(Match(mutant, fraction))
    return sorted(matches, key=lambda match: -match.share)


def fraction_explained_by(mutant: Mutant, pool: Pool) -> float:
    """Return the fraction of the deviation in `pool` that `mutant` explains."""
    other = deviation_of(mutant_implementation(mutant), pool.calls, pool.expected)
    return explained_fraction(pool.deviation, other)


def candidate_mutants(check: ConformanceCheck) -> Iterable[Mutant]:
    """Return the mutants of the specification page of `check` and of the pages it depends on."""
    pages = {check.page, check.stem, *RESTS_ON.get(check.stem, ()), "numerics"}
    if check.level != "ops":
        pages |= {"model", "optimiser"} | set(RESTS_ON["model"]) | {"softmax", "squash"}
    pages |= {page for page, family in FAMILY_OF.items() if family == check.family}
    return [mutant for mutant in suite_mutants() if mutant.page in pages]


@cache
def mutant_implementation(mutant: Mutant) -> Implementation:
    """Return an implementation that runs calls on the code of `mutant`."""
    return BackendImplementation(backend_of(mutant))


def expected_or_none(call: Call, precision: Precision) -> dict[str, ExpectedArray] | None:
    """Return the expected answer of `call`, or None if `call` must raise an error."""
    if len({x.dtype for x in named_arrays(call.arrays).values() if is_float_array(x)}) > 1:
        return None  # mixed dtypes must raise an error, but `expected_answer` converts them
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
    """Return the answer of `implementation` to `call`, or an empty dict if it raises an error."""
    try:
        with np.errstate(all="ignore"):  # copy the call, because a mutant may write to its arrays
            answer = implementation.answer(copy_call(call))
            return {name: np.array(x) for name, x in answer.items()}
    except FOREIGN_ERRORS:
        return {}


def deviation_beyond_bound(got: AnyArray, want: ExpectedArray) -> AnyArray:
    """Return got - want.value, but 0 within the error bound, and infinity if only one is finite."""
    value = np.asarray(want.value, np.float64)
    with np.errstate(all="ignore"):
        off = got.astype(np.float64) - value
    non_finite = ~np.isfinite(value)
    off = np.where(non_finite, np.where(np.isfinite(got), np.inf, 0), off)
    off = np.where(np.isnan(off), np.inf, off)
    return np.where(np.abs(off) <= want.allowed, 0, off)


def explained_fraction(deviation: Parts, other: Parts) -> float:
    """Return the mean similarity of the arrays in `deviation` to the same arrays in `other`."""
    fractions = []
    for key, x in deviation.items():
        y = other.get(key, np.zeros(1))
        if x.any() or y.any():
            fractions.append(similarity(x, y))
    return float(np.mean(fractions)) if any(x.any() for x in deviation.values()) else 0.0


def similarity(x: AnyArray, y: AnyArray) -> float:
    """Return 1 - |x - y|^2 / max(|x|^2, |y|^2) for the finite entries, but at least 0.

    If entries are infinite in x or y, compute the fraction of these entries that are equal in x and
    y. If this fraction is smaller, or if all other entries are 0, return the fraction.
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
