"""Grouped by page and rule, the most telling first, and every mistake told once."""

from __future__ import annotations

from mindref.conformance.judging.result import Result
from mindref.conformance.report import outline
from tests.conformance.small import FORWARD, GRADIENT, LAW, REFUSAL, report, result


def failed(check: str, rule: str, **fields: object) -> Result:
    return result(check, "failed", rules=(rule,), message="m", **fields)


def test_pages_come_in_the_order_of_running_and_rules_in_that_of_their_checks() -> None:
    made = report(
        result("softmax/first", rules=("softmax-R7",)),
        failed("routing/a", "routing-R9"),
        failed("softmax/law", "softmax-R4"),
        failed("softmax/agreement", "softmax-R1"),
        failed("numerics/late", "softmax-R4"),
    )
    groups = [(rule, len(group)) for rule, group in outline.by_rule(outline.failures(made))]
    assert groups == [("softmax-R4", 2), ("softmax-R1", 1), ("routing-R9", 1)]


def test_a_check_that_fails_in_two_precisions_is_told_once() -> None:
    both = [failed(LAW, "softmax-R2", precision=p) for p in ("float64", "float32")]
    (one,) = outline.failures(report(*both))
    assert one.precisions == ("float64", "float32")
    assert outline.told(one)[0] == f"{LAW} [float64, float32]: What is asked."


def test_a_diagnosis_is_told_once_and_then_named_the_same() -> None:
    """Two that nothing explains are not the same mistake."""
    known = "your result equals the reference with this mistake: the mask is late"
    some = [
        failed(LAW, "softmax-R2", diagnosis=known),
        failed(FORWARD, "softmax-R1", diagnosis=known),
        failed(GRADIENT, "softmax-R5", diagnosis="no match"),
        failed("softmax/other", "softmax-R5", diagnosis="no match"),
        failed(REFUSAL, "softmax-R7"),
    ]
    told = [outline.told(failure)[2:] for failure in outline.failures(report(*some))]
    again = ["the same mistake as above"]
    assert told == [[known], again, ["no match"], ["no match either"], []]


def test_a_script_is_told_as_a_command_that_a_shell_can_run() -> None:
    (one,) = outline.failures(report(failed(LAW, "softmax-R2", script="my folder/a.py")))
    assert outline.told(one)[-1] == "python 'my folder/a.py'"


def test_a_failure_alone_comes_with_the_words_of_its_rule() -> None:
    text = outline.of_one(failed(LAW, "softmax-R2"))
    assert text.startswith("softmax-R2 (must) A masked place has weight zero")
    assert text.endswith("\nm")


def test_what_is_no_failure_is_folded_by_its_reason() -> None:
    some = [
        result("a/x", "blocked", blocked_by="softmax-R1"),
        result("a/y", "blocked", blocked_by="softmax-R1"),
        result("a/z", "expected", reason="bug: known"),
        result("a/u", "not_claimed", reason="level train"),
        result("a/v", "itself", reason="says nothing"),
    ]
    assert [outline.folded_line(fold) for fold in outline.folded(report(*some))] == [
        "2 blocked by softmax-R1",
        "1 expected: bug: known",
        "1 not claimed: level train",
        "1 itself: says nothing",
    ]


def test_why_a_check_neither_passed_nor_failed() -> None:
    blocked = result("a/x", "blocked", blocked_by="softmax-R1", message="m")
    assert outline.why_not(blocked) == "blocked by softmax-R1: m"
    assert outline.why_not(result("a/x", "not_claimed", reason="r")) == "not claimed: r"


def test_many_problems_that_say_the_same_are_cut_short() -> None:
    strange = [
        f"mine/check_{i}[softmax] [float64] ran and is not in the manifest" for i in range(12)
    ]
    lost = [f"softmax/lost_{i} [float16/float32] was planned and did not run" for i in range(11)]
    lines = [f"gaps.toml: [[expect]] {i}: softmax-R5 passes now" for i in range(12)]
    made = report(problems=(*lines, *lost, *strange))
    assert outline.problems(made) == [
        *lines,
        *lost[:10],
        "and 1 more: was planned and did not run",
        *strange[:10],
        "and 2 more: ran and is not in the manifest",
    ]
    few = (*lines, *lost[:10], *strange[:10])
    assert outline.problems(report(problems=few)) == list(few)


def test_the_sum_is_shown_and_that_it_does_not_come_out() -> None:
    made = report(result(), result(LAW, "not_claimed"))
    assert outline.balance(made) == "planned 2 = 1 passed + 0 failed + 1 not claimed"
    short = made._replace(planned=3)
    assert outline.balance(short) == "planned 3 ≠ 1 passed + 0 failed + 1 not claimed"


def test_the_title_says_who_and_how_and_whether_it_is_a_part() -> None:
    who, how, part = outline.title(report(result(), words=("softmax",)))
    assert who.startswith("mine:Mine (mine 1.0) judged by mindref ")
    assert how == "profile smoke, seed 0, float64, device cpu"
    assert part == "only softmax"


def test_the_largest_share_of_the_allowed_error_is_that_of_what_passed() -> None:
    some = [
        result(share=0.25),
        result(LAW, share=0.5, grade="B"),
        result(GRADIENT, "failed", share=7.0),
        result(precision="float32", share=0.125),
    ]
    (row,) = outline.shares(report(*some)).values()
    assert outline.shares_line(row) == "float64 50% (B), float32 12% (A)"
