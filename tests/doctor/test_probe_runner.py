"""Probes that crash, hang, exit or print do not affect the parent process."""

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from mindref.doctor.probe_runner import ProbeResult, ProbeRunner, describe_exit
from tests.doctor.broken_packages import install_broken_packages

ABORTED = "killed by SIGABRT"


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
def test_a_failed_probe_has_a_reason(broken_packages, arguments, reason):
    result = ProbeRunner(120).run(*arguments)
    assert reason in result.reason
    assert result.facts == {}
    assert "\n" not in result.reason


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
        result = runner.run("backend", "hangs")
        assert result.reason == f"no answer within {limit} seconds"
        limit *= 2
    assert not runner.running
    pid = int(pid_file.read_text())
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # an orphan not yet reaped
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
    assert runner.run("numpy").reason == "the runner is closed"


def test_a_process_that_cannot_be_started_is_a_reason(monkeypatch):
    monkeypatch.setattr("sys.executable", "/no/such/python")
    assert ProbeRunner(5).run("numpy").reason.startswith("no process could be started (")


def test_modules_of_the_current_folder_do_not_shadow_libraries(tmp_path, monkeypatch):
    (tmp_path / "safetensors.py").write_text("raise RuntimeError('not me')\n")
    monkeypatch.chdir(tmp_path)
    result = ProbeRunner(120).run("import", "safetensors")
    assert result == ProbeResult("", "can be imported", {}, "")


def test_an_exit_code_is_described():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-11) == "killed by SIGSEGV"
    assert describe_exit(-4242) == "killed by signal 4242"
