"""The numba backend conforms at every level that it claims, in float64 and float32."""

import pytest

from mindref.conformance.runner.check_runner import UNCLAIMED_SETTINGS
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.suite_run import run_suite
from mindref.kernels.backend import GENERAL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report():
    """One run of the suite for all tests: it takes half a minute."""
    return run_suite("numba", settings=RunSettings("smoke"))


def test_the_numba_backend_conforms(report):
    failures = [f"{r.check} [{r.precision}]: {r.message}" for r in report.results if r.message]
    assert report.conforms, "\n".join([*failures, *report.problems])
    assert len(report.results) == report.planned


def test_all_levels_are_checked_in_both_dtypes(report):
    passed = {(r.level, r.precision) for r in report.results if r.status == "passed"}
    assert passed == {(x, y) for x in ("ops", "model", "train") for y in ("float64", "float32")}


def test_general_matrices_some_settings_and_scores_are_not_claimed(report):
    not_passed = [r for r in report.results if r.status != "passed"]
    assert {r.status for r in not_passed} == {"not_claimed"}
    reasons = {r.reason for r in not_passed if not any(rule in r.reason for rule in GENERAL)}
    assert reasons == {UNCLAIMED_SETTINGS, "level serve"}


def test_no_result_needs_the_worst_case_bound(report):
    """Grade A: every error is within the statistical bound."""
    assert {r.grade for r in report.results if r.status == "passed"} == {"A"}
