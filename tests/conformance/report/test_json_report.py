"""The JSON report has the published format, loses nothing, and has three versions."""

import json
import math

import jsonschema
import pytest

from mindref.conformance import versions
from mindref.conformance.report import json_report, summary
from mindref.conformance.runner.result import STATUSES, CheckResult
from tests.assertions import nonempty
from tests.conformance.small import FORWARD, GRADIENT, PROPERTY, REFUSAL, report, result

EVERY = tuple(result(status=status, check=f"softmax/{status}") for status in STATUSES)


def valid(content):
    return jsonschema.Draft202012Validator(json_report.suite_report_schema()).is_valid(content)


def test_a_report_has_the_published_format():
    schema = json_report.suite_report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    every_status = report(*EVERY, problems=("p",), remarks=("r",), selection=("softmax",))
    content = json.loads(json_report.json_text(json_report.suite_report_json(every_status)))
    jsonschema.Draft202012Validator(schema).validate(content)
    assert content["counts"] == dict.fromkeys(STATUSES, 1)
    assert content["complete"]
    assert not content["conforms"]
    assert content["rules"]["softmax-R1"]["force"] == "must"


def test_changes_have_the_published_format():
    content = json_report.suite_report_json(report(result()))
    change = {"check": PROPERTY, "precision": "float32", "was": "passed", "now": "failed"}
    assert valid(content | {"changes": [change | {"why": "backend regression"}]})
    assert not valid(content | {"changes": [change | {"why": "unknown"}]})


@pytest.mark.parametrize(
    "change",
    [
        {"badge": None},
        {"seed": -1},
        {"suite": "new"},
        {"unknown": 1},
        {"results": [{"check": PROPERTY}]},
        {"strictness": {"factor": 2.0, "ulps": "?"}},
    ],
)
def test_another_format_is_invalid(change):
    content = json.loads(json_report.json_text(json_report.suite_report_json(report(result()))))
    assert valid(content)
    assert not valid(content | change)


def test_a_report_without_a_part_is_invalid():
    content = json_report.suite_report_json(report(result()))
    for name in nonempty(json_report.suite_report_schema()["required"]):
        assert not valid({key: x for key, x in content.items() if key != name}), name


@pytest.mark.parametrize("share", [0.0, 0.1 + 0.2, math.inf])
def test_a_result_is_read_as_it_was_written(share):
    original = result(
        GRADIENT, "failed", error_ratio=share, grade="-", message="m", diagnosis="d", factor=3
    )
    back = json_report.result_from_json(
        json.loads(json.dumps(json_report.result_json(original), allow_nan=False))
    )
    assert back == original
    assert isinstance(back, CheckResult)


@pytest.mark.rules("conformance-R17")
def test_every_report_has_three_versions(monkeypatch):
    for name, value in (("SPEC", "7.1"), ("SUITE", "8.2"), ("PROTOCOL", "9.3")):
        monkeypatch.setattr(versions, name, value)
    both = report(result(FORWARD), result(REFUSAL))
    content = json_report.suite_report_json(both)
    assert (content["specification"], content["suite"], content["protocol"]) == (
        "7.1",
        "8.2",
        "9.3",
    )
    assert valid(content)
    title = " ".join(summary.title_lines(both))
    assert "specification 7.1, suite 8.2, protocol 9.3" in title
