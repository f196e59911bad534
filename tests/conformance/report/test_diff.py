"""Changes since an earlier report, and the cause of each."""

import json

import pytest

from mindref.conformance import versions
from mindref.conformance.report import diff, json_report
from mindref.errors import ConfigError
from tests.conformance.small import FORWARD, GRADIENT, PROPERTY, report, result


def report_json(*results, **changes):
    text = json_report.json_text(json_report.suite_report_json(report(*results, **changes)))
    content = json.loads(text)
    return content


PASSED, FAILED, BLOCKED = (result(FORWARD, status) for status in ("passed", "failed", "blocked"))
SINGLE = FAILED._replace(precision="float32")
OTHER = result(PROPERTY)
OTHER_CHECK = result("softmax/other")


def with_rule_text_changed():
    old = report_json(PASSED)
    old["rules"]["softmax-R1"]["digest"] = "0" * 12
    return old


def with_strictness(**changes):
    old = report_json(PASSED)
    return old | {"strictness": old["strictness"] | changes}


FACTOR = report_json(PASSED)["strictness"]["factor"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (report_json(PASSED), [FAILED], "backend regression"),
        (report_json(PASSED), [BLOCKED], "backend regression"),
        (report_json(FAILED), [PASSED], "fixed"),
        (report_json(result(FORWARD, "expected")), [PASSED], "fixed"),
        (report_json(FAILED), [BLOCKED], "still fails"),
        (with_rule_text_changed(), [FAILED], "changed rule"),
        (report_json(PASSED._replace(text="Another question.")), [FAILED], "changed check"),
        (with_strictness(factor=2 * FACTOR), [FAILED], "tightened tolerance"),
        (with_strictness(ulps="0" * 12), [FAILED], "tightened tolerance"),
        (report_json(PASSED._replace(factor=3.0, grade="C")), [FAILED], "tightened tolerance"),
        (with_strictness(factor=FACTOR / 2), [FAILED], "backend regression"),
        (report_json(PASSED) | {"suite": "0.9"}, [FAILED], "changed suite"),
        (report_json(PASSED) | {"seed": 5}, [FAILED], "other examples"),
        (report_json(PASSED) | {"profile": "deep"}, [FAILED], "other examples"),
        (report_json(OTHER), [OTHER, FAILED], "new rule"),
        (report_json(OTHER, OTHER_CHECK), [OTHER, OTHER_CHECK, FAILED], "new check"),
        (report_json(OTHER, selection=("softmax-R2",)), [OTHER, FAILED], "newly run"),
        (report_json(PASSED), [PASSED, SINGLE], "newly run"),
        (report_json(PASSED, SINGLE), [PASSED], "no longer run"),
        (report_json(result(FORWARD, "not_claimed")), [FAILED], "newly claimed"),
        (report_json(PASSED), [result(FORWARD, "not_claimed")], "no longer claimed"),
        (report_json(result(FORWARD, "self_comparison")), [PASSED], "newly run"),
    ],
)
def test_a_change_of_a_result_has_one_cause(old, new, why):
    assert [change.why for change in diff.report_changes(old, report_json(*new))] == [why]


def test_another_message_is_no_change():
    old = report_json(PASSED, result(GRADIENT, "failed", message="other words"))
    assert diff.report_changes(old, report_json(PASSED, result(GRADIENT, "failed"))) == []
    assert list(diff.change_lines([], old, old)) == ["no check has changed"]


def test_change_lines_state_differences_in_order_of_importance():
    both = [PASSED._replace(precision=p) for p in ("float64", "float32")]
    old = report_json(result(GRADIENT, "failed"), OTHER, *both) | {
        "suite": versions.SUITE,
        "seed": 0,
    }
    failed = [r._replace(status="failed") for r in both]
    blocked = result(PROPERTY, "blocked")
    new = report_json(result(GRADIENT), blocked, *failed, backend="other:Other")
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


def test_every_reason_is_in_the_published_form():
    form = json_report.suite_report_schema()["properties"]["changes"]["items"]["properties"]["why"]
    assert tuple(form["enum"]) == diff.WHYS


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "old.json"
    path.write_text(text, encoding=encoding)
    with pytest.raises(ConfigError) as caught:
        diff.read_earlier_report(path)
    assert f"--diff {path}: expected" in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_report_raises(tmp_path):
    complete = report_json(PASSED)
    assert "got JSON of another kind; name a file that" in read(tmp_path, '{"format": "else"}')
    assert "JSON of another kind" in read(tmp_path, "[]")
    assert "text that is not JSON: Expecting value" in read(tmp_path, "no json")
    assert "got an empty file; name a file that --output has written" in read(tmp_path, "\n")
    assert "protocol" in read(tmp_path, json.dumps(complete | {"protocol": "99.0"}))
    assert "not UTF-8 text" in read(tmp_path, "\xff\xfe", encoding="latin-1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": None}, "got a report without rules; name a file that --output has written"),
        ({"rules": "softmax-R1"}, "a report in which rules is not of type object"),
        (
            {"rules": {"softmax-R1": "must"}},
            "a report in which rules.softmax-R1 is not of type object",
        ),
        ({"results": 3}, "a report in which results is not of type array"),
        ({"results": ["softmax"]}, "a report in which results[0] is not of type object"),
        ({"results": [{"check": PROPERTY}]}, "a report without results[0].rules"),
        ({"backend": {}}, "a report without backend.name"),
        (
            {"strictness": {"factor": "2", "ulps": ""}},
            "a report in which strictness.factor is not of type number",
        ),
        ({"selection": "softmax"}, "a report in which selection is not of type array"),
    ],
)
def test_a_report_with_a_wrong_type_raises(changes, says, tmp_path):
    changed = {k: x for k, x in (report_json(PASSED) | changes).items() if x is not None}
    assert says in read(tmp_path, json.dumps(changed))


def test_a_written_report_is_read(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json_report.json_text(report_json(PASSED)), encoding="utf-8")
    assert diff.read_earlier_report(path) == report_json(PASSED)
