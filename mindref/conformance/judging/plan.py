"""Which checks a backend is judged by, and one of them: claimed, its own code, no null, the engine.

Spec: specs/conformance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mindref.backend import NumpyBackend
from mindref.conformance.bounds import Precision
from mindref.conformance.judging import fallback, gates
from mindref.conformance.judging.check import NEEDS, Check
from mindref.conformance.judging.engine import Effort, run_check, sample
from mindref.conformance.judging.manifest import force
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend

LOGIC = ("float64", "float32")


class Profile(NamedTuple):
    """How thorough a judgement is."""

    examples: int
    gate_examples: int  # shown to the nulls before each check


PROFILES = {"smoke": Profile(5, 2), "standard": Profile(30, 3), "deep": Profile(300, 5)}


class Settings(NamedTuple):
    """What a judgement depends on, beside the backend."""

    profile: str = "standard"
    seed: int = 0
    factors: dict[str, float] = {}  # noqa: RUF012  # a tuple's default, never written to


Progress = Callable[[Result], None]


def precisions(subject: OfBackend) -> list[Precision]:
    """Return what the backend claims, the logic first: float64, float32, then the narrow ones."""
    claimed = [Precision.of(entry) for entry in subject.claims.dtypes]
    return sorted(claimed, key=lambda p: LOGIC.index(p.input) if p.input in LOGIC else 9)


def planned(checks: tuple[Check, ...], precision: Precision) -> tuple[Check, ...]:
    """Return the checks that a precision is judged by."""
    return tuple(c for c in checks if judges(precision, c.level, agreement=c.agreement))


def judges(precision: Precision, level: str, *, agreement: bool) -> bool:
    """Return whether such a check is for this precision: agreement alone for the narrow ones."""
    return precision.input in LOGIC or (agreement and level == "ops")  # conformance-R12


def judged(check: Check, subject: OfBackend, precision: Precision, settings: Settings) -> Result:
    """Return what comes of one check: not claimed, itself, or what the engine says."""
    nothing = Result(
        check.name, check.rules, check.level, check.gradient, str(precision), "", check.text
    )
    reason = unclaimed(check, subject)
    if reason:
        return nothing._replace(status="not_claimed", reason=reason)  # conformance-R2
    if check.agreement and fallback.reference_answered(subject, sample(check, precision.input)):
        return of_itself(nothing, subject)
    profile = PROFILES[settings.profile]
    leaks = gates.leaks(check, precision, profile.gate_examples, settings.seed)
    if leaks:
        message = f"the check accepts {', '.join(leaks)}; please report this"
        return nothing._replace(status="failed", message=message)
    effort = Effort(profile.examples, settings.seed)
    return run_check(check, subject, precision, effort, settings.factors.get(check.name, 1.0))


def of_itself(nothing: Result, subject: OfBackend) -> Result:
    """Return what is said where the reference answered: nobody else may be the reference."""
    if type(subject.backend) is NumpyBackend:  # conformance-R8
        reason = "the reference compared with itself says nothing"
        return nothing._replace(status="itself", reason=reason)
    message = "claimed, but the reference's own code answered: this backend falls back"
    return nothing._replace(status="failed", message=message)


def unclaimed(check: Check, subject: OfBackend) -> str:
    """Return why a check is not claimed, "" if it is."""
    claims = subject.claims
    if check.level not in claims.levels:
        return f"level {check.level}"
    if check.level == "ops":
        lacking = set(NEEDS.get(check.stem, (check.stem,))) - set(claims.operators)
        if lacking:
            return f"operator {min(lacking)}"
    if check.stem == "composition" and claims.gradients != "derived":
        return "derived gradients"
    missing = [r for r in check.rules if force(r) == "may" and r not in claims.options]
    return f"option {missing[0]}" if missing else ""


def surprises(
    subject: OfBackend, checks: tuple[Check, ...], results: list[Result]
) -> Iterator[str]:
    """Yield what works although it is not claimed."""
    silent: dict[str, list[str]] = {}
    for result in results:
        if result.status == "not_claimed":
            silent.setdefault(result.reason, []).append(result.check)
    by_name: dict[str, Any] = {c.name: c for c in checks}
    for what, names in silent.items():
        precision = precisions(subject)[0]
        some = [by_name[n] for n in dict.fromkeys(names)]
        if all(
            run_check(c, subject, precision, Effort(2, shrink=False)).status == "passed"
            for c in some
        ):
            yield f"{what} works, though it is not claimed"
