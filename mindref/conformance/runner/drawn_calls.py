"""Draw the calls of a check with Hypothesis.

Hypothesis draws the sizes and options of a call. The numbers in arrays come from random generators,
whose seeds Hypothesis draws. Equal seeds give equal calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider

from mindref.conformance.runner.call import Call, named_arrays
from mindref.conformance.runner.check import ConformanceCheck

MIN_DRAWN, MAX_CACHED = 5, 100
"""Hypothesis plans at least MIN_DRAWN calls of a check. More than MAX_CACHED are not cached."""

WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)
WITH_SHRINKING = (*WITHOUT_SHRINKING, Phase.shrink)

CONSTANT_METHOD = "_maybe_draw_constant"


def call_for_check(check: ConformanceCheck, call: Call) -> Call:
    """Return `call`, without the cotangent if `check` tests no gradients."""
    return call if check.gradient else call.forward_only()


def draw_calls(check: ConformanceCheck, count: int, seed: int = 0) -> tuple[Call, ...]:
    """Draw up to `count` calls for `check`, in float64. Equal seeds give equal calls."""
    key = (check.draws, max(count, MIN_DRAWN), seed)
    calls = DRAWN.get(key, ())
    if len(calls) < count:
        calls = cached_calls.__wrapped__(*key, count)
        if count <= MAX_CACHED:
            DRAWN[key] = calls
    return tuple(call_for_check(check, call) for call in calls[:count])


DRAWN: dict[tuple[st.SearchStrategy[Call], int, int], tuple[Call, ...]] = {}
"""Arguments of `cached_calls` -> the most calls that were drawn. Each precision uses them."""


class EnoughDrawn(BaseException):
    """Ends the drawing of calls. Hypothesis does not catch it."""


@lru_cache(maxsize=1024)  # drawing is slow
def cached_calls(
    strategy: st.SearchStrategy[Call], count: int, seed: int, needed: int | None = None
) -> tuple[Call, ...]:
    """Draw up to `count` calls from `strategy`. The first call is the simplest.

    If `needed` is less than `count`, return the first `needed` of these calls: a call of level
    "train" takes a second.
    """
    calls: list[Call] = []

    def add_call(call: Call) -> None:
        calls.append(call)
        if len(calls) == needed:
            raise EnoughDrawn

    with suppress(EnoughDrawn):
        run_hypothesis(strategy, add_call, count, seed, WITHOUT_SHRINKING)
    return tuple(calls)


def run_hypothesis(
    strategy: st.SearchStrategy[Call],
    example: Callable[[Call], None],
    count: int,
    seed: int,
    phases: tuple[Phase, ...],
) -> None:
    """Run `example` on calls drawn from `strategy`. If `example` raises an error, raise it."""

    def test(call: Call) -> None:
        example(call)

    settings = hypothesis.settings(
        max_examples=count,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    with without_source_constants():  # conformance-R7
        hypothesis.seed(seed)(settings(hypothesis.given(strategy)(test)))()


@contextmanager
def without_source_constants() -> Iterator[None]:
    """Make the drawn calls independent of which modules are loaded.

    By default, Hypothesis draws some numbers from the source code of loaded modules. Then one seed
    gives different calls if, for example, a backend is installed. Hypothesis has no setting to
    prevent this.
    """
    before = getattr(HypothesisProvider, CONSTANT_METHOD, None)
    if before is None:  # this version of Hypothesis has no such constants
        yield
        return
    setattr(HypothesisProvider, CONSTANT_METHOD, draw_no_constant)
    try:
        yield
    finally:
        setattr(HypothesisProvider, CONSTANT_METHOD, before)


def draw_no_constant(*args: Any, **options: Any) -> None:
    """Return None instead of a constant. This function replaces a method of Hypothesis."""


def call_size(call: Call) -> int:
    """Return the number of array elements of `call`."""
    return sum(x.size for x in named_arrays(call.arrays).values())
