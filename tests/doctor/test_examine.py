"""A whole examination: broken parts, and probes that crash, hang, exit or print, stop nothing."""

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from mindref.doctor import examine
from mindref.doctor.checks import BUG, LOCAL_CHECKS, capture_finding
from mindref.doctor.examine import ProbeRunner, describe_exit, installation_works
from mindref.doctor.probes import failed_probe
from tests.doctor.broken_packages import install_broken_packages

ABORTED = "killed by SIGABRT"


def test_a_failed_check_is_a_note():
    for error in (ZeroDivisionError("no\nway"), SystemExit(3)):

        def check(error=error):
            raise error

        finding = capture_finding("memory", check)
        assert (finding.name, finding.state, finding.todo) == ("memory", "note", BUG)
        assert type(error).__name__ in finding.summary
        assert "\n" not in finding.summary
        assert installation_works([finding])


def test_probes_without_an_answer_are_problems(monkeypatch):
    killed = lambda self, probe, argument="": failed_probe(probe, argument, "killed by SIGILL")  # noqa: E731
    monkeypatch.setattr(ProbeRunner, "run", killed)
    monkeypatch.setitem(LOCAL_CHECKS, "python", lambda: 1 / 0)
    findings = {finding.name: finding for finding in examine.examine()}
    problems = {name for name, finding in findings.items() if finding.state == "problem"}
    assert problems == {"numpy", "scipy", "safetensors", "numba", "kernels", "registered"}
    assert all("killed by SIGILL" in findings[name].summary for name in problems)
    assert findings["python"].todo == BUG
    assert not installation_works([*findings.values()])


def test_a_broken_built_in_backend_is_a_problem_and_any_other_plugin_a_note():
    numba = failed_probe("backend", "numba", "no")
    assert (numba.state, "install" in numba.todo) == ("problem", True)
    assert failed_probe("backend", "torch", "no").state == "note"
    index = failed_probe("index", "annoy", "no")
    assert (index.state, index.todo.partition(";")[0]) == ("note", "exact search is used instead")


def test_the_schema_accepts_valid_findings_only():
    import jsonschema

    validator = jsonschema.Draft202012Validator(examine.report_schema())
    jsonschema.Draft202012Validator.check_schema(examine.report_schema())
    row = {"name": "x", "state": "note", "summary": "y", "todo": "z", "facts": {}}
    report = {"format": examine.FORMAT, "mindref": "1", "works": True, "checks": [row]}
    assert validator.is_valid(report)
    for change in ({"todo": ""}, {"state": "ok"}, {"state": "bad"}, {"more": 1}, {"summary": ""}):
        assert not validator.is_valid({**report, "checks": [{**row, **change}]}), change


@pytest.fixture
def broken_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", install_broken_packages(tmp_path, annoy="aborting"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("backend", "aborting"), ABORTED),
        (("index", "annoy"), ABORTED),
        (("backend", "leaves"), "exit code 0: no message"),
        (("backend", "exits"), "SystemExit: 0"),
        (("backend", "loud"), "the whole contract"),
        (("backend", "wrong"), "its squash differs from the specification"),
        (("index", "lost"), "No module named 'missing'"),
        (("backend", "nobody"), "expected one of "),
        (("import", "no_such_module"), "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
@pytest.mark.slow(every=3)
def test_a_failed_probe_has_a_reason(broken_packages, arguments, reason):
    finding = ProbeRunner(120).run(*arguments)
    assert finding.summary.startswith("not usable: ")
    assert reason in finding.summary
    assert finding.facts == {}
    assert "\n" not in finding.summary


@pytest.mark.slow
def test_a_hanging_probe_is_killed_with_its_children(broken_packages):
    pid_file = broken_packages / "pid"
    (broken_packages / "hangs.py").write_text(
        "import subprocess, sys, time\n"
        f"sleeper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(sleeper.pid))\n"
        "time.sleep(600)\n"
    )
    runner, limit = ProbeRunner(5), 5
    while not pid_file.exists():  # a busy machine may need more than the limit to get here
        runner = ProbeRunner(limit)
        finding = runner.run("backend", "hangs")
        assert finding.summary == f"not usable: no answer within {limit} seconds"
        limit *= 2
    assert not runner.running
    pid = int(pid_file.read_text())
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] == "Z"
        ):  # an orphan not yet reaped
            return
        time.sleep(0.1)
    pytest.fail("the grandchild is still running")


def test_closing_the_runner_kills_the_children(broken_packages):
    runner = ProbeRunner(600)
    waiting = Thread(target=runner.run, args=("backend", "hangs"))
    waiting.start()
    while not runner.running:
        time.sleep(0.01)
    runner.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert runner.run("numpy").summary == "not usable: the runner is closed"


def test_a_process_that_cannot_be_started_is_a_reason(monkeypatch):
    monkeypatch.setattr("sys.executable", "/no/such/python")
    summary = ProbeRunner(5).run("numpy").summary
    assert summary.startswith("not usable: no process could be started (")


def test_modules_of_the_current_folder_do_not_shadow_libraries(tmp_path, monkeypatch):
    (tmp_path / "safetensors.py").write_text("raise RuntimeError('not me')\n")
    monkeypatch.chdir(tmp_path)
    finding = ProbeRunner(120).run("import", "safetensors")
    assert (finding.state, finding.summary) == ("ok", "can be imported")


def test_an_exit_code_is_described():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-11) == "killed by SIGSEGV"
    assert describe_exit(-4242) == "killed by signal 4242"
