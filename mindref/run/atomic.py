"""Atomic writes: a kill at any moment leaves the previous files.

A file is written under a temporary name in the same folder, flushed, fsynced and renamed over the
old file. Then the folder is fsynced, so that the rename survives a power cut. Modes come from the
umask, as for any other file. A kill leaves files that end in `.tmp`; see
`remove_leftovers`.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mindref.errors import RunError, say

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Error numbers of a disk or folder that cannot be written."""
RANDOM = "[0-9a-f]" * 12
"""Glob pattern of the random part of `temporary_name`."""
LONGEST = 200  # characters of a name in `temporary_name`
TODO = "check that the folder exists, its rights and the space left"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # constants of Linux


@contextmanager
def open_atomic(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for bytes; it gets its name when the block ends without an error.

    After an error in the block, the old file is unchanged and the temporary file is removed. Links
    are followed. A device or a pipe, such as /dev/stdout, is written directly. Raises RunError.
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        with explain_errors(target), target.open("wb") as stream:
            yield stream
    else:
        # the mode is 0666 minus the umask
        with atomic_path(target) as temporary, temporary.open("xb") as stream:
            yield stream


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """As `open_atomic`, but yield a temporary path, for libraries that open files themselves."""
    target = Path(os.path.realpath(path))
    temporary = temporary_name(target)
    with explain_errors(target):
        try:
            yield temporary
            sync_tree(temporary)
            temporary.replace(target)  # faults-R3
        finally:
            remove_path(temporary)  # faults-R2
        sync_folder(target.parent)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Replace the content of a file by these bytes, atomically."""
    with open_atomic(path) as stream:
        stream.write(data)


def write_text(path: Path | str, text: str) -> None:
    """Replace a file by this text, UTF-8 with \\n line ends on every system."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: object) -> None:
    """Replace a file by this value as JSON; see `json_bytes`."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return a value as indented JSON in the order of its keys. Raises ValueError for NaN.

    Characters without UTF-8 encoding, as in some file names, are written as escapes of JSON.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode("utf-8", "backslashreplace")


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder to fill; it gets its name when the block ends without an error.

    The name must be free or an empty folder, because no system renames over a full one. Every file
    is fsynced before the rename. An error in the block removes the folder. Raises RunError.
    """
    check_unused(path)
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary


def check_unused(path: Path | str) -> None:
    """Raise RunError for a folder with entries, and for a file."""
    target = Path(os.path.realpath(path))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunError(say(str(path), "a new or empty folder", "one in use", "choose another"))


def exchange_folders(path: Path, new: Path) -> None:
    """Exchange the names of two folders of one file system.

    If the system cannot do it in one operation, a kill may leave both under hidden names. After an
    error or Ctrl-C, a folder has the name `path`. Raises OSError.
    """
    if not rename_exchange(path, new):
        old = temporary_name(path)
        try:
            path.replace(old)
            new.replace(path)
        finally:
            if old.exists():
                old.replace(new if path.exists() else path)  # faults-R14
    sync_folder(path.parent)


def rename_exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one operation, and return whether the system did it."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    names = AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second)
    return rename is not None and rename(*names, RENAME_EXCHANGE) == 0  # faults-R14


def find_leftovers(path: Path | str, *names: str) -> list[Path]:
    """Return the temporary files and folders of writers; arguments of `remove_leftovers`."""
    patterns = [f".{glob.escape(name[:LONGEST])}.{RANDOM}.tmp" for name in names] or [".*.tmp"]
    return [leftover for pattern in patterns for leftover in Path(path).glob(pattern)]


def remove_leftovers(path: Path | str, *names: str) -> None:
    """Remove the temporary files of killed writers. The folder must have a single writer.

    names: names of the files or folders that were to be written; without names, all.
    """
    for leftover in find_leftovers(path, *names):
        remove_path(leftover)


def remove_path(path: Path) -> None:
    """Remove a file or a folder if possible: in a shared folder, it may be of another user."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()


def temporary_name(target: Path) -> Path:
    """Return a free hidden name in the target's folder: renames are atomic within a file system."""
    return target.with_name(f".{target.name[:LONGEST]}.{secrets.token_hex(6)}.tmp")


def sync_file(path: Path) -> None:
    """Flush the content of a file to the disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk, if the system can (Windows cannot)."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Flush a file, or every file and every folder below a folder, to the disk."""
    if path.is_file():
        sync_file(path)
    for directory, _, names in os.walk(path):
        for name in names:
            sync_file(Path(directory) / name)
        sync_folder(Path(directory))


@contextmanager
def explain_errors(target: Path) -> Iterator[None]:
    """Convert an OSError about this target into a RunError with advice."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe has exited; the target is not at fault
    except OSError as error:
        # an error of the caller's block about another file is raised unchanged
        about = error.filename
        if about is not None and Path(about).parent not in target.parents:
            raise
        reason = error.strerror or str(error)  # faults-R1
        raise RunError(say(str(target), "a place that can be written", reason, TODO)) from error
