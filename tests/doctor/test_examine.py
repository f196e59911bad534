"""A whole examination: broken parts, and probes that crash, hang, exit or print, stop nothing."""

import sys
import time

import pytest

from mindref.doctor import examine, probes
from mindref.doctor.checks import BUG, LOCAL_CHECKS
from mindref.doctor.examine import describe_exit, installation_works, run_probe
from mindref.doctor.probes import failed_probe
from tests.doctor.broken_packages import install_broken_packages

ABORTED = "killed by SIGABRT"


def test_a_failed_check_is_a_note_and_a_failed_probe_of_the_core_a_problem(monkeypatch):
    def run_probe(limit, probe, argument=""):
        return failed_probe(probe, argument, "killed by SIGILL")

    monkeypatch.setattr(examine, "run_probe", run_probe)
    monkeypatch.setitem(LOCAL_CHECKS, "python", lambda: 1 / 0)
    findings = {finding.name: finding for finding in examine.examine()}
    problems = {name for name, finding in findings.items() if finding.state == "problem"}
    assert problems == {"numpy", "numba", "kernels", "registered"}
    assert all("killed by SIGILL" in findings[name].summary for name in problems)
    assert (findings["python"].state, findings["python"].todo) == ("note", BUG)
    assert "ZeroDivisionError" in findings["python"].summary
    assert not installation_works([*findings.values()])
    assert installation_works([findings["python"]])


def test_a_broken_built_in_backend_is_a_problem_and_any_other_plugin_a_note():
    numba = failed_probe("backend", "numba", "no")
    assert (numba.state, "install" in numba.todo) == ("problem", True)
    assert failed_probe("backend", "torch", "no").state == "note"
    index = failed_probe("index", "annoy", "no")
    assert (index.state, index.todo.partition(";")[0]) == ("note", "exact search is used instead")


@pytest.fixture
def broken_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", install_broken_packages(tmp_path, annoy="aborting"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("backend", "aborting"), ABORTED),
        (("index", "annoy"), ABORTED),
        (("backend", "leaves"), "exit code 0: no message"),
        (("backend", "exits"), "SystemExit: 0"),
        (("backend", "loud"), "the whole contract"),
        (("backend", "wrong"), "its squash differs from the specification"),
        (("backend", "nobody"), "expected one of "),
    ],
)
@pytest.mark.slow(every=3)
@pytest.mark.usefixtures("broken_packages")
def test_a_failed_probe_has_a_reason(arguments, reason):
    finding = run_probe(120, *arguments)
    assert finding.summary.startswith("not usable: ")
    assert reason in finding.summary
    assert finding.facts == {}
    assert "\n" not in finding.summary


@pytest.mark.slow
@pytest.mark.usefixtures("broken_packages")
def test_a_hanging_probe_is_killed():
    assert run_probe(5, "backend", "hangs").summary == "not usable: no answer within 5 seconds"


def test_a_process_that_cannot_be_started_is_a_reason(monkeypatch):
    monkeypatch.setattr("sys.executable", "/no/such/python")
    summary = run_probe(5, "numpy").summary
    assert summary.startswith("not usable: no process could be started (")


def test_an_exit_code_is_described():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-11) == "killed by SIGSEGV"
    assert describe_exit(-4242) == "killed by signal 4242"


def test_a_library_that_cannot_be_imported_fails_the_probe_of_kernels(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"safetensors\.numpy"):
        probes.probe_kernels()


def test_ctrl_c_starts_no_further_probe(monkeypatch):
    started = []

    def run_probe(limit, *probe):
        started.append(probe)
        time.sleep(0.5)  # longer than the cancellation of the queued probes

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(examine, "run_probe", run_probe)
    monkeypatch.setattr(examine, "usable_cores", lambda: 1)
    monkeypatch.setattr(examine, "LOCAL_CHECKS", {"python": interrupt})
    with pytest.raises(KeyboardInterrupt):
        examine.examine()
    assert len(started) == 2, "two threads; the other probes were queued"
