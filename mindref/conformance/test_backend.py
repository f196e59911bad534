"""One test for each check and precision of the backend that `--mindref-backend` names.

The options are in `plugin.py`. A check runs when its test runs. Only after a failure, the other
checks of its precision run as well, to find the cause.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mindref.conformance.plugin import PLANNED, RESULT, session_run
from mindref.errors import MindrefError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each planned check, with the name that reports use."""
    try:
        judgement = session_run(metafunc.config)
    except MindrefError as error:
        raise pytest.Collector.CollectError(f"Error: {error}") from None
    if "check" in metafunc.fixturenames:
        cases = [
            pytest.param(
                check, precision, id=f"{check.name}[{precision}]",
                marks=pytest.mark.mindref(*check.rules),
            )
            for check, precision in judgement.planned()
        ]  # fmt: skip
        metafunc.parametrize(("check", "precision"), cases)


def test_check(check: Any, precision: Any, request: pytest.FixtureRequest) -> None:
    """Run one check in one precision."""
    from mindref.conformance.report import json_report, summary

    judgement = session_run(request.config)
    result = judgement.result(check, precision)
    request.node.user_properties += [
        (RESULT, json.dumps(json_report.result_json(result))),
        (PLANNED, str(len(judgement.keys()))),
    ]
    if result.status == "failed":
        pytest.fail(summary.result_text(result), pytrace=False)
    if result.status == "expected":
        pytest.xfail(result.reason)
    if result.status != "passed":
        pytest.skip(summary.not_passed_reason(result))


def test_claimed_members_exist(request: pytest.FixtureRequest) -> None:
    """Test backend-R13: claimed operators, gradients and levels exist."""
    from mindref.conformance.runner import claims

    judgement = session_run(request.config)
    broken = list(claims.missing_members(judgement.implementation.backend, judgement.claimed))
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)
