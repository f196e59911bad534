"""Checks of threads and forks: right backends pass, a fault of each kind fails."""

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.report.reproduction import script_text
from mindref.conformance.runner import callers, forks, plan
from mindref.conformance.runner.call import (
    BackendImplementation,
    Call,
    callers_call,
    calls_of_callers,
)
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.plan import RunSettings, run_planned_check, unclaimed_features
from mindref.conformance.runner.suite_run import SuiteRun
from tests.assertions import nonempty
from tests.conformance import concurrent_backends as backends

DOUBLE = Precision.of("float64")
CHECKS = {check.name: check for check in all_checks()}
THREADS = "concurrency/concurrent_callers_get_the_bytes_of_one_caller[relu_layer]"
FORK = "concurrency/child_of_a_fork_gets_the_bytes_of_its_parent[relu_layer]"
AGAIN = "concurrency/large_calls_repeat_their_bytes[relu_layer]"
STATE = "concurrency/state_is_complete_when_step_returns"
HAS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def run(check, backend, *, loads_anew=False):
    implementation = BackendImplementation(backend, loads_anew=loads_anew)
    return run_check(CHECKS[check], implementation, DOUBLE, ExampleBudget(1, shrink=False))


@pytest.mark.rules("backend-R18", "backend-R22", "numerics-R8")
@pytest.mark.parametrize("check", [THREADS, AGAIN, pytest.param(FORK, marks=HAS_FORK)])
def test_a_right_backend_passes(check):
    result = run(check, backends.Right(), loads_anew=True)
    assert result.status == "passed", result.message


@pytest.mark.rules("backend-R18")
@pytest.mark.parametrize("fault", [backends.SharedScratch, backends.ThreadSaved])
def test_a_fault_of_several_callers_fails(fault):
    result = run(THREADS, fault())
    assert result.status == "failed"
    assert "caller " in result.message


@pytest.mark.rules("backend-R18")
def test_the_first_call_of_an_object_is_tested_if_it_can_be_loaded_anew():
    assert run(THREADS, backends.FirstCallRaces()).status == "passed"
    assert run(THREADS, backends.FirstCallRaces(), loads_anew=True).status == "failed"


@pytest.mark.rules("backend-R18", "conformance-R34")
def test_after_callers_that_hang_no_other_check_runs(monkeypatch):
    monkeypatch.setattr(callers, "THREAD_LIMIT", 0.3)
    monkeypatch.setattr(callers, "SLOWER", 0.0)
    name = "tests.conformance.concurrent_backends:Hangs"
    words = (THREADS, "backend-R22", "relu_layer-R1")
    run = SuiteRun(name, words, RunSettings("smoke"))
    report = run.report()
    first = [r.check for r in report.results].index(THREADS)
    assert report.results[first].status == "failed"
    assert "4 concurrent callers did not end within 0 seconds" in report.results[first].message
    after = [r for r in report.results[first + 1 :] if r.status != "not_claimed"]
    assert {(r.status, r.blocked_by) for r in after} == {("blocked", "backend-R18")}
    assert len(after) > 3
    assert report.complete
    assert not report.conforms


@pytest.mark.rules("conformance-R34", "conformance-R9")
def test_after_callers_that_hang_nothing_else_calls_the_backend(monkeypatch):
    """Remarks about squash-R6 would call the backend, and wait without end."""
    monkeypatch.setattr(plan, "unclaimed_features", lambda *_: pytest.fail("the backend is called"))
    monkeypatch.setattr(callers, "THREAD_LIMIT", 0.3)
    monkeypatch.setattr(callers, "SLOWER", 0.0)
    threads = "concurrency/concurrent_callers_get_the_bytes_of_one_caller[squash]"
    name = "tests.conformance.concurrent_backends:HangsWithWrongResults"
    run = SuiteRun(name, ("squash-R1", threads, "squash-R6"), RunSettings("smoke"))
    report = run.report()
    assert not report.remarks
    failed = [r for r in report.results if r.status == "failed"]
    assert [r.check for r in failed][-1] == threads
    blocked = [r for r in report.results if r.status == "blocked"]
    assert {r.blocked_by for r in blocked} == {"squash-R1", "backend-R18"}


@HAS_FORK
@pytest.mark.rules("backend-R22")
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (backends.ZeroInChild, "caller 0: out"),
        (backends.HangsInChild, "the child of the fork gave no answer within 0 seconds"),
        (backends.EndsInChild, "ended without an answer, with exit code 3"),
        (backends.RaisesInChild, "in the child of the fork: ValueError: no pool"),
    ],
)
def test_a_fault_of_the_child_fails(fault, says, monkeypatch):
    monkeypatch.setattr(callers, "LIMIT", 0.4 if fault is backends.HangsInChild else 15)
    monkeypatch.setattr(callers, "SLOWER", 0.0)
    result = run(FORK, fault())
    assert result.status == "failed"
    assert says in result.message


@HAS_FORK
@pytest.mark.rules("backend-R22")
def test_a_fork_works_beside_other_threads():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert run(FORK, backends.Right()).status == "passed"
    finally:
        stop.set()
        thread.join()


@pytest.mark.rules("numerics-R8")
def test_large_calls_with_varying_bytes_fail():
    assert run(AGAIN, backends.OrderOfArrival()).status == "failed"


@pytest.mark.rules("backend-R23")
def test_a_state_that_is_written_later_fails():
    (mutant,) = (m for m in suite_mutants() if m.name == "parameters-written-later")
    assert run(STATE, backend_of(mutant)).status == "failed"
    assert run(STATE, backend_of(None)).status == "passed"


@pytest.mark.rules("conformance-R2")
@pytest.mark.parametrize(("check", "word"), [(THREADS, "threads"), (FORK, "fork")])
def test_unclaimed_concurrency_is_neither_run_nor_remarked(check, word):
    class Silent(backends.HangsInChild):
        def capabilities(self):
            return super().capabilities()._replace(concurrency=())

    implementation = BackendImplementation(Silent())
    result = run_planned_check(CHECKS[check], implementation, DOUBLE, RunSettings("smoke"))
    assert (result.status, result.reason) == ("not_claimed", f"concurrency {word}")
    assert not list(unclaimed_features(implementation, (CHECKS[check],), [result]))


def test_a_system_without_fork_does_not_test_it(monkeypatch):
    monkeypatch.delattr(os, "fork", raising=False)
    implementation = BackendImplementation(backends.Right())
    result = run_planned_check(CHECKS[FORK], implementation, DOUBLE, RunSettings("smoke"))
    assert (result.status, result.reason) == (
        "not_claimed",
        "os.fork, which this system does not have",
    )


def test_only_warnings_about_the_fork_are_hidden(monkeypatch):
    texts = {
        "process is multi-threaded, use of fork() may lead to deadlocks": DeprecationWarning,
        "os.fork() was called. os.fork() is incompatible with JAX": RuntimeWarning,
    }
    monkeypatch.setattr(os, "fork", lambda: [warnings.warn(t, c, 1) for t, c in texts.items()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forks.fork_quietly()
        monkeypatch.setattr(os, "fork", lambda: warnings.warn("another", DeprecationWarning, 1))
        with pytest.raises(DeprecationWarning, match="another"):
            forks.fork_quietly()


PROGRAM = """
import atexit
import numpy as np
from mindref.conformance.runner.call import BackendImplementation, Call, callers_call
from tests.conformance.concurrent_backends import Right
print("before")
atexit.register(print, "end")
arrays = {"x": np.ones((2, 1)), "weight": np.ones((1, 1)), "bias": np.ones(1)}
one = Call("relu_layer", arrays, {"relu": True})
got = BackendImplementation(Right()).answer(callers_call([one]).change(mode="fork"))
print(got["caller 0: out"].tolist())
"""


@HAS_FORK
@pytest.mark.slow
def test_the_child_prints_nothing_of_its_parent():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "before\n[[2.0], [2.0]]\nend\n"
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize(
    ("check", "fault"),
    [(THREADS, "SharedScratch"), (FORK, "ZeroInChild"), (AGAIN, "OrderOfArrival")],
)
def test_a_script_reproduces_a_failure(check, fault, tmp_path):
    result = run(check, getattr(backends, fault)())
    for name, code in ((fault, 1), ("Right", 0)):
        backend = f"tests.conformance.concurrent_backends:{name}"
        path = tmp_path / f"{name}.py"
        path.write_text(script_text(result, backend, RunSettings("smoke")), encoding="utf-8")
        done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr


def test_calls_of_callers_are_converted_to_the_precision():
    one = Call("squash", {"x": np.ones((2, 3))}, {"kind": "squash"}, np.ones((2, 3)))
    call = callers_call([one, one], repeats=2).to(np.float32)
    for part in nonempty(calls_of_callers(call)):
        assert part.stem == "squash"
        assert part.numbers == {"kind": "squash"}
        assert {x.dtype for x in (part.arrays["x"], part.cotangent)} == {np.dtype(np.float32)}
