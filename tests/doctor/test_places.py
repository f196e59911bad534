"""Folders, locks and letters."""

from __future__ import annotations

import fcntl
import io
from pathlib import Path
from typing import Any

import pytest

from mindref.doctor import places
from mindref.run import atomic


def broken(*_: Any) -> None:
    raise OSError(5, "Input/output error")


def test_a_folder_that_serves_leaves_no_trace(tmp_path: Path) -> None:
    check = places.place("folder", tmp_path)
    assert (check.state, check.facts["locks"]) == ("ok", "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_note(tmp_path: Path) -> None:
    check = places.place("folder", tmp_path / "none")
    assert check.state == "note"
    assert check.found == f"{tmp_path / 'none'} cannot be written (No such file or directory)"


def test_a_disk_that_does_not_keep_what_is_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic.os, "fsync", broken)
    check = places.place("folder", tmp_path)
    assert check.state == "problem"
    assert "Input/output error" in check.found
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_locked_and_a_full_disk_are_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = places.shutil._ntuple_diskusage(10, 9, 1)  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(places.shutil, "disk_usage", lambda path: usage)
        assert places.place("folder", tmp_path).state == "note"
    monkeypatch.setattr(fcntl, "flock", broken)
    check = places.place("folder", tmp_path)
    assert check.state == "note"
    assert "files cannot be locked (Input/output error)" in check.found


def test_a_home_that_is_not_there_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert places.home().state == "note"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.home().state == "ok"


@pytest.mark.parametrize(("encoding", "state"), [("ascii", "note"), ("UTF-8", "ok")])
def test_letters_that_cannot_be_shown_are_a_note(
    encoding: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert places.terminal().state == state
    monkeypatch.setattr("sys.stdout", None)
    assert places.terminal().state == "note"
