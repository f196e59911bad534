"""A whole judgement: planned by the manifest, explained, expected, reproduced."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindref.conformance.judging import manifest
from mindref.conformance.judging.judgement import Judgement, judge_backend, version
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.result import Result
from mindref.errors import BackendError, ConfigError
from tests.conformance.small import FORWARD, GRADIENT, LAW, NAMES, QUICK, REFUSAL, SMALL

pytestmark = pytest.mark.usefixtures("small_suite")


def statuses(name: str, **options: object) -> dict[str, str]:
    report = judge_backend(f"{SMALL}:{name}", settings=QUICK, **options)  # type: ignore[arg-type]
    return {r.check: r.status for r in report.results if r.precision == "float32"}


def test_a_right_backend_conforms_and_its_books_balance() -> None:
    heard: list[Result] = []
    report = judge_backend(f"{SMALL}:right", settings=QUICK, on_result=heard.append)
    assert report.conforms, [r.message for r in report.results]
    assert report.planned == len(report.results) == len(heard) == 2 * len(NAMES)
    assert report.precisions == ("float64", "float32")
    assert report.claims["operators"] == ("softmax",)


def test_a_wrong_gradient_fails_where_gradients_are_asked() -> None:
    found = statuses("wrong_gradient")
    assert found == {LAW: "blocked", FORWARD: "passed", GRADIENT: "failed", REFUSAL: "passed"}


def test_a_wrong_signature_shows_as_one_failure() -> None:
    found = statuses("signature")
    assert found == {LAW: "failed", FORWARD: "blocked", GRADIENT: "blocked", REFUSAL: "blocked"}


@pytest.mark.rules("conformance-R2")
def test_what_is_not_claimed_is_not_asked_and_does_not_pass() -> None:
    report = judge_backend(f"{SMALL}:unclaiming", settings=QUICK)
    assert {r.status for r in report.results} == {"not_claimed"}
    assert report.remarks == ("operator softmax works, though it is not claimed",)
    assert not report.conforms


def test_a_claim_without_substance_keeps_from_conforming() -> None:
    report = judge_backend(f"{SMALL}:overclaiming", settings=QUICK)
    assert report.counts()["failed"] == 0
    assert "operator squash is claimed, but ops has no squash" in report.problems
    assert not report.conforms


@pytest.mark.rules("conformance-R1")
def test_a_check_of_the_manifest_that_does_not_run_unbalances_the_books(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {"rules": ["softmax-R1"], "text": "", "level": "ops", "agreement": False}
    more = manifest.shipped()["checks"] | {"softmax/lost": row}
    shipped = manifest.shipped() | {"checks": more}
    monkeypatch.setattr(manifest, "shipped", lambda: shipped)
    report = judge_backend(f"{SMALL}:right", settings=QUICK)
    assert not report.balanced
    assert not report.conforms
    assert any(line.startswith("softmax/lost [float32] was planned") for line in report.problems)


def test_words_choose_pages_rules_and_checks() -> None:
    for words, count in [(("softmax",), 8), (("softmax-R5",), 2), ((LAW, FORWARD), 4)]:
        report = judge_backend(f"{SMALL}:right", words, QUICK)
        assert (report.planned, report.words, report.conforms) == (count, words, True)
    assert judge_backend(f"{SMALL}:right", ("softmax", "softmax"), QUICK).words == ("softmax",)
    with pytest.raises(ConfigError, match="expected a page, a rule or a check"):
        judge_backend(f"{SMALL}:right", ("flush",), QUICK)


def test_expectations_are_applied(tmp_path: Path) -> None:
    lines = tmp_path / "gaps.toml"
    lines.write_text('[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "known"\n')
    report = judge_backend(f"{SMALL}:wrong_gradient", (), QUICK, lines)
    assert report.conforms, report.problems
    assert report.counts()["expected"] == 4
    stale = judge_backend(f"{SMALL}:right", (), QUICK, lines)
    assert not stale.conforms
    assert "passes now" in stale.problems[0]


def test_a_check_runs_when_its_result_is_asked_for_and_a_failure_brings_the_others() -> None:
    judgement = Judgement(f"{SMALL}:wrong_gradient", settings=QUICK)
    planned = {c.name: (c, p) for c, p in judgement.planned() if str(p) == "float64"}
    assert judgement.result(*planned[FORWARD]).status == "passed"
    assert len(judgement.raw) == 1
    assert judgement.result(*planned[LAW]).blocked_by == "softmax-R5"
    assert len(judgement.raw) == len(NAMES)


@pytest.mark.rules("conformance-R7")
def test_the_same_seed_gives_the_same_results() -> None:
    first, second = (judge_backend(f"{SMALL}:wrong_forward", settings=QUICK) for _ in range(2))
    for one, other in zip(first.results, second.results, strict=True):
        assert (one.status, one.message, one.share) == (other.status, other.message, other.share)


@pytest.mark.parametrize("settings", [Settings("quick"), Settings(seed=-1)])
def test_settings_out_of_range_are_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="conform: "):
        judge_backend(f"{SMALL}:right", settings=settings)


def test_a_backend_that_is_none_is_refused() -> None:
    with pytest.raises(BackendError, match="expected Capabilities, got a dict"):
        judge_backend(f"{SMALL}:WrongType", settings=QUICK)


def test_the_package_that_offers_a_backend_is_named() -> None:
    assert version("numpy").startswith("mindref ")
    assert version("pytest:x").startswith("pytest ")
    assert version("no_such_package:x") == ""
