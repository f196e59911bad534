"""The badge: one line with the passed and claimed rules."""

from mindref.conformance.report import badge
from tests.conformance.small import report, result


def many(count, failing=0, **fields):
    """Return a result of each of so many rules, the last of them failed."""
    results = [result(f"page/{n}", rules=(f"page-R{n + 1}",), **fields) for n in range(count)]
    return results[: count - failing] + [
        r._replace(status="failed") for r in results[count - failing :]
    ]


def test_it_has_the_form_of_the_specification():
    results = [*many(41), *many(41, 3, gradient=True), *many(12, level="model")]
    assert badge.badge_text(report(*results)) == "ops 41/41 · gradients 38/41 · model 12/12"


def test_a_rule_counts_once_and_only_if_all_its_checks_passed():
    both = [result("a/x"), result("a/y"), result("a/x", precision="float32")]
    assert badge.badge_text(report(*both)) == "ops 1/1"
    for status in ("failed", "blocked", "expected"):
        one = both[2]._replace(status=status)
        assert badge.badge_text(report(*both[:2], one)) == "ops 0/1"


def test_results_that_did_not_run_do_not_count():
    results = [result(), result("b/x", "not_claimed", rules=("softmax-R2",))]
    level = result("c/x", "not_claimed", level="train")
    itself = result("d/x", "self_comparison", gradient=True)
    text = badge.badge_text(report(*results, level, itself))
    assert text == "ops 1/1 · gradients the reference itself · train not claimed"


def test_a_narrow_type_is_a_class_of_its_own():
    narrow = result(precision="float16/float32", status="failed")
    assert badge.badge_text(report(result(), narrow)) == "ops 1/1 · float16/float32 0/1"


def test_the_badge_shows_selection_and_widened_tolerances():
    assert badge.badge_text(report(result(), selection=("softmax",))) == "softmax: ops 1/1"
    assert badge.badge_text(report(result(grade="C"))) == "ops 1/1 · 1 with widened tolerance"
