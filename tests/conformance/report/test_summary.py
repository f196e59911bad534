"""Results by page and rule; every mistake is reported once; the badge counts rules."""

from mindref.conformance.report import summary
from tests.conformance.small import FORWARD, GRADIENT, PROPERTY, REFUSAL, report, result


def failed(check, rule, **fields):
    return result(check, "failed", rules=(rule,), message="m", **fields)


def test_pages_and_rules_are_in_running_order():
    full_report = report(
        result("softmax/first", rules=("softmax-R7",)),
        failed("routing/a", "routing-R9"),
        failed("softmax/property", "softmax-R4"),
        failed("softmax/agreement", "softmax-R1"),
        failed("numerics/late", "softmax-R4"),
    )
    groups = summary.failures_by_rule(summary.report_failures(full_report))
    assert [(rule, len(group)) for rule, group in groups] == [
        ("softmax-R4", 2),
        ("softmax-R1", 1),
        ("routing-R9", 1),
    ]


def test_a_failure_in_two_precisions_is_printed_once():
    both = [failed(PROPERTY, "softmax-R2", precision=p) for p in ("float64", "float32")]
    (one,) = summary.report_failures(report(*both))
    assert one.precisions == ("float64", "float32")
    assert summary.failure_text_lines(one)[0] == f"{PROPERTY} [float64, float32]: What is asked."


def test_a_repeated_diagnosis_is_printed_once():
    """Two failures without a known mistake are not the same mistake."""
    diagnosis_text = "your result equals the reference with this mistake: the mask is late"
    full_report = report(
        failed(PROPERTY, "softmax-R2", diagnosis=diagnosis_text),
        failed(FORWARD, "softmax-R1", diagnosis=diagnosis_text),
        failed(GRADIENT, "softmax-R5", diagnosis="no match"),
        failed("softmax/other", "softmax-R5", diagnosis="no match"),
        failed(REFUSAL, "softmax-R7"),
    )
    diagnoses = [summary.failure_text_lines(x)[2:] for x in summary.report_failures(full_report)]
    same, unknown = ["the same mistake as above"], ["no known mistake explains it either"]
    assert diagnoses == [[diagnosis_text], same, ["no match"], unknown, []]


def test_the_script_is_printed_as_a_shell_command():
    full_report = report(failed(PROPERTY, "softmax-R2", script="my folder/a.py"))
    (failure,) = summary.report_failures(full_report)
    assert summary.failure_text_lines(failure)[-1] == "python 'my folder/a.py'"


def test_a_single_failure_is_printed_with_its_rule():
    text = summary.result_text(failed(PROPERTY, "softmax-R2"))
    assert text.startswith(summary.rule_line("softmax-R2"))
    assert text.endswith("\nm")


def test_results_with_one_reason_share_a_line():
    results = [
        result("a/x", "blocked", blocked_by="softmax-R1"),
        result("a/y", "blocked", blocked_by="softmax-R1"),
        result("a/z", "expected", reason="bug: known"),
        result("a/u", "not_claimed", reason="level train"),
        result("a/v", "self_comparison", reason="says nothing"),
    ]
    assert [summary.folded_line(fold) for fold in summary.folded_results(report(*results))] == [
        "2 blocked by softmax-R1",
        "1 expected: bug: known",
        "1 not claimed: level train",
        "1 self-comparison: says nothing",
    ]


def test_why_a_check_neither_passed_nor_failed():
    blocked = result("a/x", "blocked", blocked_by="softmax-R1", message="m")
    assert summary.not_passed_reason(blocked) == "blocked by softmax-R1: m"
    assert summary.not_passed_reason(result("a/x", "not_claimed", reason="r")) == "not claimed: r"


def test_many_problems_with_one_text_are_shortened():
    strange = [
        f"mine/check_{i}[softmax] [float64] ran and is not in the manifest: install mindref again"
        for i in range(12)
    ]
    lost = [f"softmax/lost_{i} [float16/float32] was planned and did not run" for i in range(11)]
    lines = [f"gaps.toml: [[expect]] {i}: softmax-R5 passes now" for i in range(12)]
    full_report = report(problems=(*lines, *lost, *strange))
    assert summary.report_problems(full_report) == [
        *lines,
        *lost[:10],
        "and 1 more: was planned and did not run",
        *strange[:10],
        "and 2 more: ran and is not in the manifest: install mindref again",
    ]
    few = (*lines, *lost[:10], *strange[:10])
    assert summary.report_problems(report(problems=few)) == list(few)


def test_the_count_line_shows_missing_results():
    full_report = report(result(), result(PROPERTY, "not_claimed"))
    assert summary.count_line(full_report) == "planned 2 = 1 passed + 0 failed + 1 not claimed"
    short = full_report._replace(planned=3)
    assert summary.count_line(short) == "planned 3 ≠ 1 passed + 0 failed + 1 not claimed"


def test_the_title_states_backend_settings_and_selection():
    backend, how, part = summary.title_lines(report(result(), selection=("softmax",)))
    assert backend.startswith("mine:Mine (mine 1.0) tested by mindref ")
    assert how == "profile smoke, seed 0, float64, device cpu"
    assert part == "only checks of softmax"


def test_the_largest_error_ratio_is_of_passed_results():
    results = [
        result(error_ratio=0.25),
        result(PROPERTY, error_ratio=0.5, grade="B"),
        result(GRADIENT, "failed", error_ratio=7.0),
        result(precision="float32", error_ratio=0.125),
    ]
    (row,) = summary.page_rows(report(*results), ("passed", "failed", "blocked"))
    assert row == ["softmax", "3", "1", "", "float64 50% (B), float32 12% (A)"]


def many(count, failing=0, **fields):
    """Return a result of each of so many rules, the last of them failed."""
    results = [result(f"page/{n}", rules=(f"page-R{n + 1}",), **fields) for n in range(count)]
    return results[: count - failing] + [
        r._replace(status="failed") for r in results[count - failing :]
    ]


def test_the_badge_has_the_form_of_the_specification():
    results = [*many(41), *many(41, 3, gradient=True), *many(12, level="model")]
    assert summary.badge_text(report(*results)) == "ops 41/41 · gradients 38/41 · model 12/12"


def test_a_rule_counts_once_and_only_if_all_its_checks_passed():
    both = [result("a/x"), result("a/y"), result("a/x", precision="float32")]
    assert summary.badge_text(report(*both)) == "ops 1/1"
    for status in ("failed", "blocked", "expected"):
        one = both[2]._replace(status=status)
        assert summary.badge_text(report(*both[:2], one)) == "ops 0/1"


def test_results_that_did_not_run_do_not_count():
    results = [result(), result("b/x", "not_claimed", rules=("softmax-R2",))]
    level = result("c/x", "not_claimed", level="train")
    itself = result("d/x", "self_comparison", gradient=True)
    text = summary.badge_text(report(*results, level, itself))
    assert text == "ops 1/1 · gradients the reference itself · train not claimed"


def test_a_narrow_type_is_a_class_of_its_own():
    narrow = result(precision="float16/float32", status="failed")
    assert summary.badge_text(report(result(), narrow)) == "ops 1/1 · float16/float32 0/1"


def test_the_badge_shows_selection_and_widened_tolerances():
    assert summary.badge_text(report(result(), selection=("softmax",))) == "softmax: ops 1/1"
    assert summary.badge_text(report(result(grade="C"))) == "ops 1/1 · 1 with widened tolerance"
