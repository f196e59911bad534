"""A complete run: planned by the manifest, attributed, expected, reproduced."""

import pytest

from mindref.conformance.runner import manifest
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.suite_run import SuiteRun, run_suite
from mindref.conformance.versions import package_version
from mindref.errors import BackendError, ConfigError
from tests.conformance.small import FORWARD, GRADIENT, NAMES, PROPERTY, QUICK, REFUSAL, SMALL

pytestmark = pytest.mark.usefixtures("small_suite")


def test_a_correct_backend_conforms():
    reported = []
    report = run_suite(f"{SMALL}:right", settings=QUICK, on_result=reported.append)
    assert report.conforms, [r.message for r in report.results]
    assert report.planned == len(report.results) == len(reported) == 2 * len(NAMES)
    assert report.precisions == ("float64", "float32")
    assert report.claims["operators"] == ("softmax",)


@pytest.mark.parametrize(
    ("backend", "statuses"),
    [
        ("wrong_gradient", ["blocked", "passed", "failed", "passed"]),
        ("signature", ["failed", "blocked", "blocked", "blocked"]),
    ],
)
def test_a_mistake_fails_one_check_and_blocks_its_consequences(backend, statuses):
    report = run_suite(f"{SMALL}:{backend}", settings=QUICK)
    results = {r.check: r.status for r in report.results if r.precision == "float32"}
    assert results == dict(zip((PROPERTY, FORWARD, GRADIENT, REFUSAL), statuses, strict=True))


@pytest.mark.rules("conformance-R2")
def test_an_unclaimed_feature_does_not_run():
    report = run_suite(f"{SMALL}:unclaiming", settings=QUICK)
    assert {r.status for r in report.results} == {"not_claimed"}
    assert report.remarks == ("operator softmax works but is not claimed",)
    assert not report.conforms


def test_a_claim_without_a_function_prevents_conformance():
    report = run_suite(f"{SMALL}:overclaiming", settings=QUICK)
    assert report.counts()["failed"] == 0
    assert "operator squash is claimed, but ops has no squash" in report.problems
    assert not report.conforms


@pytest.mark.rules("conformance-R1")
def test_a_missing_check_of_the_manifest_is_a_problem(monkeypatch):
    row = {"rules": ["softmax-R1"], "text": "", "level": "ops", "agreement": False}
    checks = manifest.load_manifest()["checks"] | {"softmax/lost": row}
    shipped = manifest.load_manifest() | {"checks": checks}
    monkeypatch.setattr(manifest, "load_manifest", lambda: shipped)
    report = run_suite(f"{SMALL}:right", settings=QUICK)
    assert not report.complete
    assert not report.conforms
    assert any(line.startswith("softmax/lost [float32] was planned") for line in report.problems)


def test_words_select_pages_rules_and_checks():
    for words, count in [(("softmax",), 8), (("softmax-R5",), 2), ((PROPERTY, FORWARD), 4)]:
        report = run_suite(f"{SMALL}:right", words, QUICK)
        assert (report.planned, report.selection, report.conforms) == (count, words, True)
    assert run_suite(f"{SMALL}:right", ("softmax", "softmax"), QUICK).selection == ("softmax",)
    with pytest.raises(ConfigError, match="expected a page, a rule or a check"):
        run_suite(f"{SMALL}:right", ("flush",), QUICK)


def test_expectations_are_applied(tmp_path):
    lines = tmp_path / "gaps.toml"
    lines.write_text('[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "known"\n')
    report = run_suite(f"{SMALL}:wrong_gradient", (), QUICK, lines)
    assert report.conforms, report.problems
    assert report.counts()["expected"] == 4
    stale = run_suite(f"{SMALL}:right", (), QUICK, lines)
    assert not stale.conforms
    assert "passes now" in stale.problems[0]


def test_a_check_runs_on_demand_and_a_failure_runs_the_others():
    run = SuiteRun(f"{SMALL}:wrong_gradient", settings=QUICK)
    planned = {c.name: (c, p) for c, p in run.planned() if str(p) == "float64"}
    assert run.result(*planned[FORWARD]).status == "passed"
    assert len(run.unattributed) == 1
    assert run.result(*planned[PROPERTY]).blocked_by == "softmax-R5"
    assert len(run.unattributed) == len(NAMES)


@pytest.mark.rules("conformance-R7")
def test_the_same_seed_gives_the_same_results():
    first, second = (run_suite(f"{SMALL}:wrong_forward", settings=QUICK) for _ in range(2))
    results = ([(r.status, r.message, r.error_ratio) for r in x.results] for x in (first, second))
    assert next(results) == next(results)


@pytest.mark.parametrize("settings", [RunSettings("quick"), RunSettings(seed=-1)])
def test_settings_out_of_range_raise(settings):
    with pytest.raises(ConfigError, match="conform: "):
        run_suite(f"{SMALL}:right", settings=settings)


def test_an_object_that_is_no_backend_raises():
    with pytest.raises(BackendError, match="expected Capabilities, got a dict"):
        run_suite(f"{SMALL}:WrongType", settings=QUICK)


def test_the_package_of_a_backend_is_named():
    assert package_version("numpy").startswith("mindref ")
    assert package_version("pytest:x").startswith("pytest ")
    assert package_version("no_such_package:x") == ""
