"""Changes since an earlier report, and their causes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mindref.conformance.report import diff, json_report
from mindref.conformance.runner.result import CheckResult
from mindref.errors import ConfigError
from tests.conformance.small import FORWARD, GRADIENT, PROPERTY, report, result


def report_json_of(*results: CheckResult, **changes: Any) -> dict[str, Any]:
    found = json.loads(
        json_report.json_text(json_report.suite_report_json(report(*results, **changes)))
    )
    assert isinstance(found, dict)
    return found


def why(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [change.why for change in diff.report_changes(old, new)]


PASSED, FAILED = result(FORWARD), result(FORWARD, "failed")


def test_nothing_has_changed() -> None:
    old = report_json_of(PASSED, result(GRADIENT, "failed", message="now other words"))
    assert diff.report_changes(old, report_json_of(PASSED, result(GRADIENT, "failed"))) == []
    assert list(diff.change_lines([], old, old)) == ["no check has changed"]


def test_a_new_failure_is_a_regression_if_nothing_else_changed() -> None:
    assert why(report_json_of(PASSED), report_json_of(FAILED)) == ["backend regression"]
    assert why(report_json_of(PASSED), report_json_of(result(FORWARD, "blocked"))) == [
        "backend regression"
    ]


def test_a_failure_that_passes_now_is_fixed() -> None:
    assert why(report_json_of(FAILED), report_json_of(PASSED)) == ["fixed"]
    assert why(report_json_of(result(FORWARD, "expected")), report_json_of(PASSED)) == ["fixed"]
    assert why(report_json_of(FAILED), report_json_of(result(FORWARD, "blocked"))) == [
        "still fails"
    ]


def test_a_failure_of_a_rule_with_other_words_is_no_regression() -> None:
    old = report_json_of(PASSED)
    old["rules"]["softmax-R1"]["digest"] = "0" * 12
    assert why(old, report_json_of(FAILED)) == ["changed rule"]


def test_a_failure_of_a_changed_check_is_no_regression() -> None:
    assert why(
        report_json_of(PASSED._replace(text="Another question.")), report_json_of(FAILED)
    ) == ["changed check"]


def test_a_failure_by_a_tighter_tolerance_is_no_regression() -> None:
    wider = report_json_of(PASSED)
    wider["strictness"]["factor"] *= 2
    assert why(wider, report_json_of(FAILED)) == ["tightened tolerance"]
    table = report_json_of(PASSED)
    table["strictness"]["ulps"] = "0" * 12
    assert why(table, report_json_of(FAILED)) == ["tightened tolerance"]
    by_hand = report_json_of(PASSED._replace(factor=3.0, grade="C"))
    assert why(by_hand, report_json_of(FAILED)) == ["tightened tolerance"]
    narrower = report_json_of(PASSED)
    narrower["strictness"]["factor"] /= 2
    assert why(narrower, report_json_of(FAILED)) == ["backend regression"]


def test_another_suite_or_other_examples_leave_it_open_whose_change_it_was() -> None:
    assert why(report_json_of(PASSED) | {"suite": "0.9"}, report_json_of(FAILED)) == [
        "changed suite"
    ]
    assert why(report_json_of(PASSED) | {"seed": 5}, report_json_of(FAILED)) == ["other examples"]
    assert why(report_json_of(PASSED) | {"profile": "deep"}, report_json_of(FAILED)) == [
        "other examples"
    ]


def test_a_check_of_a_rule_that_was_not_there_is_a_new_rule() -> None:
    old = report_json_of(result(PROPERTY))
    assert why(old, report_json_of(result(PROPERTY), FAILED)) == ["new rule"]
    known = report_json_of(result(PROPERTY), result("softmax/other"))
    assert why(known, report_json_of(result(PROPERTY), result("softmax/other"), FAILED)) == [
        "new check"
    ]


def test_a_check_outside_the_old_selection_is_no_new_rule() -> None:
    part = report_json_of(result(PROPERTY), selection=("softmax-R2",))
    assert why(part, report_json_of(result(PROPERTY), FAILED)) == ["newly run"]
    single = FAILED._replace(precision="float32")
    assert why(report_json_of(PASSED), report_json_of(PASSED, single)) == ["newly run"]
    assert why(report_json_of(PASSED, single), report_json_of(PASSED)) == ["no longer run"]


def test_claims_that_change_are_named() -> None:
    silent = report_json_of(result(FORWARD, "not_claimed"))
    assert why(silent, report_json_of(FAILED)) == ["newly claimed"]
    assert why(report_json_of(PASSED), silent) == ["no longer claimed"]
    assert why(report_json_of(result(FORWARD, "self_comparison")), report_json_of(PASSED)) == [
        "newly run"
    ]


def test_change_lines_state_differences_in_order_of_importance() -> None:
    both = [r._replace(precision=p) for p in ("float64", "float32") for r in (PASSED,)]
    old = report_json_of(result(GRADIENT, "failed"), result(PROPERTY), *both) | {
        "suite": "1.0",
        "seed": 0,
    }
    worse = [r._replace(status="failed") for r in both]
    new = report_json_of(
        result(GRADIENT), result(PROPERTY, "blocked"), *worse, backend="other:Other"
    )
    lines = list(diff.change_lines(diff.report_changes(old, new), old, new))
    assert lines == [
        "backend: mine:Mine before, other:Other now",
        "3 backend regression, 1 fixed",
        f"backend regression: {FORWARD} [float64, float32], passed -> failed",
        f"backend regression: {PROPERTY} [float64], passed -> blocked",
        f"fixed: {GRADIENT} [float64], failed -> passed",
    ]
    moved = old | {"specification": "0.9", "profile": "deep"}
    assert list(diff.change_lines([], moved, old))[:2] == [
        f"specification: 0.9 before, {old['specification']} now",
        "profile: deep before, smoke now",
    ]


def test_every_reason_is_in_the_published_form() -> None:
    form = json_report.suite_report_schema()["properties"]["changes"]["items"]["properties"]["why"]
    assert tuple(form["enum"]) == diff.WHYS


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> str:
    path = tmp_path / "old.json"
    path.write_text(text, encoding=encoding)
    with pytest.raises(ConfigError) as caught:
        diff.read_earlier_report(path)
    assert f"--diff {path}: expected" in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_report_raises(tmp_path: Path) -> None:
    whole = report_json_of(PASSED)
    assert "got JSON of another kind; name a file that" in read(tmp_path, '{"format": "else"}')
    assert "JSON of another kind" in read(tmp_path, "[]")
    assert "text that is not JSON: Expecting value" in read(tmp_path, "no json")
    assert "got an empty file; name a file that --output has written" in read(tmp_path, "\n")
    assert "protocol" in read(tmp_path, json.dumps(whole | {"protocol": "99.0"}))
    assert "not UTF-8 text" in read(tmp_path, "\xff\xfe", encoding="latin-1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": None}, "got a report without rules; name a file that --output has written"),
        ({"rules": "softmax-R1"}, "a report whose rules is not of type object"),
        (
            {"rules": {"softmax-R1": "must"}},
            "a report whose rules.softmax-R1 is not of type object",
        ),
        ({"results": 3}, "a report whose results is not of type array"),
        ({"results": ["softmax"]}, "a report whose results[0] is not of type object"),
        ({"results": [{"check": PROPERTY}]}, "a report without results[0].rules"),
        ({"backend": {}}, "a report without backend.name"),
        (
            {"strictness": {"factor": "2", "ulps": ""}},
            "a report whose strictness.factor is not of type number",
        ),
        ({"selection": "softmax"}, "a report whose selection is not of type array"),
    ],
)
def test_a_report_with_a_wrong_type_raises(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    found = {k: x for k, x in (report_json_of(PASSED) | changes).items() if x is not None}
    assert says in read(tmp_path, json.dumps(found))


def test_a_written_report_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(
        json_report.json_text(json_report.suite_report_json(report(PASSED))), encoding="utf-8"
    )
    assert diff.read_earlier_report(path) == report_json_of(PASSED)
