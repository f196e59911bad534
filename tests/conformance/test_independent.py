"""The independent implementation passes the suite, and each fault fails the check beside it.

For the table of all checks: python -m tests.conformance.independent --write.
"""

import pytest

from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.plan import RunSettings, run_planned_check
from mindref.conformance.runner.suite_run import SuiteRun
from tests.conformance import mutant_kills
from tests.conformance.independent import table
from tests.conformance.independent.faults import FAULTS, KINDS
from tests.conformance.mutant_kills import PRECISIONS

SMOKE = RunSettings("smoke")
CHECKS = {check.name: check for check in all_checks()}
KILLED = [name for name, fault in FAULTS.items() if fault.check]
SURVIVORS = [name for name, fault in FAULTS.items() if not fault.check]
PRECISION = pytest.mark.parametrize("precision", PRECISIONS, ids=str)

ATTEMPTS = 10
"""Runs of a check on a fault of threads, because some of these faults are not wrong in each run."""


def run_check(name, check, precision):
    """Return the status of a check, with a new backend."""
    implementation = BackendImplementation(FAULTS[name](), loads_anew=True)
    return run_planned_check(check, implementation, precision, SMOKE).status


@pytest.mark.slow
def test_the_right_implementation_passes_every_check():
    name = "tests.conformance.independent.levels:IndependentBackend"
    report = SuiteRun(name, settings=SMOKE).report()
    assert [result for result in report.results if result.status == "failed"] == []
    assert report.conforms


@PRECISION
@pytest.mark.parametrize("name", KILLED)
@pytest.mark.slow(every=9)
def test_a_fault_fails_its_check(name, precision):
    fault = FAULTS[name]
    attempts = ATTEMPTS if fault.kind == "threads" else 1
    runs = (run_check(name, CHECKS[fault.check], precision) for _ in range(attempts))
    assert "failed" in runs, f"{name} survives: {fault.__doc__}"


@PRECISION
@pytest.mark.parametrize("name", SURVIVORS)
@pytest.mark.slow(every=9)
def test_a_fault_that_survives_passes_all_checks_of_its_operator(name, precision):
    (stem,) = FAULTS[name].operators
    checks = [check for check in CHECKS.values() if check.stem == stem]
    statuses = {run_check(name, check, precision) for check in checks}
    assert statuses == {"passed", "not_claimed"}  # concurrency is not claimed
    assert FAULTS[name].reason


def test_each_kind_has_ten_faults_with_a_docstring_of_one_line():
    kinds = [fault.kind for fault in FAULTS.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(KINDS, 10)
    for fault in FAULTS.values():
        assert fault.__doc__.endswith(".")
        assert "\n" not in fault.__doc__


def test_the_page_has_a_row_for_each_kind_and_a_line_for_each_survivor():
    text = mutant_kills.TABLE.read_text(encoding="utf-8")
    command = "python -m tests.conformance.independent --write"
    for kind, label in KINDS.items():
        killed = sum(FAULTS[name].kind == kind for name in KILLED)
        assert f"\n| {label} | 10 | {killed} | {killed} | " in text, f"run: {command}"
    for name in SURVIVORS:
        outcome = table.make_outcome(name, [])
        assert table.survivor_line(outcome) in text, f"run: {command}"


def result(check, precision, message="", diagnosis=""):
    return CHECKS[check].result(precision, "failed")._replace(message=message, diagnosis=diagnosis)


def test_an_outcome_says_in_which_precision_a_fault_is_killed():
    check = FAULTS["NearTie"].check
    (double, single), text = PRECISIONS, "no match among the known mistakes"
    assert table.make_outcome("NearTie", []).killed == (False, False)
    outcome = table.make_outcome("NearTie", [result(check, single, diagnosis=text)])
    assert outcome == ("NearTie", "values", (False, True), False, False)
    named = result(check, double, diagnosis="your result equals the reference with this mistake")
    located = result(check, double, diagnosis=f"{text}. The results are wrong only with p = inf.")
    assert table.make_outcome("NearTie", [located])[2:] == ((True, False), False, True)
    assert table.make_outcome("NearTie", [located, named])[2:] == ((True, False), True, False)


@pytest.mark.parametrize(
    "sentence",
    [
        "Right at L = 64, wrong at L = 65: look for a block, table or counter of this size.",
        "The gradients are right up to iterations = 1, wrong from 2 on (4 calls).",
        'The results are right in C order, and wrong in the layout "fortran".',
        "Step 101 of 205 is the first that does not follow from the state before it.",
        "In d_x, only the first row of axis M is wrong (4 calls).",
        "The results depend on earlier calls: each call of this failure is right when repeated.",
        "Wrong: d_x; right in the same 5 calls: out.",
    ],
)
def test_a_sentence_that_locates_a_fault_is_recognised(sentence):
    texts = ["no match among the known mistakes", "; nearest: a mean is wrong [mean, squash-R1]"]
    assert not table.LOCATION.search("".join(texts))
    assert table.LOCATION.search(f"{''.join(texts)}. {sentence}")


def test_a_fault_of_threads_is_located_by_its_caller():
    check = FAULTS["SharedScratch"].check
    failure = result(check, PRECISIONS[0], message="caller 2: out[0, 0] is 1, expected 2 exactly")
    assert table.make_outcome("SharedScratch", [failure]).located
    assert not table.make_outcome("OrderOfArrival", [failure._replace(message="")]).located
    assert not table.make_outcome("NearTie", [failure]).located


def test_the_table_counts_the_faults_of_a_kind():
    killed = table.Outcome("NearTie", "values", (True, True), False, True)
    survives = table.Outcome("LossByDifference", "values", (True, False), False, False)
    lines = table.make_table([killed, survives])
    assert lines[0] == "| kind | faults | killed in float64 | killed in float32 | named | located |"
    assert "| values | 2 | 2 | 1 | 0 | 1 |" in lines
    assert "| all | 2 | 2 | 1 | 0 | 1 |" in lines
    assert lines[-1].startswith("- `LossByDifference` survives in float32: A loss is the log ")
    assert lines[-1].endswith(FAULTS["LossByDifference"].reason)
    assert table.outcome_text(killed) == "values NearTie: killed in float64 and float32, located"
    assert table.outcome_text(survives) == "values LossByDifference: killed in float64"


@pytest.mark.slow
def test_the_suite_runs_on_a_fault_by_its_name():
    outcome = table.run_fault("NearTie", (FAULTS["NearTie"].check,))
    assert outcome.killed == (True, True)
