"""Folders that mindref writes to, what their file system can do, and what a terminal can show."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from mindref.doctor.check import Check, note, ok, problem
from mindref.errors import MindrefError
from mindref.run import atomic

ROOM = 200_000_000  # bytes on a disk


def here() -> Check:
    """Write a file as a run is written, where `mindref train` puts its runs by default."""
    return place("folder", Path.cwd())


def temporary() -> Check:
    """The same in the folder for temporary files."""
    return place("temporary", Path(tempfile.gettempdir()))


def place(name: str, folder: Path) -> Check:
    """Return whether files can be written, flushed, renamed and locked in a folder."""
    elsewhere = "set TMPDIR" if name == "temporary" else "go elsewhere, or name files with --out"
    try:
        inner = Path(tempfile.mkdtemp(prefix=".mindref-doctor-", dir=folder))
    except OSError as error:
        return note(name, f"{folder} cannot be written ({error.strerror})", elsewhere)
    try:
        atomic.write_bytes(inner / "written", b"whole")  # flushed, fsynced, renamed
        if (inner / "written").read_bytes() != b"whole":
            raise OSError("what was written is not what is read")
        locks = can_lock(inner / "written")
        free = shutil.disk_usage(folder).free
    except (OSError, MindrefError) as error:
        found = f"{folder}: a file cannot be written for good ({error})"
        return problem(name, found, f"a run there would be lost: {elsewhere}")
    finally:
        shutil.rmtree(inner, ignore_errors=True)
    facts = {"path": str(folder), "locks": locks, "free": free}
    found = f"{folder} can be written and flushed, {free / 1e9:.1f} GB free"
    if locks:
        todo = "let no two processes write into one run, export or list there"
        return note(name, f"{found}; files cannot be locked ({locks})", todo, **facts)
    if free < ROOM:
        return note(name, found, "make room: a run holds its parameters four times", **facts)
    return ok(name, found, **facts)


def can_lock(path: Path) -> str:
    """Return why a file cannot be locked, "" if it can."""
    try:
        import fcntl
    except ImportError:
        return "this system has no such locks"
    try:
        with path.open("rb+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return str(error.strerror)
    return ""


def home() -> Check:
    """Return whether the home folder can be written, where compiled functions are kept."""
    try:
        folder = Path.home()
    except RuntimeError as error:
        return note("home", f"there is none ({error})", "set HOME, or NUMBA_CACHE_DIR")
    if folder.is_dir() and os.access(folder, os.W_OK):
        return ok("home", f"{folder} can be written", path=str(folder))
    what = "cannot be written" if folder.is_dir() else "is no folder"
    return note("home", f"{folder} {what}", "set NUMBA_CACHE_DIR to a folder that can be written")


def terminal() -> Check:
    """Return how standard output writes letters."""
    stream = sys.stdout
    encoding = str(getattr(stream, "encoding", None) or "unknown")
    kind = "no terminal"
    with suppress(AttributeError, ValueError, OSError):
        kind = "a terminal" if stream.isatty() else kind
    facts = {"encoding": encoding, "terminal": kind == "a terminal"}
    if encoding.lower().replace("-", "") not in ("utf8", "utf16", "cp65001"):
        todo = "set PYTHONUTF8=1: letters that it lacks are shown as \\u.... , files are UTF-8"
        return note("output", f"{encoding}, {kind}", todo, **facts)
    return ok("output", f"{encoding}, {kind}", **facts)
