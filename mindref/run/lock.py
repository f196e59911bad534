"""Lock files: one writer at a time. The file names the owner of the lock.

Spec: specs/faults.md, faults-R4 to R8. The lock is an flock of the system: a killed process
releases it, and a remaining file has no effect. The content of the file is for the error message.
A normal exit removes the file. Readers take no lock (faults-R6): files are replaced atomically.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mindref.errors import RunError, say
from mindref.run import atomic

SYSTEM: Any = None
with suppress(ImportError):  # Windows has none
    import fcntl

    SYSTEM = fcntl

NAME = ".lock"  # lock file in a folder that is written
BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
WAIT = "wait until it has ended, or stop it"
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
LONGEST = 300  # characters of a command in a message
OPEN: set[int] = set()  # descriptors of locks that this process holds or waits for


def _close_inherited_locks() -> None:
    """Close the locks of the parent in a forked child; they are released when the parent ends."""
    for descriptor in OPEN:
        with suppress(OSError):
            os.close(descriptor)
    OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_locks)  # faults-R5


def lock_inside(folder: Path | str, *, wait: bool = False) -> AbstractContextManager[str]:
    """Hold the lock of an existing folder in the block; yield what `hold_lock` yields."""
    return hold_lock(Path(folder) / NAME, str(folder), wait=wait)


def lock_output(path: Path | str) -> AbstractContextManager[str]:
    """Hold the lock of a new file or folder, and remove temporary files of killed writers.

    A device or a pipe has no lock. Yields and raises as `hold_lock`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        return nullcontext("")
    name = target.name[:200]
    return hold_lock(target.with_name(f".{name}{NAME}"), str(path), leftovers=name)


@contextmanager
def hold_lock(path: Path, label: str, *, wait: bool = False, leftovers: str = "") -> Iterator[str]:
    """Hold the lock at a path in the block; `wait` for another owner, or raise RunError.

    label: name of the locked path in messages; leftovers: name whose temporary files can be
    removed. Yields "", or a warning if the system has no locks: the block then runs without a lock
    (faults-R7). A folder without write access has no lock; the write itself will fail.
    """
    descriptor, line = take_lock(path, label, wait=wait)
    taker = os.getpid()
    try:
        if leftovers and descriptor is not None:
            atomic.remove_leftovers(path.parent, leftovers)  # faults-R8
        yield line
    finally:
        if descriptor is not None and taker == os.getpid():  # a forked child does not hold the lock
            with suppress(OSError):
                if is_at(descriptor, path):  # else the file was removed and is another one now
                    path.unlink()  # before the release: the next process makes a new file
            close_lock_file(descriptor)


def take_lock(path: Path, label: str, *, wait: bool) -> tuple[int | None, str]:
    """Return the descriptor that holds the lock, or None and a warning."""
    if SYSTEM is None:
        return None, no_lock_warning(label, "this system has none")
    how = SYSTEM.LOCK_EX if wait else SYSTEM.LOCK_EX | SYSTEM.LOCK_NB
    while True:
        try:
            descriptor = open_lock_file(path)
        except OSError as error:  # if the path is missing, the write itself raises an error
            reason = error.strerror or str(error)
            return None, no_lock_warning(label, reason) if os.path.lexists(path) else ""
        with ExitStack() as stack:
            stack.callback(close_lock_file, descriptor)
            try:
                SYSTEM.flock(descriptor, how)  # faults-R4, faults-R5
                is_current = is_at(descriptor, path)
            except OSError as error:
                if error.errno in BUSY:
                    expected, got = "no other process that writes there", read_owner(descriptor)
                    raise RunError(say(label, expected, got, WAIT)) from None
                if os.fstat(descriptor).st_size == 0:  # no owner is written in it
                    path.unlink(missing_ok=True)
                return None, no_lock_warning(label, error.strerror or str(error))
            if is_current:  # else the owner before has removed the file
                write_owner(descriptor)
                stack.pop_all()  # the file stays open
                return descriptor, ""


def open_lock_file(path: Path) -> int:
    """Open the file of a lock, read-only if it belongs to another user."""
    try:
        descriptor = os.open(path, FLAGS, 0o666)
    except PermissionError:
        descriptor = os.open(path, FLAGS & ~(os.O_RDWR | os.O_CREAT))
    OPEN.add(descriptor)
    return descriptor


def close_lock_file(descriptor: int) -> None:
    """Close the file of a lock, which releases it."""
    OPEN.discard(descriptor)
    os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the file at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def no_lock_warning(label: str, reason: str) -> str:
    """Return the warning for a path without locks."""
    return f"{label}: no lock is possible here ({reason}): let no other process write there"


def write_owner(descriptor: int) -> None:
    """Write the owner of the lock, for the error message of other processes."""
    first, *arguments = sys.argv or [""]
    program = Path(first)
    name = program.parent.name if program.name == "__main__.py" else program.name
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join([name, *arguments])[:LONGEST],
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    with suppress(OSError):  # a full disk: the lock is held without the owner's name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def read_owner(descriptor: int) -> str:
    """Return the owner of a lock from its file, whose content is not trusted."""
    try:
        owner = json.loads(os.pread(descriptor, 16 * LONGEST, 0))
        description = "process {pid} on {host} ({command}), since {since}".format_map(owner)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "one that has not written its name yet"
    return description  # `say` escapes control characters
