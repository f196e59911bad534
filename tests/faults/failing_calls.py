"""Runs a command in a fork of a process, in which calls on files below a folder fail.

The calls of Python are counted: those of native libraries that open or write a file are not.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from mindref.cli import main as command
from mindref.kernels import backend  # noqa: F401  # imported once, before the forks
from mindref.recommender import export
from tests.faults.commands import READING
from tests.numpy_exporter import Writer

MEMORY, SECONDS = 1 << 34, 300  # of a command; beyond them it ends
WRITABLE = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR


class FailingCalls:
    """Counts calls from 1, and lets calls fail.

    mode "error": call number `at` fails; "full": from it on, no call that changes a file succeeds;
    "kill": the process is killed before it. With at = 0, nothing fails.
    """

    def __init__(self, folder: str, at: int, mode: str) -> None:
        self.folder, self.at, self.mode = os.path.realpath(folder), at, mode
        self.calls: list[str] = []

    def count(self, call: str, place: object, error: int = errno.EIO) -> None:
        """Count a call on a path or a descriptor, if the file is below the folder; let it fail."""
        if isinstance(place, int):
            link = f"/proc/self/fd/{place}"
            path = os.readlink(link) if os.path.lexists(link) else ""
        else:
            path = os.path.abspath(os.fsdecode(place))  # type: ignore[type-var]
        if not f"{path}/".startswith(f"{self.folder}/"):
            return
        self.calls.append(call)
        number = len(self.calls)
        is_full = self.mode == "full"
        if not self.at or number < self.at or (number > self.at and not is_full):
            return
        if is_full and call in READING:
            return
        if self.mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if is_full else error
        raise OSError(number, os.strerror(number), *[] if isinstance(place, int) else [path])

    def install(self) -> None:
        """Count the calls of this process from now on."""
        events = {
            "os.rename": lambda source, target, *_: self.count("rename", target),
            "os.link": lambda source, target, *_: self.count("link", target),
            "os.mkdir": lambda path, *_: self.count("mkdir", path),
            "os.truncate": lambda place, *_: self.count("truncate", place),
            "mmap.__new__": lambda descriptor, *_: self.count("mmap", descriptor, errno.ENOMEM),
            "open": self.count_open,
        }

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in events:
                events[event](*arguments)

        sys.addaudithook(hook)
        for name, call in (("write", "write"), ("pwrite", "write"), ("fsync", "fsync")):
            setattr(os, name, self.counted(call, getattr(os, name)))
        builtins.open = io.open = self.open_counted(io.open)  # type: ignore[assignment]

    def count_open(self, path: object, mode: object, flags: int) -> None:
        """Count an open file, but not a folder that `shutil.rmtree` opens by its short name."""
        if not isinstance(path, int) and flags & (WRITABLE | os.O_NOFOLLOW) != os.O_NOFOLLOW:
            self.count("create" if flags & WRITABLE else "open", path)

    def counted(self, call: str, function: Any) -> Any:
        """Return a function of `os` on a descriptor that is counted."""

        def count_and_call(descriptor: int, *arguments: Any) -> Any:
            self.count(call, descriptor)
            return function(descriptor, *arguments)

        return count_and_call

    def open_counted(self, real_open: Any) -> Any:
        """Return an `open` whose files count each write."""
        calls = self

        class CountedFile(io.FileIO):
            def write(self, data: Any) -> int:
                calls.count("write", self.fileno())
                return super().write(data)

        def open_file(
            file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None,
            errors: str | None = None, newline: str | None = None, **options: Any,
        ) -> Any:  # fmt: skip
            if not set(mode) & set("wax+"):
                return real_open(file, mode, buffering, encoding, errors, newline, **options)
            raw = CountedFile(file, mode.translate({ord("b"): None, ord("t"): None}), **options)
            if buffering == 0:
                return raw
            stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

        return open_file


def run_command(folder: str, words: list[str], at: int, mode: str, scratch: Path) -> None:
    """Run a command in this fork with its output in files of `scratch`, and end the process."""
    code, calls = 99, FailingCalls(folder, at, mode)
    log = os.open(scratch / "calls", os.O_WRONLY | os.O_CREAT)
    write = os.write
    try:
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT), number)
        pytest.MonkeyPatch().setattr(export, "load_exporter", lambda: (Writer(), {}))
        calls.install()
        command(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 98
    finally:
        calls.at = 0
        write(log, " ".join(calls.calls).encode())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
