"""Correct implementations with other orders of summation pass every check, for a few seeds.

For many seeds: python -m tests.conformance.false_alarms --seeds 200.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from mindref.backend import OPERATORS
from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.implementation import BackendImplementation
from tests.conformance import false_alarms
from tests.conformance.correct import ALL
from tests.conformance.false_alarms import Line, of_stem, run_implementations

SEEDS = range(2)
SAMPLE = "<!-- kills: begin -->\nkills\n<!-- kills: end -->\n\n{0}\nold\n{1}\nafter\n"


@cache
def line(stem: str, name: str) -> Line:
    """Return the results of one implementation, which runs together with the others."""
    found = {one.backend: one for one in together(stem)}
    return found[name]


@cache
def together(stem: str) -> list[Line]:
    return run_implementations(stem, false_alarms.right(), SEEDS)


@pytest.mark.parametrize("name", [kind.name for kind in ALL])
@pytest.mark.parametrize("stem", OPERATORS)
@pytest.mark.slow(every=7)
def test_a_correct_implementation_passes_every_check(stem: str, name: str) -> None:
    found = line(stem, name)
    assert found.alarms == ()
    assert found.runs == len(SEEDS) * 2 * len(of_stem(stem)) > 0
    assert all(0 < share <= 1 for share in found.share) or found.below_a


@pytest.mark.parametrize("rule", ["softmax-R1", "squash-R1"])
def test_a_mutant_declared_correct_is_an_alarm(rule: str) -> None:
    mutant = next(v for v in suite_mutants() if v.rule == rule)
    stem = rule.partition("-")[0]
    implementations = {"wrong": BackendImplementation(backend_of(mutant)), **false_alarms.right()}
    wrong, *others = run_implementations(stem, implementations, [0])
    cited = {check.name: check.rules for check in all_checks()}
    assert any(rule in cited[alarm.check] for alarm in wrong.alarms)
    assert not any(other.alarms for other in others)
    assert false_alarms.row(wrong).endswith(f"| {len(wrong.alarms)} |")
    assert false_alarms.said(wrong)[0].startswith(f"wrong {stem}/")


def test_a_check_that_accepts_a_trivial_implementation_is_an_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not false_alarms.rejected("conversion", [0]).alarms
    monkeypatch.setattr(false_alarms, "accepted_trivial", lambda *given: ["zeros"])
    found = false_alarms.rejected("conversion", [0])
    assert len(found.alarms) == found.runs == 2 * len(of_stem("conversion"))


def test_every_check_runs_under_some_stem() -> None:
    stems = (*OPERATORS, *false_alarms.composed_stems())
    assert sum(len(of_stem(stem)) for stem in stems) == len(all_checks())


def test_a_check_with_a_small_fraction_runs_on_several_calls() -> None:
    for check in all_checks():
        asked = false_alarms.effort(check, 1, 0).examples
        assert round(asked * check.fraction) >= 2


@pytest.mark.parametrize("name", [kind.name for kind in ALL])
@pytest.mark.parametrize("stem", OPERATORS)
def test_the_page_reports_no_failure_in_200_runs(stem: str, name: str) -> None:
    text = false_alarms.TABLE.read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith(f"| {stem} | {name} |")]
    assert len(rows) == 1, "run: python -m tests.conformance.false_alarms --write"
    _, _, _, seeds, *_, alarms, _ = (cell.strip() for cell in rows[0].split("|"))
    assert int(seeds) >= 200
    assert alarms == "0"


def test_the_table_is_written_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "coverage.md"
    page.write_text(SAMPLE.format(false_alarms.BEGIN, false_alarms.END), encoding="utf-8")
    monkeypatch.setattr(false_alarms, "TABLE", page)
    false_alarms.write(["new", "table"])
    wanted = SAMPLE.format(false_alarms.BEGIN, false_alarms.END).replace("old", "new\ntable")
    assert page.read_text(encoding="utf-8") == wanted
