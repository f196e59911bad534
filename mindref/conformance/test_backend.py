"""Run the checks on the backend of `--mindref-backend`: one test for each check and precision.

A precision is a combination of dtypes. The options are in `plugin.py`. If a check fails, all other
checks in this precision run immediately, to find the cause.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mindref.conformance.plugin import PLANNED, RESULT, session_run
from mindref.errors import MindrefError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Create one test for each planned pair (check, precision)."""
    try:
        suite_run = session_run(metafunc.config)
    except MindrefError as error:
        raise pytest.Collector.CollectError(f"Error: {error}") from None
    if "check" in metafunc.fixturenames:
        cases = [
            pytest.param(
                check, precision, id=f"{check.name}[{precision}]",
                marks=pytest.mark.mindref(*check.rules),
            )
            for check, precision in suite_run.planned()
        ]  # fmt: skip
        metafunc.parametrize(("check", "precision"), cases)


def test_check(check: Any, precision: Any, request: pytest.FixtureRequest) -> None:
    """Run one check in one precision."""
    from mindref.conformance.report import json_report, summary

    suite_run = session_run(request.config)
    result = suite_run.result(check, precision)
    request.node.user_properties += [
        (RESULT, json.dumps(json_report.result_json(result))),
        (PLANNED, str(len(suite_run.keys()))),
    ]
    if result.status == "failed":
        pytest.fail(summary.result_text(result), pytrace=False)
    if result.status == "expected":
        pytest.xfail(result.reason)
    if result.status != "passed":
        pytest.skip(summary.not_passed_reason(result))


def test_claimed_members_exist(request: pytest.FixtureRequest) -> None:
    """Test backend-R13: the backend has every operator, gradient and level that it claims."""
    from mindref.conformance.runner import claims

    suite_run = session_run(request.config)
    broken = list(claims.missing_members(suite_run.implementation.backend, suite_run.claimed))
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)
