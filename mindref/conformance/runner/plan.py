"""Select the checks for a backend, and run one check.

Spec: specs/conformance.md. A check must first reject every trivially wrong implementation. Before a
check compares answers with the reference, one call tests that the backend runs no reference code.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import mindref
from mindref.backend import OPERATORS, NumpyBackend
from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import BackendImplementation, Call, Implementation
from mindref.conformance.runner.check import NEEDS, ConformanceCheck
from mindref.conformance.runner.check_runner import (
    UNCLAIMED_SETTINGS,
    ExampleBudget,
    Trial,
    draw_calls,
    example_count,
    largest_call,
    run_check,
    shrink_result,
)
from mindref.conformance.runner.claims import LEVELS, has_method
from mindref.conformance.runner.manifest import rule_force
from mindref.conformance.runner.reference import FLOAT64
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.runner.trivial_implementations import accepted_trivial
from mindref.errors import FOREIGN_ERRORS, ConfigError, say
from mindref.ops import FURTHER

FULL_PRECISIONS = ("float64", "float32")  # dtypes in which every check runs

PROVEN_SEED = 0
"""tests/conformance/test_checks.py shows for this seed that checks reject trivial answers. Versions
of Hypothesis and NumPy that the project does not test may draw other calls."""

CONCURRENT = "concurrency"
"""Begin of the reason if a backend does not claim a kind of concurrency."""


class Profile(NamedTuple):
    """How many examples (drawn calls) each check runs on."""

    examples: int
    gate_examples: int  # examples for the test that a check rejects trivial answers


PROFILES = {"smoke": Profile(3, 2), "standard": Profile(30, 3), "deep": Profile(300, 5)}


class RunSettings(NamedTuple):
    """The settings of a run. `factors` maps the name of a check to a factor of its error bounds."""

    profile: str = "standard"
    seed: int = 0
    factors: dict[str, float] = {}  # noqa: RUF012  # a tuple's default, never written to


Progress = Callable[[CheckResult], None]

PACKAGE = Path(mindref.__file__).parent
OPERATOR_FUNCTIONS = {
    str(PACKAGE / "ops" / f"{stem}.py"): ("forward", "backward") for stem in (*OPERATORS, *FURTHER)
}
COMPOSITION = {
    str(PACKAGE / "models" / "mind.py"): ("loss", "backward", "interests"),
    str(PACKAGE / "models" / "mind_plus" / "__init__.py"): (
        "loss",
        "backward",
        "mind_plus_interests",
    ),
    str(PACKAGE / "training" / "optimiser.py"): ("update",),
}
"""A backend must not call these functions of the reference. It may call their helper functions."""


def check_settings(settings: RunSettings) -> RunSettings:
    """Return `settings`. Raises ConfigError for an unknown profile or a negative seed."""
    if settings.profile not in PROFILES:
        expected = f"one of {', '.join(PROFILES)}"
        raise ConfigError(say("conform: profile", expected, settings.profile))
    if settings.seed < 0:
        raise ConfigError(say("conform: seed", "a number from 0", settings.seed))
    return settings


def claimed_precisions(implementation: BackendImplementation) -> list[Precision]:
    """Return the claimed precisions: first float64, then float32, then narrower dtypes."""
    claimed = [Precision.of(entry) for entry in implementation.claims.dtypes]
    order = {name: number for number, name in enumerate(FULL_PRECISIONS)}
    return sorted(claimed, key=lambda p: order.get(p.input, len(order)))


def planned_checks(
    checks: tuple[ConformanceCheck, ...], precision: Precision
) -> tuple[ConformanceCheck, ...]:
    """Return the elements of `checks` that run in `precision`."""
    return tuple(c for c in checks if covers_check(precision, c.level, agreement=c.agreement))


def covers_check(precision: Precision, level: str, *, agreement: bool) -> bool:
    """Return whether a check runs: below float32, only agreement checks of operators do."""
    return precision.input in FULL_PRECISIONS or (agreement and level == "ops")  # conformance-R12


def run_planned_check(
    check: ConformanceCheck,
    implementation: BackendImplementation,
    precision: Precision,
    settings: RunSettings,
) -> CheckResult:
    """Return the result of `check`, which runs only if the backend claims the tested feature."""
    nothing = check.result(precision)
    reason = unclaimed_reason(check, implementation)
    if reason:
        return nothing._replace(status="not_claimed", reason=reason)  # conformance-R2
    profile, seed = PROFILES[settings.profile], settings.seed
    budget = ExampleBudget(profile.examples, seed, shrink=False)  # suite_run.py shrinks failures
    if check.agreement:
        call = largest_call(check, implementation, budget)
        if call is None:
            return nothing._replace(status="not_claimed", reason=UNCLAIMED_SETTINGS)
        if reference_answered(implementation, call.to(precision.input)):
            return reference_result(nothing, implementation)
    accepted = accepted_once(check, precision, settings) if needs_gate(precision, seed) else []
    if accepted:
        message = f"the check accepts {', '.join(accepted)}: a bug of the suite; please report it"
        return nothing._replace(status="failed", message=message)
    factor = settings.factors.get(check.name, 1.0)
    return run_check(check, implementation, precision, budget, factor)


def shrink_planned(
    check: ConformanceCheck,
    implementation: BackendImplementation,
    result: CheckResult,
    settings: RunSettings,
) -> CheckResult:
    """Return `result`, a failure of `run_planned_check`, with a smaller failing call."""
    precision, seed = Precision.of(result.precision.split("/")), settings.seed
    factor = settings.factors.get(check.name, 1.0)
    trial = Trial(check, implementation, precision, seed, factor)
    budget = ExampleBudget(PROFILES[settings.profile].examples, seed)
    return shrink_result(trial, budget, result)


def needs_gate(precision: Precision, seed: int) -> bool:
    """Return whether a run tests that checks reject trivial implementations.

    For the default seed, a test of the suite does this once for all runs (conformance-R4).
    """
    return seed != PROVEN_SEED or precision.input not in FULL_PRECISIONS


def accepted_once(
    check: ConformanceCheck, precision: Precision, settings: RunSettings
) -> list[str]:
    """Return the trivial implementations that `check` accepts, computed once."""
    profile, seed = PROFILES[settings.profile], settings.seed
    draw_calls(check, example_count(check, profile.examples), seed)  # the gate uses the first ones
    return cached_accepted(check, gate_precision(precision), profile.gate_examples, seed)


cached_accepted = cache(accepted_trivial)  # the gate of float64 is also that of float32


def gate_precision(precision: Precision) -> Precision:
    """Return the precision in which a check must reject trivial implementations.

    The error bounds of float64 and float32 are far below the errors of trivial answers, so float64
    stands for both.
    """
    return FLOAT64 if precision.input in FULL_PRECISIONS else precision


def reference_answered(implementation: Implementation, call: Call) -> bool:
    """Run `call`, and return whether a function of the reference was executed.

    Only the current thread and threads that `call` starts are observed.
    """
    seen = False
    is_composed = call.stem == "composition"
    functions = OPERATOR_FUNCTIONS | ({} if is_composed else COMPOSITION)

    def notice(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        if event == "call":
            names = functions.get(frame.f_code.co_filename, ())
            seen = seen or frame.f_code.co_name in names

    before, before_threads = sys.getprofile(), threading.getprofile()
    sys.setprofile(notice)
    threading.setprofile(notice)
    try:
        implementation.answer(call)
    except FOREIGN_ERRORS:
        return seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before_threads)
    return seen


def reference_result(nothing: CheckResult, implementation: BackendImplementation) -> CheckResult:
    """Return `nothing` with status "self_comparison" for NumpyBackend, otherwise "failed"."""
    if type(implementation.backend) is NumpyBackend:  # conformance-R8
        reason = "the reference compared with itself proves nothing"
        return nothing._replace(status="self_comparison", reason=reason)
    message = "the code of the reference computed the answer: the backend falls back to it"
    return nothing._replace(status="failed", message=message)


def unclaimed_reason(check: ConformanceCheck, implementation: BackendImplementation) -> str:
    """Return a feature that `check` needs and the backend does not claim. If none, return ""."""
    claims = implementation.claims
    if check.level not in claims.levels:
        return f"level {check.level}"
    if check.concurrency and check.concurrency not in claims.concurrency:
        return f"{CONCURRENT} {check.concurrency}"  # conformance-R2
    if check.concurrency == "fork" and not hasattr(os, "fork"):
        return "os.fork, which this system does not have"
    if check.family and check.family not in claims.families:
        return f"family {check.family}"  # conformance-R2
    if check.level == "ops":
        unclaimed = set(NEEDS.get(check.stem, (check.stem,))) - set(claims.operators)
        if unclaimed:
            return f"operator {min(unclaimed)}"
    if check.stem == "composition" and claims.gradients != "derived":
        return "derived gradients"
    optional = (rule for rule in check.rules if rule_force(rule) == "optional feature")
    missing = [rule for rule in optional if rule not in claims.options]
    return f"option {missing[0]}" if missing else ""


def unclaimed_features(
    implementation: BackendImplementation,
    checks: tuple[ConformanceCheck, ...],
    results: list[CheckResult],
) -> Iterator[str]:
    """Yield a remark for each feature that works, but that the backend does not claim."""
    checks_by_reason: dict[str, list[str]] = {}
    for result in results:
        if result.status == "not_claimed":
            checks_by_reason.setdefault(result.reason, []).append(result.check)
    precision, effort = claimed_precisions(implementation)[0], ExampleBudget(2, shrink=False)
    for feature, names in checks_by_reason.items():
        if feature.startswith(CONCURRENT):  # no finite number of calls proves that it works
            continue
        tested = [c for c in checks if c.name in names]
        if any(lacks_methods(c, implementation.backend) for c in tested):
            continue  # drawing calls of levels 2 and 3 takes seconds
        unclaimed = (run_check(c, implementation, precision, effort) for c in tested)
        if all(result.status == "passed" for result in unclaimed):
            yield f"{feature} works but is not claimed"


def lacks_methods(check: ConformanceCheck, backend: Any) -> bool:
    """Return whether `backend` has no method of the level that `check` calls."""
    return any(not has_method(backend, method) for method in LEVELS[check.level])
