"""Backends for tests: squash only, correct or wrong in a chosen way."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from mindref.conformance.runner import suite_run
from mindref.conformance.runner.call import BackendImplementation, Call
from mindref.conformance.runner.check import ConformanceCheck
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.strategies import distinct_sizes, generators, normal
from tests.conformance.small import Right

Forward = Callable[..., Any]


def right(x: Any, *, kind: str = "squash") -> Any:
    """Return the squash of ordinary vectors, by a separate formula."""
    square = np.sum(x * x, axis=-1, keepdims=True)
    return x * np.sqrt(square) / (1 + square)


class Squash(Right):
    """A backend of squash, forward only."""

    name = "mine"

    def __init__(self, forward: Forward, **claims: Any) -> None:
        squash = SimpleNamespace(forward=lambda x, **numbers: (forward(x, **numbers), None))
        self.ops = SimpleNamespace(squash=squash)
        self.claims = {"operators": ("squash",), "options": (), **claims}


def implementation(forward: Forward = right) -> BackendImplementation:
    return BackendImplementation(Squash(forward))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    shape, rng = draw(distinct_sizes(2)), draw(generators())
    return Call("squash", {"x": normal(rng, *shape)}, {"kind": "squash"})


def forward_agrees(context: CheckContext, call: Call) -> None:
    """Forward must match the reference."""
    context.assert_agrees(call)


def negation_commutes(context: CheckContext, call: Call) -> None:
    """A negated vector must give the negated result."""
    opposite = context.run(call.change(x=-call.arrays["x"]))
    context.assert_same(context.run(call), opposite, through={"out": np.negative})


def unregistered_check(
    run: Callable[[CheckContext, Call], None] = forward_agrees,
    *,
    agreement: bool = True,
    rules: tuple[str, ...] = ("squash-R1",),
    name: str = "squash/made",
) -> ConformanceCheck:
    return ConformanceCheck(name, rules, run, calls(), False, agreement, "squash", 1.0)


def property_check() -> ConformanceCheck:
    return unregistered_check(negation_commutes, agreement=False, name="squash/property")


def run_checks(
    monkeypatch: pytest.MonkeyPatch, backend: Any, *checks: ConformanceCheck
) -> list[CheckResult]:
    """Return the results of a backend for these checks only, in each claimed precision."""
    monkeypatch.setattr(suite_run, "load_local_backend", lambda name: backend)
    monkeypatch.setattr(suite_run, "selected_checks", lambda words: checks)
    monkeypatch.setattr(suite_run, "add_diagnoses", lambda implementation, results, seed: results)
    run = suite_run.SuiteRun("made:Backend", settings=RunSettings("smoke"))
    return [r for precision in run.precisions for r in run.all_of(precision).values()]
