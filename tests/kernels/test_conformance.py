"""The backend `numba` conforms, at every level that it claims, in float64 and float32."""

from __future__ import annotations

import pytest

from mindref.conformance.judging.judgement import judge_backend
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.result import Report
from mindref.kernels.backend import GENERAL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> Report:
    """One judgement for all tests: it takes half a minute."""
    return judge_backend("numba", settings=Settings("smoke"))


def test_it_conforms(report: Report) -> None:
    failures = [f"{r.check} [{r.precision}]: {r.message}" for r in report.results if r.message]
    assert report.conforms, "\n".join([*failures, *report.problems])
    assert len(report.results) == report.planned


def test_it_is_judged_at_all_levels_in_both_types(report: Report) -> None:
    passed = {(r.level, r.precision) for r in report.results if r.status == "passed"}
    assert passed == {(x, y) for x in ("ops", "model", "train") for y in ("float64", "float32")}


def test_nothing_is_left_out_but_the_general_matrices(report: Report) -> None:
    left = [r for r in report.results if r.status != "passed"]
    assert {r.status for r in left} == {"not_claimed"}
    assert all(any(rule in r.reason for rule in GENERAL) for r in left)


def test_no_result_needs_the_worst_case(report: Report) -> None:
    """Grade A: every error lies within what the numbers of the computation make likely."""
    assert {r.grade for r in report.results if r.status == "passed"} == {"A"}
