"""Known gaps and widened tolerances: read strictly, applied, and never stale in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindref.conformance.judging import expectations
from mindref.conformance.judging.expectations import WIDEST, Expectations, applied, problems, read
from mindref.errors import ConfigError
from tests.conformance.small import FORWARD, GRADIENT, LAW, result

GAP = '[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "doubled"\nlink = "https://x.org"\n'
WIDER = f'[[tolerance]]\ncheck = "{FORWARD}"\nfactor = 3\nreason = "fast exp"\n'


def of(tmp_path: Path, text: str) -> Expectations:
    (tmp_path / "gaps.toml").write_text(text, encoding="utf-8")
    return read(tmp_path / "gaps.toml")


def test_a_failure_that_is_foreseen_is_expected_with_its_reason(tmp_path: Path) -> None:
    lines = of(tmp_path, GAP)
    (found,) = applied(lines, [result(GRADIENT, "failed")])
    assert (found.status, found.reason) == ("expected", "bug: doubled (https://x.org)")
    assert problems(lines, [found]) == []


def test_a_line_can_name_a_check_in_one_precision(tmp_path: Path) -> None:
    text = f'[[expect]]\ncheck = "{LAW}"\nprecision = "float32"\nkind = "never"\nreason = "r"\n'
    some = [result(LAW, "failed"), result(LAW, "failed", precision="float32")]
    found = applied(of(tmp_path, text), some)
    assert [r.status for r in found] == ["failed", "expected"]


def test_what_an_expected_failure_blocks_is_expected_too(tmp_path: Path) -> None:
    blocked = result(LAW, "blocked", blocked_by="softmax-R5")
    found = applied(of(tmp_path, GAP), [result(GRADIENT, "failed"), blocked])
    assert [r.status for r in found] == ["expected", "expected"]
    assert found[1].reason.startswith("follows from softmax-R5")


def test_what_another_failure_blocks_stays_blocked(tmp_path: Path) -> None:
    cause = result(FORWARD, "failed")
    blocked = result(LAW, "blocked", blocked_by="softmax-R1")
    found = applied(of(tmp_path, GAP), [cause, blocked])
    assert [r.status for r in found] == ["failed", "blocked"]


@pytest.mark.rules("conformance-R10")
def test_a_gap_that_has_closed_is_a_problem(tmp_path: Path) -> None:
    lines = of(tmp_path, GAP)
    (line,) = problems(lines, applied(lines, [result(GRADIENT, "passed")]))
    assert "gaps.toml: [[expect]] 1: softmax-R5 passes now" in line


@pytest.mark.rules("conformance-R10")
def test_a_line_that_meets_nothing_is_a_problem_unless_only_a_part_is_judged(
    tmp_path: Path,
) -> None:
    lines = of(tmp_path, GAP + WIDER)
    (gap, wider) = problems(lines, [result(LAW)])
    assert "meets no check" in gap
    assert "no check that was judged" in wider
    assert problems(lines, [result(LAW)], partial=True) == []
    unasked = result(GRADIENT, "not_claimed")
    assert problems(lines, [unasked, result(FORWARD)]) == [gap]


@pytest.mark.rules("conformance-R10")
@pytest.mark.parametrize("partial", [False, True])
def test_a_line_of_what_does_not_exist_is_stale_whatever_is_judged(
    partial: bool, tmp_path: Path
) -> None:
    check = GAP.replace('rule = "softmax-R5"', 'check = "softmax/no_more"')
    text = GAP.replace("R5", "R55") + check + WIDER.replace(FORWARD, "softmax/gone")
    rule, gap, wider = problems(of(tmp_path, text), [result(LAW)], partial=partial)
    assert "[[expect]] 1: softmax-R55 is no rule that a check of this suite cites" in rule
    assert "[[expect]] 2: softmax/no_more is no check of this suite: the line is stale" in gap
    assert "[[tolerance]] 1: softmax/gone is no check of this suite: the line is stale" in wider


@pytest.mark.rules("conformance-R11")
def test_a_widened_tolerance_is_told_and_lowers_the_grade(tmp_path: Path) -> None:
    lines = of(tmp_path, WIDER)
    assert lines.factors == {FORWARD: 3.0}
    passed, failed, other = applied(
        lines, [result(FORWARD), result(FORWARD, "failed"), result(LAW)]
    )
    assert (passed.grade, passed.factor) == ("C", 3.0)
    assert "fast exp" in passed.reason
    assert (failed.status, failed.factor) == ("failed", 3.0)
    assert (other.grade, other.factor) == ("A", 1.0)
    assert expectations.remarks(lines) == [f"allowed error of {FORWARD} widened 3 times: fast exp"]


def test_without_a_file_nothing_is_expected() -> None:
    assert read(None) == Expectations()


def row(**fields: str) -> str:
    given = {"rule": "softmax-R5", "kind": "bug", "reason": "r"} | fields
    return "[[expect]]\n" + "".join(f'{k} = "{v}"\n' for k, v in given.items() if v != "-")


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
def test_what_cannot_be_meant_is_refused_with_its_place(
    text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        of(tmp_path, text)
    assert "gaps.toml" in str(caught.value)
    assert says in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "none.toml")
