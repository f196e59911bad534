"""The search for a smaller failing call: limited, and only for failures that stay."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.runner import check_runner, suite_run
from mindref.conformance.runner.check_runner import MAX_SHRINK_RUNS, ExampleBudget, run_check
from mindref.conformance.runner.suite_run import SuiteRun
from tests.conformance.runner.implementations import (
    implementation,
    property_check,
    right,
    unregistered_check,
)
from tests.conformance.small import FORWARD, GRADIENT, QUICK, SMALL

DOUBLE = Precision.of("float64")
EXAMPLES = 20


def recorded_result(forward, *, shrink, check=None):
    """Return the result of a check, and the shape of x in each call that the check runs."""
    shapes = []

    def recording(x, kind):
        shapes.append(x.shape)
        return forward(x, kind)

    budget = ExampleBudget(EXAMPLES, seed=5, shrink=shrink)
    return run_check(
        check or unregistered_check(), implementation(recording), DOUBLE, budget
    ), shapes


def wrong_if_large(x, kind):
    """Return a wrong result for arrays of at least 12 numbers."""
    return right(x) * (1.0 if x.size < 12 else 1.5)


@pytest.mark.rules("conformance-R21")
def test_a_smaller_call_is_found_and_calls_that_passed_do_not_run_again():
    drawn, passed = recorded_result(wrong_if_large, shrink=False)
    shrunk, shapes = recorded_result(wrong_if_large, shrink=True)
    assert drawn.evidence.example == len(passed) - 1 > 0
    assert shrunk.status == drawn.status == "failed"
    (call,) = shrunk.evidence.calls
    assert 12 <= call.arrays["x"].size <= drawn.evidence.calls[0].arrays["x"].size
    assert shapes[len(passed)] == shapes[len(passed) - 1], "the search starts at the failing call"


@pytest.mark.rules("conformance-R21")
def test_the_search_runs_the_check_on_at_most_forty_calls():
    assert MAX_SHRINK_RUNS == 40
    rng = np.random.default_rng(0)

    def wrong_sometimes(x, kind):
        return wrong_if_large(x, kind) if rng.random() < 0.5 else right(x)

    before = len(recorded_result(wrong_if_large, shrink=False)[1])
    for forward in (wrong_if_large, wrong_sometimes):
        result, shapes = recorded_result(forward, shrink=True)
        assert len(shapes) <= EXAMPLES + MAX_SHRINK_RUNS
        assert result.status == "failed"
    assert before <= EXAMPLES


@pytest.mark.rules("conformance-R21")
def test_the_search_ends_at_its_limit(monkeypatch):
    monkeypatch.setattr(check_runner, "MAX_SHRINK_RUNS", 3)
    passed = recorded_result(wrong_if_large, shrink=False)[1]
    result, shapes = recorded_result(wrong_if_large, shrink=True)
    assert len(shapes) == len(passed) + 3
    assert result.status == "failed"


@pytest.mark.rules("conformance-R21")
def test_the_smaller_call_fails_in_the_same_way():
    def broken_if_large(x, kind):
        """Wrong answers that break the negation only for large arrays."""
        return right(x) * 1.5 + (0.1 * np.abs(x) if x.size >= 12 else 0)

    result, _ = recorded_result(broken_if_large, shrink=True, check=property_check())
    assert (result.status, result.blocked_by) == ("failed", "")
    assert result.evidence.calls[0].arrays["x"].size >= 12


def named_failures(implementation, results, seed):
    """Return `results`; failures have a diagnosis."""
    return [r._replace(diagnosis="named" if r.status == "failed" else "") for r in results]


@pytest.mark.rules("conformance-R21")
@pytest.mark.usefixtures("small_suite")
def test_only_failures_that_are_not_blocked_are_shrunk(monkeypatch):
    shrunk = []
    run = SuiteRun(f"{SMALL}:wrong_gradient", settings=QUICK)
    monkeypatch.setattr(run, "shrink", lambda result: shrunk.append(result.check) or result)
    monkeypatch.setattr(suite_run, "add_diagnoses", named_failures)
    results = {r.check: r for r in run.report().results if r.precision == "float64"}
    assert set(shrunk) == {GRADIENT}
    assert {name for name, r in results.items() if r.diagnosis} == {GRADIENT}
    assert results[FORWARD].status == "passed"
    assert "blocked" in {r.status for r in results.values()}
