"""Which known mistake explains what an implementation answers.

Both the subject and every variant of the catalogue are asked the same calls. What the subject's
answers lack to the reference's is compared with what each variant's lack, call by call and part by
part; a mistake is named when it explains nearly all of it, and nothing is named otherwise.

The calls are those that the failed check is fed with. A subject that is right on all of them is
asked those of the failure as well. Where something was answered that should have been refused, only
that is asked: what else is wrong with the answers has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.judging.call import Answer, Anything, Call, is_float, leaves, mapped
from mindref.conformance.judging.check import RESTS_ON, Check, all_checks
from mindref.conformance.judging.engine import drawn
from mindref.conformance.judging.reference import Expected, expected, plainly
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend, Subject
from mindref.conformance.variants.loader import Variant, backend_of, catalogue
from mindref.errors import STRANGE

NAMED = 0.99
"""The least share of the residual that a mistake must explain before it is named."""

POOL = {"ops": 16, "model": 16, "train": 4}
"""Level -> how many calls are compared; a training is many steps, and dear."""

FEW, HALF = 2, 0.5
"""How many wrong calls a variant is tried on first, and the share that is worth going on."""

Parts = dict[tuple[int, str], Anything]
"""(call, part) -> the residual there, in allowed errors; zero where it is within them."""


class Pool(NamedTuple):
    """Calls, what the reference answers to them, and what a subject's answers lack to that."""

    calls: Sequence[Call]
    wants: Sequence[dict[str, Expected] | None]
    lacking: Parts

    @property
    def wrong(self) -> bool:
        """Return whether any answer is wrong."""
        return any(part.any() for part in self.lacking.values())

    def first_wrong(self, count: int) -> Pool:
        """Return only the first calls whose answers are wrong."""
        wrong = sorted({place[0] for place, part in self.lacking.items() if part.any()})[:count]
        numbers = {call: number for number, call in enumerate(wrong)}
        lacking = {(numbers[c], n): x for (c, n), x in self.lacking.items() if c in numbers}
        return Pool([self.calls[c] for c in wrong], [self.wants[c] for c in wrong], lacking)


class Match(NamedTuple):
    """A variant and the share of the residual that it explains."""

    variant: Variant
    share: float


def diagnose(subject: Subject, result: Result, seed: int = 0) -> str:
    """Say which mistake of the catalogue explains a failed result, or that none does."""
    check = next(c for c in all_checks() if c.name == result.check)
    precision = Precision.of(result.precision.split("/"))
    if result.evidence is not None and result.evidence.kind == "answered":
        pool, where = to_be_refused(subject, result.evidence.calls), "in the calls of this failure"
    else:
        pool, where = compared(subject, check, result, precision, seed)
    matches = ranked(check, pool)
    best = [m for m in matches if m.share >= max(NAMED, matches[0].share - 1e-3)]
    if best:  # conformance-R16
        shares = f"{100 * best[0].share:.1f} % of the residual {where}"
        names = "; or, no different on these calls: ".join(said(m.variant) for m in best[:3])
        return f"your result equals the reference with this mistake: {names} ({shares})"
    known = [v for v in catalogue() if v.breaks == check.rules[0]]
    text = "no match among the known mistakes"
    if matches and matches[0].share > HALF:
        nearest = matches[0]
        text += f"; nearest: {said(nearest.variant)} ({100 * nearest.share:.0f} %)"
    if known:
        text += f"; mistakes that break {check.rules[0]}: " + "; ".join(v.what for v in known[:3])
    return text


def compared(
    subject: Subject, check: Check, result: Result, precision: Precision, seed: int
) -> tuple[Pool, str]:
    """Return the calls that tell mistakes apart, and in words which they are."""
    count = POOL[check.level]
    calls = [call.to(precision.input) for call in drawn(check, count, seed)]
    pool, where = asked_of(subject, calls, precision), f"over {count} calls"
    if not pool.wrong and result.evidence is not None:  # only what the check made of them tells
        calls, where = [*calls, *result.evidence.calls], "in the calls of this failure"
        pool = asked_of(subject, calls, precision)
    return pool, where


def to_be_refused(subject: Subject, calls: Sequence[Call]) -> Pool:
    """Return those of the calls that are to be refused: only who answers them, too, is alike."""
    refused = [call for call in calls if is_refused(call)]
    wants = [None] * len(refused)
    return Pool(refused, wants, residual(subject, refused, wants))


def is_refused(call: Call) -> bool:
    """Return whether the reference refuses a call, in its own type."""
    try:
        plainly(call)
    except Exception:
        return True
    return False


def said(variant: Variant) -> str:
    """Say what a variant does, which rule it breaks and who is known to do so."""
    seen = f", seen in {variant.seen}" if variant.seen else ""
    return f"{variant.what} [{variant.name}, {variant.breaks}{seen}]"


def asked_of(subject: Subject, calls: Sequence[Call], precision: Precision) -> Pool:
    """Ask the subject, and return by how much it is off."""
    wants = [expected_or_none(call, precision) for call in calls]
    return Pool(calls, wants, residual(subject, calls, wants))


def ranked(check: Check, pool: Pool) -> list[Match]:
    """Return every candidate with the share of the residual that it explains, the best first.

    Who explains less than half of the first wrong calls is asked no more.
    """
    found, few = [], pool.first_wrong(FEW)
    for variant in candidates(check):
        share = explained_by(variant, few)
        if share > HALF and len(few.calls) < len(pool.calls):
            share = explained_by(variant, pool)
        found.append(Match(variant, share))
    return sorted(found, key=lambda match: -match.share)


def explained_by(variant: Variant, pool: Pool) -> float:
    """Return the share of the residual that a variant explains."""
    return explained(pool.lacking, residual(of_variant(variant.name), pool.calls, pool.wants))


def candidates(check: Check) -> Iterable[Variant]:
    """Return the variants that could show in this check: of its page and of those below it."""
    pages = {check.page, check.stem, *RESTS_ON.get(check.stem, ()), "numerics"}
    if check.level != "ops":
        pages |= {"model", "optimiser"} | set(RESTS_ON["model"]) | {"softmax", "squash"}
    return [variant for variant in catalogue() if variant.page in pages]


@cache
def of_variant(name: str) -> Subject:
    """Return a variant as a subject."""
    return OfBackend(backend_of(next(v for v in catalogue() if v.name == name)))


def expected_or_none(call: Call, precision: Precision) -> dict[str, Expected] | None:
    """Return what is expected; None for a question that the reference refuses."""
    if len({x.dtype for x in leaves(call.arrays).values() if is_float(x)}) > 1:
        return None  # `expected` would compute in one type
    try:
        return expected(call, precision)
    except Exception:
        return None


def residual(
    subject: Subject, calls: Sequence[Call], wants: Sequence[dict[str, Expected] | None]
) -> Parts:
    """Return by call and part what the answers lack to the reference's."""
    found: Parts = {}
    for number, (call, want) in enumerate(zip(calls, wants, strict=True)):
        answer = asked(subject, call)
        for name, expectation in (want or {}).items():
            if name in answer and answer[name].shape == expectation.value.shape:
                found[number, name] = apart(answer[name], expectation)
            else:
                found[number, name] = np.full(1, np.inf)
        if want is None:
            found[number, "refused"] = np.full(1, 0.0 if not answer else np.inf)
    return found


def asked(subject: Subject, call: Call) -> Answer:
    """Return an answer, empty if the subject raises."""
    try:
        with np.errstate(all="ignore"):
            return {name: np.array(x) for name, x in subject.answer(own(call)).items()}
    except STRANGE:
        return {}


def own(call: Call) -> Call:
    """Return the call with copies of its floats: a mistake may be to write to them."""
    arrays, cotangent = mapped(np.array, call.arrays), mapped(np.array, call.cotangent)
    return call._replace(arrays=arrays, cotangent=cotangent)


def apart(got: Anything, want: Expected) -> Anything:
    """Return got - value: zero within the allowed error, infinite where the kinds differ."""
    value = np.asarray(want.value, np.float64)
    with np.errstate(all="ignore"):
        off = got.astype(np.float64) - value
    strange = ~np.isfinite(value)
    off = np.where(strange, np.where(np.isfinite(got), np.inf, 0), off)
    off = np.where(np.isnan(off), np.inf, off)
    return np.where(np.abs(off) <= want.allowed, 0, off)


def explained(mine: Parts, theirs: Parts) -> float:
    """Return the mean share, over calls and parts with a residual, of mine that theirs explains."""
    shares = []
    for place, x in mine.items():
        y = theirs.get(place, np.zeros(1))
        if x.any() or y.any():
            shares.append(alike(x, y))
    return float(np.mean(shares)) if any(x.any() for x in mine.values()) else 0.0


def alike(x: Anything, y: Anything) -> float:
    """Return 1 - |x - y|^2 / max(|x|^2, |y|^2), at least 0.

    Infinite entries must be infinite in both; both they and the finite ones must be explained.
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
