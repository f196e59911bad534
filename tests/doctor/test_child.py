"""Whoever crashes, hangs, leaves or prints in a child does not disturb the one that asks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from mindref.doctor.child import Nurse, ending
from tests.doctor.sick import folder_of

ABORTED = "it was ended by SIGABRT"


@pytest.fixture
def sick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", folder_of(tmp_path, annoy="aborting"))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("backend", "aborting"), ABORTED),
        (("index", "annoy"), ABORTED),
        (("backend", "leaves"), "it left with exit code 0: it said nothing"),
        (("backend", "exits"), "SystemExit: 0"),
        (("backend", "loud"), "the whole contract"),
        (("backend", "wrong"), "its squash is not that of the specification"),
        (("index", "lost"), "No module named 'missing'"),
        (("backend", "nobody"), "expected one of "),
        (("import", "no_such_module"), "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_the_reason_is_told(sick: Path, words: tuple[str, ...], reason: str) -> None:
    told = Nurse(120).ask(*words)
    assert reason in told.reason
    assert told.facts == {}
    assert "\n" not in told.reason


@pytest.mark.slow
def test_what_hangs_is_ended_at_its_limit_with_all_that_it_has_started(sick: Path) -> None:
    (sick / "hangs.py").write_text(
        "import subprocess, sys, time\n"
        f"sleeper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(sick / 'pid')!r}, 'w').write(str(sleeper.pid))\n"
        "time.sleep(600)\n"
    )
    nurse, limit = Nurse(5), 5
    while not (sick / "pid").exists():  # a busy machine may not get so far within the limit
        nurse = Nurse(limit)
        told = nurse.ask("backend", "hangs")
        assert told.reason == f"no answer within {limit} seconds"
        limit *= 2
    assert not nurse.living
    pid = int((sick / "pid").read_text())
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # nobody waits for an orphan
            return
        time.sleep(0.1)
    pytest.fail("it lives on")


def test_when_nobody_waits_any_more_the_children_are_ended(sick: Path) -> None:
    nurse = Nurse(600)
    waiting = Thread(target=nurse.ask, args=("backend", "hangs"))
    waiting.start()
    while not nurse.living:
        time.sleep(0.01)
    nurse.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert nurse.ask("numpy").reason == "it was not asked any more"


def test_a_process_that_cannot_be_started_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    assert Nurse(5).ask("numpy").reason.startswith("no process could be started (")


def test_modules_of_the_folder_are_not_taken_for_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "safetensors.py").write_text("raise RuntimeError('not me')\n")
    monkeypatch.chdir(tmp_path)
    assert Nurse(120).ask("import", "safetensors") == ({}, "")


def test_an_ending_is_said_in_words() -> None:
    assert ending(3) == "it left with exit code 3"
    assert ending(-11) == "it was ended by SIGSEGV"
    assert ending(-4242) == "it was ended by signal 4242"
