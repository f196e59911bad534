"""A run that stops early reports the results so far, and no verdict without a failure."""

import pytest

from mindref.conformance.report import summary
from mindref.conformance.runner.suite_run import SuiteRun
from tests.conformance.small import FORWARD, GRADIENT, NAMES, PROPERTY, QUICK, SMALL

pytestmark = pytest.mark.usefixtures("small_suite")


def fail_fast(backend, **options):
    run = SuiteRun(f"{SMALL}:{backend}", settings=QUICK, **options)
    return run.report(fail_fast=True)


@pytest.mark.rules("conformance-R22")
def test_the_run_stops_after_the_first_check_that_failed():
    report = fail_fast("wrong_gradient")
    assert [(r.check, r.status) for r in report.results] == [
        (PROPERTY, "blocked"), (FORWARD, "passed"), (GRADIENT, "failed"),
    ]  # fmt: skip
    assert report.results[0].blocked_by == "softmax-R5"
    assert (report.planned, report.stopped) == (2 * len(NAMES), "--fail-fast")
    assert not report.complete
    assert not report.conforms
    assert summary.verdict_text(report) == "does not conform"
    lines = summary.next_steps(report)
    assert "Incomplete: 5 planned checks did not run, because of --fail-fast." in lines


@pytest.mark.rules("conformance-R22")
def test_a_run_without_failure_is_complete():
    report = fail_fast("right")
    assert report.conforms
    assert report.stopped == ""


@pytest.mark.rules("conformance-R22")
def test_an_expected_failure_does_not_stop_the_run(tmp_path):
    lines = tmp_path / "gaps.toml"
    lines.write_text('[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "known"\n')
    assert fail_fast("wrong_gradient", expectations_path=lines).conforms


@pytest.mark.rules("conformance-R22")
def test_the_first_failure_does_not_depend_on_the_order_of_arrival():
    complete = SuiteRun(f"{SMALL}:wrong_gradient", settings=QUICK)
    complete.report()
    run = SuiteRun(f"{SMALL}:wrong_gradient", settings=QUICK)
    keys = list(run.planned_keys())
    for key in reversed(keys):
        assert run.first_failure() is None
        run.unattributed[key] = complete.unattributed[key]
    assert run.first_failure() == 2
    assert keys[2] == (GRADIENT, "float64")


@pytest.mark.rules("conformance-R22")
def test_results_that_arrive_after_the_first_failure_are_left_out():
    run = SuiteRun(f"{SMALL}:wrong_gradient", settings=QUICK)
    for check, precision in run.planned():
        run.run(check, precision)
    report = run.stopped_report("--fail-fast", run.first_failure())
    assert [r.check for r in report.results] == [PROPERTY, FORWARD, GRADIENT]
    assert report.results[-1].status == "failed"


@pytest.mark.rules("conformance-R24")
def test_the_results_so_far_have_no_verdict():
    run = SuiteRun(f"{SMALL}:right", settings=QUICK)
    planned = list(run.planned())
    for check, precision in planned[:3]:
        run.run(check, precision)
    report = run.stopped_report("Ctrl-C")
    assert [r.status for r in report.results] == 3 * ["passed"]
    assert (report.planned, report.complete, report.conforms) == (len(planned), False, False)
    assert summary.verdict_text(report) == "has no verdict: not all planned checks ran"
    assert summary.badge_text(report).startswith("incomplete: ")


@pytest.mark.rules("conformance-R24")
def test_a_run_that_is_stopped_after_its_last_check_is_incomplete():
    run = SuiteRun(f"{SMALL}:right", settings=QUICK)
    for check, precision in run.planned():
        run.run(check, precision)
    report = run.stopped_report("Ctrl-C")
    assert len(report.results) == report.planned
    assert (report.complete, report.conforms) == (False, False)
    assert summary.verdict_text(report) == "has no verdict: the run was stopped"
    last = summary.next_steps(report)[-1]
    assert last == "Incomplete: no failure is diagnosed, because of Ctrl-C."


@pytest.mark.rules("conformance-R24")
def test_failures_so_far_are_blocked_and_not_shrunk(monkeypatch):
    run = SuiteRun(f"{SMALL}:wrong_gradient", settings=QUICK)
    monkeypatch.setattr(run, "shrink", lambda result: pytest.fail("the user waits"))
    for check, precision in list(run.planned())[:3]:
        run.run(check, precision)
    report = run.stopped_report("Ctrl-C")
    assert [r.status for r in report.results] == ["blocked", "passed", "failed"]
    assert summary.verdict_text(report) == "does not conform"
