"""Describe when the results of an implementation are wrong: the conditions of a mistake.

Each sentence rests on calls that differ in one setting, size or property, or on the positions of
the wrong numbers. Only words about "other wrong calls" rest on calls that differ in more. If too
few calls are right or wrong, no sentence is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mindref.conformance.mutants.call_variants import (
    CallFactor,
    Level,
    factors_of,
    level_of,
    perturb_call,
    variants,
)
from mindref.conformance.mutants.deviation import Pool, deviation_of, similarity
from mindref.conformance.mutants.magnitudes import describe_scales
from mindref.conformance.mutants.matching import spread_indices
from mindref.conformance.mutants.wrong_calls import MIN_CALLS, Subject
from mindref.conformance.runner.call import Call, Implementation, unclaimed_options

MIN_BEYOND = 2  # conformance-R32
"""At least this many sizes beyond a threshold are tested."""

MAX_BASES = 4
"""Number of wrong calls whose variants run."""

MAX_SENTENCES = 2

BATCH = ("B", "M", "first")
"""Axes of users or rows. Along other axes, many mistakes have no effect if the size is 1."""


class Outcomes(NamedTuple):
    """Which levels of a factor are wrong, in all tested calls."""

    wrong: tuple[Level, ...]
    right: tuple[Level, ...]


def describe_conditions(
    subject: Subject, wrong: Sequence[Call], calls: Sequence[Call]
) -> list[str]:
    """Return sentences about the settings, sizes, properties or numbers that make calls wrong.

    wrong: wrong calls; calls: all calls, whose settings are tested.
    """
    bases = base_calls(subject, wrong)
    if len(bases) < MIN_CALLS:
        return []
    support = support_text(min(len(wrong), MAX_BASES), len(bases))
    right = [call for call in calls if not any(call is other for other in wrong)]
    sentences: list[str] = []
    weak: list[str] = []
    for factor in factors_of(calls):
        outcomes = compare_levels(subject, factor, bases, calls)
        if outcomes is not None:
            right_levels = [level for call in right for level in level_of(call, factor)]
            wrong_levels = [level for call in wrong for level in level_of(call, factor)]
            text = condition_text(factor, outcomes, support, right_levels, wrong_levels)
            trivial = factor.kind == "size" and factor.name not in BATCH and outcomes.right == (1,)
            if text:
                (weak if trivial else sentences).append(text)
        if len(sentences) == MAX_SENTENCES:
            return sentences
    sentences += describe_scales(subject, bases, right) if calls[0].level == "ops" else []
    return sentences or weak[:1]


def base_calls(subject: Subject, wrong: Sequence[Call]) -> list[Call]:
    """Return some wrong calls. If they are few, add calls with slightly other numbers."""
    bases = [wrong[index] for index in spread_indices(range(len(wrong)), MAX_BASES)]
    if len(bases) == MAX_BASES:
        return bases
    rng = np.random.default_rng(0)
    for call in wrong:
        while len(bases) < MAX_BASES and subject.is_wrong(near := perturb_call(call, rng)):
            bases.append(near)
    return bases


def support_text(num_drawn: int, num_bases: int) -> str:
    """Return words about the number of tested calls: drawn ones, and copies with other numbers."""
    if num_drawn == num_bases:
        return f"({num_bases} calls, otherwise unchanged)"
    drawn = "1 call" if num_drawn == 1 else f"{num_drawn} calls"
    return f"({drawn}, and {num_bases - num_drawn} with other numbers, otherwise unchanged)"


def compare_levels(
    subject: Subject, factor: CallFactor, bases: Sequence[Call], calls: Sequence[Call]
) -> Outcomes | None:
    """Return the levels that are wrong and right in all `bases`; None if no rule fits all.

    Each call must be wrong at some level and right at another one.
    """
    verdicts: dict[Level, bool] = {}
    for base in bases:
        answers = {
            level: subject.is_wrong(call)
            for level, call in safe_variants(base, factor, calls)
            if not unclaimed_options(subject.implementation, call)
        }
        seen = {level: wrong for level, wrong in answers.items() if wrong is not None}
        if set(seen.values()) != {True, False}:  # conformance-R32
            return None
        if any(verdicts.setdefault(level, wrong) != wrong for level, wrong in seen.items()):
            return None
    wrong = tuple(level for level, is_wrong in verdicts.items() if is_wrong)
    right = tuple(level for level, is_wrong in verdicts.items() if not is_wrong)
    return Outcomes(wrong, right)


def safe_variants(
    base: Call, factor: CallFactor, calls: Sequence[Call]
) -> Iterator[tuple[Level, Call]]:
    """Yield level and variant of `base`; nothing if the variants cannot be made."""
    try:
        with np.errstate(all="ignore"):
            changed = variants(base, factor, calls)
    except Exception:
        return
    yield from changed.items()


def condition_text(
    factor: CallFactor,
    outcomes: Outcomes,
    support: str,
    right: Sequence[Level],
    wrong: Sequence[Level],
) -> str:
    """Return a sentence about the levels of wrong calls; "" if a right level has a wrong call.

    support: words about the tested calls. right, wrong: the levels of right calls and of wrong
    calls, which may differ from each other in other ways, too.
    """
    if factor.kind == "property":
        return f"wrong only with {factor.name} {support}"
    if set(wrong) & set(outcomes.right):  # conformance-R32
        return ""
    if factor.is_ordered and (text := threshold_text(factor.name, outcomes, right, wrong)):
        return f"{text} {support}"
    untested = sorted(set(wrong) - set(outcomes.wrong), key=str)
    end = f"; other wrong calls have {factor.name} = {join_levels(untested)}" if untested else ""
    return (
        f"wrong with {factor.name} = {join_levels(outcomes.wrong)};"
        f" right with {join_levels(outcomes.right)} {support}{end}"
    )


def threshold_text(
    name: str, outcomes: Outcomes, right_calls: Sequence[Level], wrong_calls: Sequence[Level]
) -> str:
    """Return words about the size at which the calls become wrong, or "".

    Beyond the threshold, at least MIN_BEYOND sizes were tested, and no right call of the pool has
    a size beyond those: a mistake at K = 3 alone is not "wrong from 3 on". All wrong calls are on
    the wrong side of the threshold.
    """
    right, wrong = sorted(map(int, outcomes.right)), sorted(map(int, outcomes.wrong))
    sizes = [int(level) for level in right_calls]  # conformance-R32
    wrong_sizes = [int(level) for level in wrong_calls] + wrong
    if (
        max(right) < min(wrong_sizes)
        and len(wrong) >= MIN_BEYOND
        and max(sizes, default=0) <= max(wrong)
    ):
        end = "from {} on" if min(wrong) == max(right) + 1 else "at {} and above"
        return f"right up to {name} = {max(right)}, wrong {end.format(min(wrong))}"
    if (
        max(wrong_sizes) < min(right)
        and len(right) >= MIN_BEYOND
        and min(sizes, default=min(wrong)) >= min(wrong)
    ):
        return f"wrong up to {name} = {max(wrong)}, right from {min(right)} on"
    return ""


def join_levels(levels: Sequence[Level]) -> str:
    """Return the levels as words, such as "1, 2 and 4"."""
    words = [f'"{x}"' if isinstance(x, str) else str(x) for x in levels]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def describe_arrays(pool: Pool) -> list[str]:
    """Return a sentence that names the wrong arrays, if other arrays of these calls are right."""
    wrong_calls = set(pool.wrong_calls)
    names = [{n for (index, n) in pool.parts if index == call} for call in wrong_calls]
    wrong = {n for (call, n), part in pool.parts.items() if part.wrong.any()}
    right = set.intersection(*names) - wrong if names else set()
    if len(wrong_calls) < MIN_CALLS or not right:
        return []
    count = f"in the same {len(wrong_calls)} calls"
    return [f"wrong: {', '.join(sorted(wrong))}; right {count}: {', '.join(sorted(right))}"]


def describe_repetition(implementation: Implementation, pool: Pool) -> list[str]:
    """Return a sentence if the same call gives different answers."""
    changing = tested = 0
    for index in pool.wrong_calls[:MAX_BASES]:
        call, want = pool.calls[index], pool.expected[index]
        if want is None:
            continue
        first, second = (
            deviation_of(implementation, [call], [want], pool.gradients) for _ in range(2)
        )
        tested += 1
        changing += any(
            similarity(first[key].deviation, part.deviation, part.allowed) < 1
            for key, part in second.items()
            if part.wrong.any() or first[key].wrong.any()
        )
    if not changing:
        return []
    return [
        f"the same call gives another answer when it is repeated ({changing} of {tested} calls)"
    ]
