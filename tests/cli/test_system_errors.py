"""Errors and limits of the system: one line and exit code 2, never a report of a bug."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from mindref.cli import system_errors
from mindref.cli.training_output import TrainingMeter
from mindref.config import Config
from mindref.errors import RunError
from mindref.process import memory
from mindref.run import array_files, files, items
from tests.runs import environment, options

NUMBERS = [
    errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE, errno.EACCES, errno.EMFILE, errno.ENFILE,
    errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EBADF,
]  # fmt: skip


@pytest.mark.rules("faults-R18")
@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_an_error_of_the_system_is_no_bug(cli, number, monkeypatch):
    error = OSError(number, os.strerror(number), "/here/it is")
    monkeypatch.setattr("mindref.backend.list_backends", Mock(side_effect=error))
    line = cli.error_line("backends")
    assert "/here/it is" in line
    assert os.strerror(number) in line


@pytest.mark.rules("faults-R18")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("x.so: cannot open shared object file: Too many open files"), "libraries: "),
        (ImportError("libx.so: failed to map segment from shared object"), "raise the limit with"),
        (OSError("Could not find/load shared object file 'libllvmlite.so'"), "libraries: expected"),
        (ImportError("cannot import name 'x' from 'y'"), ""),
        (DeprecationWarning("old"), "unset PYTHONWARNINGS"),
        (MemoryError("no 3 GiB"), "memory: expected room for the arrays, got no 3 GiB"),
        (RuntimeError("can't start new thread"), "threads: expected one more thread"),
        (RuntimeError("another"), ""),
        (OSError("without a number"), ""),
    ],
    ids=str,
)  # fmt: skip
def test_the_causes_of_an_error_are_searched(error, message):
    outer = ValueError("outer")
    outer.__cause__ = error
    for raised in (error, outer):
        text = system_errors.system_error_message(raised)
        assert message in text
        assert bool(text) == bool(message)


@pytest.mark.rules("faults-R18")
@pytest.mark.parametrize("name", ["model.safetensors", "items.tsv", "config.json"])
def test_an_unreadable_file_is_not_called_missing(run, name, monkeypatch):
    """The tests may run as root, who can read every file: the error is that of the system."""
    real_open = type(run).open

    def refuse(path, *arguments, **keywords):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, *arguments, **keywords)

    monkeypatch.setattr(type(run), "open", refuse)
    read = {
        "model.safetensors": array_files.load_arrays,
        "items.tsv": items.read_items,
        "config.json": lambda path: files.StoredFile(path, "the configuration", "x").read_json(),
    }[name]
    with pytest.raises(RunError, match="Permission denied") as caught:
        read(run / name)
    text = str(caught.value)
    assert text.endswith("check its rights and its disk, then try again")
    assert "no file" not in text
    assert "again from the first step" not in text


TINY = options(steps=2, evaluate_every=1, backend="numpy")


def train_with_memory_limit(folder, megabytes):
    resource = pytest.importorskip("resource")
    size = megabytes * 2**20
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))  # noqa: E731
    command = [sys.executable, "-m", "mindref", "train", "--out", "run", *TINY]
    options = {"capture_output": True, "text": True, "timeout": 300, "check": False}
    return subprocess.run(command, cwd=folder, env=environment(), preexec_fn=limit, **options)


@pytest.mark.rules("faults-R13")
@pytest.mark.parametrize("megabytes", [150, 400, 790])
def test_too_little_memory_to_start_is_reported(tmp_path, megabytes):
    done = train_with_memory_limit(tmp_path, megabytes)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "Error: memory: expected an address space of at least 800 MB, got a limit of"
        f" {megabytes} MB; raise it with ulimit -v\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rules("faults-R13")
@pytest.mark.slow
def test_the_minimum_memory_is_enough_for_a_small_run(tmp_path):
    done = train_with_memory_limit(tmp_path, memory.MIN_ADDRESS_SPACE >> 20)
    assert done.returncode == 0, done.stderr


@pytest.mark.rules("faults-R12")
@pytest.mark.parametrize("moves", [[0.0], [-3600.0], [0.0, -5.0]])
def test_a_clock_set_back_gives_no_negative_rate(moves, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    meter = TrainingMeter(Config.of("mind", {}), 0)
    for step, move in enumerate(moves, 1):
        now[0] += move
        meter.add(step, 1.0)
        assert 0 <= meter.rate < float("inf")


@pytest.mark.rules("faults-R11")
def test_an_error_with_closed_stderr_has_its_exit_code(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    for arguments in (["recall", "none", "--user", "x"], ["recall", "--top", "0"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            command = [sys.executable, "-m", "mindref", *arguments]
            inputs = {"cwd": tmp_path, "env": environment(), "stderr": full}
            assert subprocess.run(command, check=False, **inputs).returncode == 2, arguments
