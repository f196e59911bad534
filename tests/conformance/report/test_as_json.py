"""The JSON of a judgement has its published form, loses nothing, and carries three versions."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import pytest

from mindref.conformance import versions
from mindref.conformance.judging.result import STATUSES, Result
from mindref.conformance.report import as_json, outline
from tests.conformance.small import FORWARD, GRADIENT, LAW, REFUSAL, report, result

EVERY = tuple(result(status=status, check=f"softmax/{status}") for status in STATUSES)


def valid(found: Any) -> bool:
    return jsonschema.Draft202012Validator(as_json.schema()).is_valid(found)


def test_the_published_form_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(as_json.schema())


def test_a_judgement_has_the_published_form() -> None:
    made = report(*EVERY, problems=("p",), remarks=("r",), words=("softmax",))
    found = json.loads(as_json.text(as_json.of(made)))
    jsonschema.Draft202012Validator(as_json.schema()).validate(found)
    assert found["counts"] == dict.fromkeys(STATUSES, 1)
    assert found["balanced"]
    assert not found["conforms"]
    assert found["rules"]["softmax-R1"]["force"] == "must"


def test_changes_belong_to_the_form() -> None:
    found = as_json.of(report(result()))
    change = {"check": LAW, "precision": "float32", "was": "passed", "now": "failed"}
    assert valid(found | {"changes": [change | {"why": "your regression"}]})
    assert not valid(found | {"changes": [change | {"why": "bad luck"}]})


@pytest.mark.parametrize(
    "change",
    [
        {"badge": None},
        {"seed": -1},
        {"suite": "new"},
        {"unknown": 1},
        {"results": [{"check": LAW}]},
        {"strictness": {"factor": 2.0, "ulps": "?"}},
    ],
)
def test_what_has_another_form_is_refused(change: dict[str, Any]) -> None:
    found = json.loads(as_json.text(as_json.of(report(result()))))
    assert valid(found)
    assert not valid(found | change)


def test_a_form_without_a_part_is_refused() -> None:
    found = as_json.of(report(result()))
    for name in as_json.schema()["required"]:
        assert not valid({key: x for key, x in found.items() if key != name}), name


@pytest.mark.parametrize("share", [0.0, 0.1 + 0.2, math.inf])
def test_a_result_comes_back_as_it_was(share: float) -> None:
    made = result(GRADIENT, "failed", share=share, grade="-", message="m", diagnosis="d", factor=3)
    back = as_json.result_of(json.loads(json.dumps(as_json.row(made), allow_nan=False)))
    assert back == made
    assert isinstance(back, Result)


@pytest.mark.rules("conformance-R17")
def test_three_versions_stand_apart_in_every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SPEC", "7.1"), ("SUITE", "8.2"), ("PROTOCOL", "9.3")):
        monkeypatch.setattr(versions, name, value)
    made = report(result(FORWARD), result(REFUSAL))
    found = as_json.of(made)
    assert (found["specification"], found["suite"], found["protocol"]) == ("7.1", "8.2", "9.3")
    assert valid(found)
    title = " ".join(outline.title(made))
    assert "specification 7.1, suite 8.2, protocol 9.3" in title
