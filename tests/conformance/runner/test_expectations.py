"""Known gaps and widened tolerances are read strictly, applied, and reported when stale."""

import pytest

from mindref.conformance.runner import expectations
from mindref.conformance.runner.expectations import (
    WIDEST,
    Expectations,
    apply_expectations,
    read_expectations,
    stale_lines,
)
from mindref.errors import ConfigError
from tests.conformance.small import FORWARD, GRADIENT, PROPERTY, result

GAP = '[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "doubled"\nlink = "https://x.org"\n'
WIDER = f'[[tolerance]]\ncheck = "{FORWARD}"\nfactor = 3\nreason = "fast exp"\n'


def of(tmp_path, text):
    (tmp_path / "gaps.toml").write_text(text, encoding="utf-8")
    return read_expectations(tmp_path / "gaps.toml")


def test_an_expected_failure_has_its_reason(tmp_path):
    lines = of(tmp_path, GAP)
    (applied,) = apply_expectations(lines, [result(GRADIENT, "failed")])
    assert (applied.status, applied.reason) == ("expected", "bug: doubled (https://x.org)")
    assert stale_lines(lines, [applied]) == []


def test_a_line_can_name_a_check_in_one_precision(tmp_path):
    text = (
        f'[[expect]]\ncheck = "{PROPERTY}"\nprecision = "float32"\nkind = "never"\nreason = "r"\n'
    )
    results = [result(PROPERTY, "failed"), result(PROPERTY, "failed", precision="float32")]
    applied = apply_expectations(of(tmp_path, text), results)
    assert [r.status for r in applied] == ["failed", "expected"]


def test_results_blocked_by_an_expected_failure_are_expected(tmp_path):
    blocked = result(PROPERTY, "blocked", blocked_by="softmax-R5")
    applied = apply_expectations(of(tmp_path, GAP), [result(GRADIENT, "failed"), blocked])
    assert [r.status for r in applied] == ["expected", "expected"]
    assert applied[1].reason.startswith("follows from softmax-R5")


def test_results_blocked_by_another_failure_stay_blocked(tmp_path):
    cause = result(FORWARD, "failed")
    blocked = result(PROPERTY, "blocked", blocked_by="softmax-R1")
    applied = apply_expectations(of(tmp_path, GAP), [cause, blocked])
    assert [r.status for r in applied] == ["failed", "blocked"]


@pytest.mark.rules("conformance-R10")
def test_a_gap_that_passes_is_a_problem(tmp_path):
    lines = of(tmp_path, GAP)
    (line,) = stale_lines(lines, apply_expectations(lines, [result(GRADIENT, "passed")]))
    assert "gaps.toml: [[expect]] 1: softmax-R5 passes now" in line


@pytest.mark.rules("conformance-R10")
def test_an_unmatched_line_is_a_problem_in_a_complete_run(tmp_path):
    lines = of(tmp_path, GAP + WIDER)
    (gap, wider) = stale_lines(lines, [result(PROPERTY)])
    assert "matches no check" in gap
    assert "no check of this run" in wider
    assert stale_lines(lines, [result(PROPERTY)], partial=True) == []
    unasked = result(GRADIENT, "not_claimed")
    assert stale_lines(lines, [unasked, result(FORWARD)]) == [gap]


@pytest.mark.rules("conformance-R10")
@pytest.mark.parametrize("partial", [False, True])
def test_a_line_with_an_unknown_name_is_always_a_problem(partial, tmp_path):
    check = GAP.replace('rule = "softmax-R5"', 'check = "softmax/no_more"')
    text = GAP.replace("R5", "R55") + check + WIDER.replace(FORWARD, "softmax/gone")
    rule, gap, wider = stale_lines(of(tmp_path, text), [result(PROPERTY)], partial=partial)
    assert "[[expect]] 1: no check of this suite cites a rule softmax-R55" in rule
    assert "[[expect]] 2: this suite has no check softmax/no_more; correct the name" in gap
    assert "[[tolerance]] 1: this suite has no check softmax/gone; correct the name" in wider


@pytest.mark.rules("conformance-R11")
def test_a_widened_tolerance_is_reported_and_lowers_the_grade(tmp_path):
    lines = of(tmp_path, WIDER)
    assert lines.factors == {FORWARD: 3.0}
    passed, failed, other = apply_expectations(
        lines, [result(FORWARD), result(FORWARD, "failed"), result(PROPERTY)]
    )
    assert (passed.grade, passed.factor) == ("C", 3.0)
    assert "fast exp" in passed.reason
    assert (failed.status, failed.factor) == ("failed", 3.0)
    assert (other.grade, other.factor) == ("A", 1.0)
    assert expectations.tolerance_remarks(lines) == [
        f"error bound of {FORWARD} widened by a factor of 3: fast exp"
    ]


def test_without_a_file_nothing_is_expected():
    assert read_expectations(None) == Expectations()


def row(**fields):
    fields_of_row = {"rule": "softmax-R5", "kind": "bug", "reason": "r"} | fields
    return "[[expect]]\n" + "".join(f'{k} = "{v}"\n' for k, v in fields_of_row.items() if v != "-")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("expect = 3", "expected tables [[expect]], got expect = 3"),
        ("[[expects]]\n", "expected tables [[expect]] and [[tolerance]], got expects"),
        ("not toml", "expected a TOML file of expectations"),
        (row(kind="soon"), "expected kind = one of notimpl, notyet, never, bug, got soon"),
        (row(reason=" "), "expected a reason, got none"),
        (row(rule="-"), "expected check or rule, got neither"),
        (row(check="softmax/x"), "expected check or rule, got both"),
        (row(until="2027"), "expected only check, kind, link, precision, reason, rule, got until"),
        ('[[expect]]\nrule = 3\nkind = "bug"\n', "rule: expected text, got 3"),
        (WIDER.replace("3", "0.5"), f"expected factor from 1 to {WIDEST:g}, got 0.5"),
        (WIDER.replace("3", "17"), "got 17"),
        (WIDER.replace("3", "nan"), "got nan"),
        (WIDER.replace("3", "true"), "got True"),
        (WIDER.replace("fast exp", ""), "expected a reason"),
        (WIDER.replace("check", "checks"), "got checks"),
        (WIDER + WIDER, "expected one tolerance for a check"),
    ],
)
def test_an_invalid_line_raises_with_its_location(text, says, tmp_path):
    with pytest.raises(ConfigError) as caught:
        of(tmp_path, text)
    assert "gaps.toml" in str(caught.value)
    assert says in str(caught.value)


def test_a_missing_file_raises(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_expectations(tmp_path / "none.toml")
