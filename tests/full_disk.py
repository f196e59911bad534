"""A disk that is full from its n-th operation, or a process that is killed before it."""

import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """Counts what a folder is asked to take: opening, writing, fsync, rename, a new folder.

    From operation `full_from` on it takes no more; removing works, as on any full disk. `kinds`
    holds the kind of each operation, `failed` the kinds of the operations that were refused. With
    `kill`, this process is killed instead.
    """

    def __init__(self, folder: Path, full_from: int = 0, kill: bool = False) -> None:
        self.folder, self.full_from, self.kill = str(folder.resolve()), full_from, kill
        self.kinds, self.failed = list[str](), list[str]()

    def take(self, what: str, path: Any, *, named: bool = True) -> None:
        """Count an operation on a path, and refuse it once the disk is full."""
        if not os.path.abspath(os.fspath(path)).startswith(self.folder):
            return
        self.kinds.append(what)
        if self.full_from and len(self.kinds) >= self.full_from:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            self.failed.append(what)
            words = (errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise OSError(*words, os.fspath(path)) if named else OSError(*words)

    def mount(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the system's calls."""
        real_open, real_os_open, real_fsync, real_send = io.open, os.open, os.fsync, os.sendfile

        def opening(file, mode="r", *given, **more):
            if isinstance(file, int) or not set(mode) & set("wxa+"):
                return real_open(file, mode, *given, **more)
            self.take("open", file)
            raw = Raw(file, mode.replace("b", "").replace("t", ""))
            raw.disk = self
            stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return stream if "b" in mode else io.TextIOWrapper(stream, *given[1:], **more)

        def os_opening(path, flags, *given, **more):
            if flags & os.O_CREAT:
                self.take("open", path)
            return real_os_open(path, flags, *given, **more)

        def fsync(descriptor):
            self.take("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), named=False)
            real_fsync(descriptor)

        def sendfile(descriptor, *given):  # copies a file
            self.take("write", os.readlink(f"/proc/self/fd/{descriptor}"), named=False)
            return real_send(descriptor, *given)

        monkeypatch.setattr(io, "open", opening)
        monkeypatch.setattr("builtins.open", opening)
        monkeypatch.setattr(os, "open", os_opening)
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "sendfile", sendfile)
        for name, at in (("replace", 1), ("rename", 1), ("mkdir", 0)):
            monkeypatch.setattr(os, name, self.taking(name, getattr(os, name), at))

    def taking(self, name: str, real: Callable[..., Any], at: int) -> Callable[..., Any]:
        """Return a call of the system that is counted, by its argument number `at`."""

        def call(*given, **more):
            self.take(name, given[at])
            return real(*given, **more)

        return call


class Raw(io.FileIO):
    """A file on that disk."""

    disk: Disk

    def write(self, data: Any) -> int:
        """Write, if there is space; the system names no file here."""
        self.disk.take("write", str(self.name), named=False)
        return super().write(data)
