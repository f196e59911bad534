"""One writer at a time: a lock on a file, and words in it that say who holds it.

Spec: specs/faults.md, faults-R4 to R8. The system holds the lock (`flock`), not the file: a
process that is killed lets go of it, and what it leaves behind hinders nobody. The words in the
file are for the message alone. Who ends in good order removes the file. Readers ask for no lock
(faults-R6): every file is replaced whole.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mindref.errors import RunError, say
from mindref.run import atomic

SYSTEM: Any = None
with suppress(ImportError):  # Windows has none
    import fcntl

    SYSTEM = fcntl

NAME = ".lock"  # in a folder that is written into
BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
WAIT = "wait until it has ended, or stop it"
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
LONGEST = 300  # letters of a command that are shown
OPEN: set[int] = set()  # descriptors of locks that this process holds or waits for


def _leave_to_the_parent() -> None:
    """Let a forked child hold no lock of its parent, which is let go when the parent ends."""
    for descriptor in OPEN:
        with suppress(OSError):
            os.close(descriptor)
    OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)  # faults-R5


@contextmanager
def inside(folder: Path | str, *, wait: bool = False) -> Iterator[str]:
    """Hold the lock of a folder that is there while the block runs; yield what `held` yields."""
    with held(Path(folder) / NAME, str(folder), wait=wait) as line:
        yield line


@contextmanager
def making(path: Path | str) -> Iterator[str]:
    """Hold the lock beside a file or folder that is being made, and remove what a kill has left.

    A device or a pipe, which nobody owns, has none. Yields and raises as `held`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        yield ""
        return
    name = target.name[:200]
    with held(target.with_name(f".{name}{NAME}"), str(path), leftovers=name) as line:
        yield line


@contextmanager
def held(path: Path, what: str, *, wait: bool = False, leftovers: str = "") -> Iterator[str]:
    """Hold the lock at a path while the block runs; `wait` for another owner, or raise RunError.

    what: is said to be in use; leftovers: the name whose temporary files are of nobody who lives.
    Yields "" or, where the system has no locks, a line that must be said: the block runs without
    one (faults-R7). A folder that cannot be written has none either; whoever writes will say so.
    """
    descriptor, line = taken(path, what, wait)
    taker = os.getpid()
    try:
        if leftovers and descriptor is not None:
            atomic.sweep(path.parent, leftovers)  # faults-R8
        yield line
    finally:
        if descriptor is not None and taker == os.getpid():  # else a child's, which has none
            with suppress(OSError):
                if is_at(descriptor, path):  # else it was removed, and another one is the lock
                    path.unlink()  # before it is let go: who comes now makes another one
            close(descriptor)


def taken(path: Path, what: str, wait: bool) -> tuple[int | None, str]:
    """Return the descriptor that holds the lock, or None and what must be said of it."""
    if SYSTEM is None:
        return None, unlocked(what, "this system has none")
    how = SYSTEM.LOCK_EX if wait else SYSTEM.LOCK_EX | SYSTEM.LOCK_NB
    while True:
        try:
            descriptor = opened(path)
        except OSError as error:  # where nothing lies, whoever writes will say why
            reason = error.strerror or str(error)
            return None, unlocked(what, reason) if os.path.lexists(path) else ""
        is_ours = False
        try:
            SYSTEM.flock(descriptor, how)  # faults-R4, faults-R5
            is_ours = is_at(descriptor, path)
            if is_ours:
                sign(descriptor)
                return descriptor, ""
        except OSError as error:
            if error.errno in BUSY:
                got = owner(descriptor)
                raise RunError(say(what, "no other process at work there", got, WAIT)) from None
            if os.fstat(descriptor).st_size == 0:  # nobody has signed it
                path.unlink(missing_ok=True)
            return None, unlocked(what, error.strerror or str(error))
        finally:
            if not is_ours:  # or its owner has removed it meanwhile: it is not the lock any more
                close(descriptor)


def opened(path: Path) -> int:
    """Open the file of a lock; that of another user, who may be at work, to be read alone."""
    try:
        descriptor = os.open(path, FLAGS, 0o666)
    except PermissionError:
        descriptor = os.open(path, FLAGS & ~(os.O_RDWR | os.O_CREAT))
    OPEN.add(descriptor)
    return descriptor


def close(descriptor: int) -> None:
    """Close the file of a lock, which lets go of it."""
    OPEN.discard(descriptor)
    os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one that lies at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def unlocked(what: str, reason: str) -> str:
    """Return what must be said where there are no locks."""
    return f"{what}: no lock can be had here ({reason}): let no other process write there"


def sign(descriptor: int) -> None:
    """Write who holds the lock, for the message of whoever is refused."""
    words = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": command(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    with suppress(OSError):  # a full disk: it is held all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(words).encode(), 0)


def command() -> str:
    """Return the command of this process as it was typed, in short."""
    first, *others = sys.argv or [""]
    program = Path(first)
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *others])[:LONGEST]


def owner(descriptor: int) -> str:
    """Return who holds a lock, in the words that stand in its file; anything may stand there."""
    try:
        words: dict[str, Any] = json.loads(os.pread(descriptor, 16 * LONGEST, 0))
        named = "process {pid} on {host} ({command}), since {since}".format(**words)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "one that has not signed yet"
    return named  # `say` lets nothing of it speak to a terminal
