"""Describe which magnitude of an array separates right calls from wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mindref.conformance.mutants.call_variants import scale_array
from mindref.conformance.mutants.wrong_calls import MIN_CALLS, Subject
from mindref.conformance.runner.call import AnyArray, Call, is_float_array
from mindref.conformance.runner.reference import reference_answer

MODERATE = 2.0**7
"""A sentence that states no magnitude, only factors, has factors within this range."""

SCALES = tuple(2.0**k for k in (-3, 3, -7, 7, -12, 12, -20, 20, 30))
MAGNITUDES = (16.0, 1.0, 2.0**-7, 2.0**-20)
"""Factors of an array that are tested, and largest absolute values, in this order."""
PRECISE = 1.1
"""Largest ratio of the factors between which a limit lies."""
MAX_BISECTIONS = 20

BEYOND = (1, 3, 7, 12)
"""Exponents of 2: factors beyond a limit that are tested, because a mistake may affect a range of
magnitudes only."""

STATISTICS: dict[str, Callable[[AnyArray], float]] = {
    "largest absolute value": lambda x: float(np.max(np.abs(x), initial=0)),
    "largest value": lambda x: float(np.max(x, initial=-np.inf)),
    "smallest absolute value other than 0": lambda x: float(
        np.min(np.abs(x)[x != 0], initial=np.inf)
    ),
    "smallest norm": lambda x: float(np.min(row_norms(x), initial=np.inf)),
    "largest norm": lambda x: float(np.max(row_norms(x), initial=0)),
}
"""Name -> statistic of an array that may decide whether a call is wrong."""


def row_norms(x: AnyArray) -> AnyArray:
    """Return the norms, other than 0, of the vectors along the last axis of x."""
    scale = np.max(np.abs(x), initial=0) or 1.0
    with np.errstate(all="ignore"):  # inputs may be infinite, and a norm may overflow
        norms: AnyArray = scale * np.sqrt(np.sum((np.atleast_1d(x) / scale) ** 2, axis=-1))
    return norms[norms > 0]


def unmasked_entries(call: Call, name: str) -> AnyArray:
    """Return the array `name` of `call` in float64, without masked entries."""
    x, mask = np.asarray(call.arrays[name], np.float64), call.arrays.get("mask")
    if not isinstance(mask, np.ndarray):
        return x
    if mask.shape == x.shape[: mask.ndim]:
        return x[mask]
    try:
        return x[np.broadcast_to(mask, x.shape)]
    except ValueError:
        return x


def result_of(call: Call, name: str, factor: float) -> AnyArray:
    """Return the reference's result of `call` with one array multiplied by `factor`."""
    with np.errstate(all="ignore"):
        answer = reference_answer(scale_array(call, name, factor).forward_only())
    return np.asarray(next(iter(answer.values())), np.float64)


def describe_scales(subject: Subject, bases: Sequence[Call], right: Sequence[Call]) -> list[str]:
    """Return a sentence about the size of the numbers in one array, if it decides.

    right: right calls, which may differ from the wrong calls in other ways, too.
    """
    for name, x in bases[0].arrays.items():
        if isinstance(x, np.ndarray) and is_float_array(x):
            limits = []
            for position, base in enumerate(bases):
                limit = find_limit(subject, base, name)
                limits += [] if limit is None else [(base, limit)]
                if len(limits) < position:  # the limits of two calls are unknown
                    break
            if len(limits) >= MIN_CALLS and (text := describe_limits(name, limits, right)):
                return [text]
    return []


class Limit(NamedTuple):
    """Two factors of an array: the call is right with one, and wrong with the other."""

    right: float
    wrong: float
    is_band: bool  # the call is right with a factor beyond `wrong`, too


def find_limit(subject: Subject, base: Call, name: str) -> Limit | None:
    """Return factors of an array that differ by at most PRECISE.

    None if no factor is right, or if a call with a factor is invalid.
    """
    array = np.asarray(base.arrays[name])
    if not np.isfinite(array).all() or not array.any():
        return None
    right, wrong = 0.0, 1.0
    largest = float(np.max(np.abs(array)))
    for factor in (*SCALES, *(magnitude / largest for magnitude in MAGNITUDES)):
        if not np.isfinite(factor) or not scale_array(base, name, factor).arrays[name].any():
            continue
        if subject.is_wrong(scale_array(base, name, factor)) is False:
            right = factor
            break
    if not right:
        return None
    for _ in range(MAX_BISECTIONS):
        if max(right, wrong) <= PRECISE * min(right, wrong):
            break
        middle = float(np.sqrt(right) * np.sqrt(wrong))  # the product may overflow
        verdict = subject.is_wrong(scale_array(base, name, middle))
        if verdict is None:
            return None
        right, wrong = (right, middle) if verdict else (middle, wrong)
    away = 2.0 if wrong > right else 0.5
    scaled = [scale_array(base, name, wrong * away**k) for k in BEYOND]  # conformance-R32
    beyond = [x for x in scaled if np.isfinite(x.arrays[name]).all() and x.arrays[name].any()]
    return Limit(right, wrong, any(subject.is_wrong(call) is False for call in beyond))


def describe_limits(
    name: str, limits: Sequence[tuple[Call, Limit]], right_calls: Sequence[Call]
) -> str:
    """Return a sentence about the magnitude of the array `name`, or of the result, or "".

    limits: calls, each with two factors of the array. No call of `right_calls` is beyond all these
    calls. If a call is right again beyond its limit, only factors are stated.
    """
    factors = [limit.right for _, limit in limits]
    if any(limit.is_band for _, limit in limits):
        return factor_text(name, factors)
    support = f"({len(limits)} calls, with {name} multiplied by a factor)"
    calls = [call for call, _ in limits]
    with np.errstate(over="ignore"):
        arrays = [[unmasked_entries(call, name) * x for x in limit[:2]] for call, limit in limits]
    results = [[result_of(call, name, x) for x in limit[:2]] for call, limit in limits]
    sources: tuple[tuple[str, list[list[AnyArray]], Callable[[Call], AnyArray]], ...] = (
        (name, arrays, lambda call: unmasked_entries(call, name)),
        ("the expected result", results, lambda call: result_of(call, name, 1.0)),
    )
    for array_name, pairs, array_of in sources:
        drawn_arrays, right_arrays = ([array_of(x) for x in xs] for xs in (calls, right_calls))
        for words, statistic in STATISTICS.items():
            right = [statistic(x) for x, _ in pairs]
            wrong = [statistic(x) for _, x in pairs]
            drawn = [statistic(x) for x in drawn_arrays]
            passing = [statistic(x) for x in right_arrays]  # conformance-R32
            if max(right) < min(wrong) and max(passing, default=-np.inf) <= max(drawn):
                bounds = f"at most {max(right):.3g}, wrong from {min(wrong):.3g} on"
                return f"right while the {words} of {array_name} is {bounds} {support}"
            if max(wrong) < min(right) and min(passing, default=np.inf) >= min(drawn):
                bounds = f"at least {min(right):.3g}, wrong up to {max(wrong):.3g}"
                return f"right while the {words} of {array_name} is {bounds} {support}"
    return factor_text(name, factors)


def factor_text(name: str, factors: Sequence[float]) -> str:
    """Return a sentence about moderate factors of the array `name` that make calls right, or ""."""
    if min(factors) >= 1 / MODERATE and max(factors) < 1:
        return f"right if {name} is multiplied by {min(factors):.3g} ({len(factors)} calls)"
    if min(factors) > 1 and max(factors) <= MODERATE:
        return f"right if {name} is multiplied by {max(factors):.3g} ({len(factors)} calls)"
    return ""
