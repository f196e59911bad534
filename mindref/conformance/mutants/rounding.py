"""Name mistakes that only lose digits. Two implementations do not lose the same digits.

So errors are compared in size, not in sign: in most wrong calls, the errors of the mutant must be
as large as those of the implementation, up to a factor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.conformance.mutants.deviation import Pool
from mindref.conformance.mutants.loader import Mutant
from mindref.conformance.mutants.matching import MOST, mutant_parts, spread_indices
from mindref.conformance.runner.call import float_arrays

MIN_CALLS = 4
MAX_DIGITS = 2.0**12
"""Errors above this multiple of eps, relative to the inputs and results, lose more than digits."""

FACTOR = 16.0
"""The errors of the mutant may be smaller or larger by this factor."""

NUM_FIRST = 4
"""A mutant first runs this number of wrong calls."""


def lost_digits(pool: Pool, candidates: Sequence[Mutant]) -> list[tuple[Mutant, int, int]]:
    """Return mutants with errors of the same size, the number of equal calls, and of wrong calls.

    The list is empty if the implementation has larger errors than those of rounding.
    """
    errors_tested = call_errors(pool, None)
    if len(errors_tested) < MIN_CALLS or not is_rounding(pool, errors_tested):
        return []
    matches = []
    few = pool.select(spread_indices(sorted(errors_tested), NUM_FIRST))
    for mutant in candidates:
        if not count_equal(call_errors(few, None), call_errors(few, mutant)):
            continue
        errors_mutant = call_errors(pool, mutant)
        equal = count_equal(errors_tested, errors_mutant)
        if is_rounding(pool, errors_mutant) and equal >= MOST * len(
            errors_tested.keys() | errors_mutant.keys()
        ):
            matches.append((mutant, equal, len(errors_tested)))
    return sorted(matches, key=lambda match: -match[1])


def call_errors(pool: Pool, mutant: Mutant | None) -> dict[int, float]:
    """Return the largest error of each wrong call: of `mutant`, or of the tested implementation."""
    parts = pool.parts if mutant is None else mutant_parts(mutant, pool)
    errors: dict[int, float] = {}
    for (call, _), part in parts.items():
        wrong = np.abs(part.deviation)[part.wrong] if part.wrong.any() else np.zeros(0)
        if wrong.size:
            errors[call] = max(errors.get(call, 0.0), float(np.max(wrong)))
    return errors


def is_rounding(pool: Pool, errors: dict[int, float]) -> bool:
    """Return whether all errors are a few units of rounding of the numbers of the call."""
    return all(
        error <= MAX_DIGITS * np.finfo(pool.calls[call].dtype).eps * largest_number(pool, call)
        for call, error in errors.items()
    )


def largest_number(pool: Pool, index: int) -> float:
    """Return the largest finite number of the inputs and results of a call, but at least 1."""
    want = pool.expected[index] or {}
    arrays = [np.asarray(x.value) for x in want.values()] + float_arrays(pool.calls[index])
    finite = [np.abs(x[np.isfinite(x)]) for x in arrays if x.dtype.kind == "f"]
    return max([1.0, *(float(np.max(x, initial=0)) for x in finite)])


def count_equal(errors_tested: dict[int, float], errors_mutant: dict[int, float]) -> int:
    """Return the number of calls whose errors have the same size, up to FACTOR."""
    common = errors_tested.keys() & errors_mutant.keys()
    return sum(1 / FACTOR <= errors_tested[call] / errors_mutant[call] <= FACTOR for call in common)
