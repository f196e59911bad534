"""Checks of cores, memory, folders and standard output."""

import fcntl
import io

import pytest

from mindref.doctor import machine
from mindref.run import atomic


def test_a_cpu_limit_below_the_usable_cores_is_a_note(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    monkeypatch.setattr(machine, "cgroup_cores", lambda: 2.5)
    finding = machine.check_processor()
    assert (finding.state, finding.facts["granted"]) == ("note", 2.5)
    assert finding.summary.endswith("limited to 2.5 by a cgroup")
    assert finding.todo.startswith("--threads 2: ")
    monkeypatch.setattr(machine, "cgroup_cores", lambda: None)
    assert machine.check_processor().state == "ok"


def test_little_memory_is_a_note(monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 8 << 30)
    monkeypatch.setattr(machine, "total_memory", lambda: 16 << 30)
    for limit, state in ((1 << 29, "note"), (4 << 30, "ok"), (None, "ok")):
        limits = [("cgroup", limit)]
        monkeypatch.setattr(machine, "memory_limits", lambda limits=limits: iter(limits))
        finding = machine.check_memory_size()
        assert finding.state == state
        assert ("cgroup" in finding.summary) == (limit is not None)
    monkeypatch.setattr(machine, "free_memory", lambda: 1 << 20)
    assert machine.check_memory_size().state == "note"


def raise_io_error(*_):
    raise OSError(5, "Input/output error")


def test_a_usable_folder_is_left_unchanged_and_any_other_is_a_note(tmp_path):
    finding = machine.check_folder_writable("folder", tmp_path)
    assert (finding.state, finding.facts["locks"]) == ("ok", "")
    assert list(tmp_path.iterdir()) == []
    finding = machine.check_folder_writable("folder", tmp_path / "none")
    assert finding.state == "note"
    assert finding.summary == f"{tmp_path / 'none'} is not writable (No such file or directory)"


def test_a_disk_that_loses_written_data_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "fsync", raise_io_error)
    finding = machine.check_folder_writable("folder", tmp_path)
    assert finding.state == "problem"
    assert "Input/output error" in finding.summary
    assert list(tmp_path.iterdir()) == []


def test_missing_file_locks_and_a_full_disk_are_notes(tmp_path, monkeypatch):
    usage = machine.shutil._ntuple_diskusage(10, 9, 1)
    with monkeypatch.context() as patch:
        patch.setattr(machine.shutil, "disk_usage", lambda path: usage)
        assert machine.check_folder_writable("folder", tmp_path).state == "note"
    monkeypatch.setattr(fcntl, "flock", raise_io_error)
    finding = machine.check_folder_writable("folder", tmp_path)
    assert finding.state == "note"
    assert "no file locks (Input/output error)" in finding.summary


def test_a_missing_home_folder_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert machine.check_home().state == "note"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.check_home().state == "ok"


@pytest.mark.parametrize(("encoding", "state"), [("ascii", "note"), ("UTF-8", "ok")])
def test_an_encoding_without_all_characters_is_a_note(encoding, state, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert machine.check_output_encoding().state == state
    monkeypatch.setattr("sys.stdout", None)
    assert machine.check_output_encoding().state == "note"
