"""What has changed since another judgement, and whose change it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mindref.conformance.judging.result import Result
from mindref.conformance.report import as_json, diff
from mindref.errors import ConfigError
from tests.conformance.small import FORWARD, GRADIENT, LAW, report, result


def judged(*results: Result, **changes: Any) -> dict[str, Any]:
    found = json.loads(as_json.text(as_json.of(report(*results, **changes))))
    assert isinstance(found, dict)
    return found


def why(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [change.why for change in diff.changes(old, new)]


PASSED, FAILED = result(FORWARD), result(FORWARD, "failed")


def test_nothing_has_changed() -> None:
    old = judged(PASSED, result(GRADIENT, "failed", message="now other words"))
    assert diff.changes(old, judged(PASSED, result(GRADIENT, "failed"))) == []
    assert list(diff.lines([], old, old)) == ["nothing has changed"]


def test_a_failure_of_what_passed_is_your_regression_if_nothing_else_changed() -> None:
    assert why(judged(PASSED), judged(FAILED)) == ["your regression"]
    assert why(judged(PASSED), judged(result(FORWARD, "blocked"))) == ["your regression"]


def test_a_failure_that_is_gone_is_mended() -> None:
    assert why(judged(FAILED), judged(PASSED)) == ["mended"]
    assert why(judged(result(FORWARD, "expected")), judged(PASSED)) == ["mended"]
    assert why(judged(FAILED), judged(result(FORWARD, "blocked"))) == ["still fails"]


def test_a_failure_of_a_rule_with_other_words_is_no_regression() -> None:
    old = judged(PASSED)
    old["rules"]["softmax-R1"]["digest"] = "0" * 12
    assert why(old, judged(FAILED)) == ["changed rule"]


def test_a_failure_of_a_check_that_asks_something_else_is_no_regression() -> None:
    assert why(judged(PASSED._replace(text="Another question.")), judged(FAILED)) == [
        "changed check"
    ]


def test_a_failure_by_a_tighter_tolerance_is_no_regression() -> None:
    wider = judged(PASSED)
    wider["strictness"]["factor"] *= 2
    assert why(wider, judged(FAILED)) == ["tightened tolerance"]
    table = judged(PASSED)
    table["strictness"]["ulps"] = "0" * 12
    assert why(table, judged(FAILED)) == ["tightened tolerance"]
    by_hand = judged(PASSED._replace(factor=3.0, grade="C"))
    assert why(by_hand, judged(FAILED)) == ["tightened tolerance"]
    narrower = judged(PASSED)
    narrower["strictness"]["factor"] /= 2
    assert why(narrower, judged(FAILED)) == ["your regression"]


def test_another_suite_or_other_examples_leave_it_open_whose_change_it_was() -> None:
    assert why(judged(PASSED) | {"suite": "0.9"}, judged(FAILED)) == ["changed suite"]
    assert why(judged(PASSED) | {"seed": 5}, judged(FAILED)) == ["other examples"]
    assert why(judged(PASSED) | {"profile": "deep"}, judged(FAILED)) == ["other examples"]


def test_a_check_of_a_rule_that_was_not_there_is_a_new_rule() -> None:
    old = judged(result(LAW))
    assert why(old, judged(result(LAW), FAILED)) == ["new rule"]
    known = judged(result(LAW), result("softmax/other"))
    assert why(known, judged(result(LAW), result("softmax/other"), FAILED)) == ["new check"]


def test_a_part_that_was_not_judged_before_is_no_new_rule() -> None:
    part = judged(result(LAW), words=("softmax-R2",))
    assert why(part, judged(result(LAW), FAILED)) == ["newly judged"]
    single = FAILED._replace(precision="float32")
    assert why(judged(PASSED), judged(PASSED, single)) == ["newly judged"]
    assert why(judged(PASSED, single), judged(PASSED)) == ["no longer judged"]


def test_claims_that_change_are_named() -> None:
    silent = judged(result(FORWARD, "not_claimed"))
    assert why(silent, judged(FAILED)) == ["newly claimed"]
    assert why(judged(PASSED), silent) == ["no longer claimed"]
    assert why(judged(result(FORWARD, "itself")), judged(PASSED)) == ["newly judged"]


def test_words_come_with_what_differs_and_the_most_telling_first() -> None:
    both = [r._replace(precision=p) for p in ("float64", "float32") for r in (PASSED,)]
    old = judged(result(GRADIENT, "failed"), result(LAW), *both) | {"suite": "1.0", "seed": 0}
    worse = [r._replace(status="failed") for r in both]
    new = judged(result(GRADIENT), result(LAW, "blocked"), *worse, backend="other:Other")
    lines = list(diff.lines(diff.changes(old, new), old, new))
    assert lines == [
        "backend mine:Mine then, other:Other now",
        "3 your regression, 1 mended",
        f"your regression: {FORWARD} [float64, float32], passed -> failed",
        f"your regression: {LAW} [float64], passed -> blocked",
        f"mended: {GRADIENT} [float64], failed -> passed",
    ]
    moved = old | {"specification": "0.9", "profile": "deep"}
    assert list(diff.lines([], moved, old))[:2] == [
        f"specification 0.9 then, {old['specification']} now",
        "profile deep then, smoke now",
    ]


def test_every_reason_is_in_the_published_form() -> None:
    form = as_json.schema()["properties"]["changes"]["items"]["properties"]["why"]
    assert tuple(form["enum"]) == diff.WHYS


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> str:
    path = tmp_path / "old.json"
    path.write_text(text, encoding=encoding)
    with pytest.raises(ConfigError) as caught:
        diff.read(path)
    assert f"--diff {path}: expected" in str(caught.value)
    return str(caught.value)


def test_what_is_no_judgement_is_refused(tmp_path: Path) -> None:
    whole = judged(PASSED)
    assert "got JSON of another kind; give one that" in read(tmp_path, '{"format": "else"}')
    assert "JSON of another kind" in read(tmp_path, "[]")
    assert "a text that is no JSON: Expecting value" in read(tmp_path, "no json")
    assert "got an empty file; give one that --output has written" in read(tmp_path, "\n")
    assert "protocol" in read(tmp_path, json.dumps(whole | {"protocol": "99.0"}))
    assert "no text" in read(tmp_path, "\xff\xfe", encoding="latin-1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": None}, "got one without rules; give one that --output has written"),
        ({"rules": "softmax-R1"}, "one whose rules is no object"),
        ({"rules": {"softmax-R1": "must"}}, "one whose rules.softmax-R1 is no object"),
        ({"results": 3}, "one whose results is no array"),
        ({"results": ["softmax"]}, "one whose results[0] is no object"),
        ({"results": [{"check": LAW}]}, "one without results[0].rules"),
        ({"backend": {}}, "one without backend.name"),
        ({"strictness": {"factor": "2", "ulps": ""}}, "one whose strictness.factor is no number"),
        ({"words": "softmax"}, "one whose words is no array"),
    ],
)
def test_a_judgement_with_something_else_in_a_place_is_refused(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    found = {k: x for k, x in (judged(PASSED) | changes).items() if x is not None}
    assert says in read(tmp_path, json.dumps(found))


def test_a_judgement_that_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(as_json.text(as_json.of(report(PASSED))), encoding="utf-8")
    assert diff.read(path) == judged(PASSED)
