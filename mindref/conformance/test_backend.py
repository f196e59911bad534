"""One test for each check in each precision, of the backend that `--mindref-backend` names.

The options are in `plugin.py`. A check runs when its test does; only a failure makes the rest of
its precision run as well, to know what explains it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mindref.conformance.plugin import PLANNED, RESULT, judgement_of
from mindref.errors import MindrefError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each planned check, under the name that reports use."""
    try:
        judgement = judgement_of(metafunc.config)
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
    """Hold what a check asks, in one precision."""
    from mindref.conformance.report import as_json, outline

    judgement = judgement_of(request.config)
    result = judgement.result(check, precision)
    request.node.user_properties += [
        (RESULT, json.dumps(as_json.row(result))),
        (PLANNED, str(len(judgement.keys()))),
    ]
    if result.status == "failed":
        pytest.fail(outline.of_one(result), pytrace=False)
    if result.status == "expected":
        pytest.xfail(result.reason)
    if result.status != "passed":
        pytest.skip(outline.why_not(result))


def test_what_is_claimed_is_there(request: pytest.FixtureRequest) -> None:
    """Hold backend-R13: operators, gradients and levels that are claimed exist."""
    from mindref.conformance.judging import claims

    judgement = judgement_of(request.config)
    broken = list(claims.unhonoured(judgement.subject.backend, judgement.claimed))
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)
