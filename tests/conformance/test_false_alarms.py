"""Correct implementations with other orders of summation pass every check, for a few seeds.

For many seeds: python -m tests.conformance.false_alarms --seeds 200.
"""

from functools import cache

import pytest

from mindref.backend import OPERATORS
from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from tests.conformance import false_alarms, mutant_kills
from tests.conformance.correct import NAME, correct_backend
from tests.conformance.false_alarms import checks_of, run_implementations
from tests.conformance.independent.levels import IndependentBackend

pytestmark = pytest.mark.slow

SEEDS = range(2)


@cache
def lines(stem):
    """Return the results of all implementations, which run together."""
    implementations = false_alarms.correct_implementations()
    return {x.backend: x for x in run_implementations(stem, implementations, SEEDS)}


@pytest.mark.parametrize("stem", OPERATORS)
def test_a_correct_implementation_passes_every_check(stem):
    for line in lines(stem).values():
        assert line.alarms == ()
        assert all(0 < share <= 1 for share in line.share) or line.below_a
    for name in (NAME, IndependentBackend.name):
        assert lines(stem)[name].runs == len(SEEDS) * 2 * len(checks_of(stem)) > 0


@pytest.mark.parametrize("stem", ["interests", "loss"])
def test_models_composed_of_correct_operators_pass_every_check(stem):
    implementations = {NAME: BackendImplementation(correct_backend())}
    (line,) = run_implementations(stem, implementations, [0])
    assert line.alarms == ()
    assert line.runs == 2 * len(checks_of(stem)) > 0


@pytest.mark.parametrize("rule", ["softmax-R1", "squash-R1"])
def test_a_mutant_declared_correct_is_an_alarm(rule):
    mutant = next(v for v in suite_mutants() if v.rule == rule)
    stem = rule.partition("-")[0]
    implementations = {
        "wrong": BackendImplementation(backend_of(mutant)),
        **false_alarms.correct_implementations(),
    }
    wrong, *correct = run_implementations(stem, implementations, [0])
    cited = {check.name: check.rules for check in all_checks()}
    assert any(rule in cited[alarm.split()[1]] for alarm in wrong.alarms)
    assert not any(other.alarms for other in correct)
    nulls = false_alarms.Line(false_alarms.NULLS, stem, seeds=1)
    assert false_alarms.row([wrong, *correct, nulls]).endswith(f"| {len(wrong.alarms)} | 0 | 0 |")
    assert any(alarm.startswith(f"wrong {stem}/") for alarm in wrong.alarms)


def test_a_check_that_accepts_a_trivial_implementation_is_an_alarm(monkeypatch):
    assert not false_alarms.run_trivial_implementations("conversion", [0]).alarms
    monkeypatch.setattr(false_alarms, "accepted_trivial", lambda *arguments: ["zeros"])
    line = false_alarms.run_trivial_implementations("conversion", [0])
    assert len(line.alarms) == line.runs == 2 * len(checks_of("conversion"))


def test_every_check_runs_under_some_stem():
    stems = (*OPERATORS, *false_alarms.composed_stems())
    assert sum(len(checks_of(stem)) for stem in stems) == len(all_checks())


def test_a_check_with_a_small_fraction_runs_on_several_calls():
    for check in all_checks():
        examples = false_alarms.example_budget(check, 1, 0).examples
        assert round(examples * check.fraction) >= 2


@pytest.mark.parametrize("stem", OPERATORS)
def test_the_page_reports_no_failure_in_200_runs(stem):
    text = mutant_kills.TABLE.read_text(encoding="utf-8").split("<!-- false alarms: ")[1]
    implementations = false_alarms.correct_implementations().values()
    (row,) = (row for row in text.splitlines() if row.startswith(f"| {stem} |"))
    _, _, seeds, runs, *_, alarms, trivial, accepted, _ = (cell.strip() for cell in row.split("|"))
    planned = [false_alarms.planned_runs(stem, one, int(seeds)) for one in implementations]
    assert int(seeds) >= 200
    assert int(runs) == sum(planned), "run: python -m tests.conformance.false_alarms --write"
    assert int(trivial) > 0
    assert alarms == accepted == "0"
