"""Atomic writing: complete or not at all, with usual modes, and errors with advice."""

import json
import os
import signal
import sys

import pytest

from mindref.errors import RunError
from mindref.run import atomic, checkpoint
from tests.runs import run_python


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    atomic.write_text(tmp_path / "a.txt", "old\n")
    atomic.write_text(tmp_path / "a.txt", "new é\n")
    assert (tmp_path / "a.txt").read_bytes() == "new é\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_appears_when_its_block_ends_and_an_error_in_it_leaves_the_old_file(tmp_path):
    with atomic.open_atomic(tmp_path / "a") as stream:
        stream.write(b"old")
        stream.flush()
        assert not (tmp_path / "a").exists()
    with pytest.raises(TypeError, match="bytes-like"), atomic.open_atomic(tmp_path / "a") as stream:
        stream.writelines([b"half", "a text"])  # the mistake under test
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="modes are a Unix matter")
def test_modes_come_from_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic.write_bytes(tmp_path / "a", b"")
        with atomic.atomic_folder(tmp_path / "b"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_device_is_written_as_it_is():
    atomic.write_text(os.devnull, "gone")


def test_json_keeps_its_order_and_rejects_nan(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    # a file name without UTF-8 encoding, or a lone surrogate
    for value in ({"place": "/x/\udcff"}, {"\ud800": "\u00e9"}):
        atomic.write_json(tmp_path / "a.json", value)
        assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "a.json", {"value": float("nan")})
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_place_that_cannot_be_written_is_an_error_with_advice(tmp_path):
    with pytest.raises(RunError, match=r"No such file or directory; check that the folder exists"):
        atomic.write_text(tmp_path / "missing" / "a", "x")
    with pytest.raises(RunError, match="a place that can be written"):
        atomic.write_text(tmp_path, "x")


def test_an_error_about_another_file_is_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), atomic.open_atomic(tmp_path / "a"):
        (tmp_path / "b" / "c").read_bytes()


def test_a_folder_appears_complete_and_replaces_no_folder_with_files(tmp_path):
    with atomic.atomic_folder(tmp_path / "run") as building:
        (building / "sub").mkdir()
        (building / "sub" / "a").write_text("x")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "sub" / "a").read_text() == "x"
    with (
        pytest.raises(RunError, match="a new or empty folder"),
        atomic.atomic_folder(tmp_path / "run"),
    ):
        pass
    with pytest.raises(FileNotFoundError), atomic.atomic_folder(tmp_path / "other") as building:
        (building / "missing").read_bytes()
    assert os.listdir(tmp_path) == ["run"]


KILL = """
import os, signal, sys
from pathlib import Path
from mindref.run import atomic

run, kill_after, exchange = Path(sys.argv[1]), int(sys.argv[2]), atomic.rename_exchange
def kill_after_rename(rename):
    def call(*names):
        global kill_after
        kill_after -= 1
        result = rename(*names)
        if kill_after == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
Path.replace = kill_after_rename(Path.replace)
atomic.rename_exchange = kill_after_rename(exchange) if sys.argv[3] == "one" else lambda *x: False
atomic.exchange_folders(run, run.with_name(".run.0123456789ab.tmp"))
"""


@pytest.mark.rules("faults-R14")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("after", "way"), [(1, "one"), (1, "several"), (2, "several")])
def test_a_kill_in_an_exchange_leaves_a_complete_run(tmp_path, after, way):
    if way == "one" and sys.platform != "linux":
        pytest.skip("only Linux exchanges two names in one operation")
    run = tmp_path / "run"
    for index, folder in enumerate((run, tmp_path / ".run.0123456789ab.tmp")):
        folder.mkdir()
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_text(["old", "new"][index])
        os.utime(folder / "config.json", (index, index))
    done = run_python("-c", KILL, run, after, way, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    texts = [(x / "config.json").read_text() for x in sorted(tmp_path.iterdir())]
    assert sorted(texts) == ["new", "old"]
    assert run.exists() == (way == "one" or after == 2)
    if run.exists():
        assert (run / "config.json").read_text() == "new"
        return
    hidden = tmp_path / ".run.0123456789ab.tmp"
    message = f"got none, because an overwrite was interrupted; rename the complete run {hidden} to"
    with pytest.raises(RunError, match=message):
        checkpoint.load_config(run)
