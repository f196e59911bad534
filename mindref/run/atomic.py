"""Files that are there whole or not at all: a kill at any moment leaves the previous state.

A file is written under a temporary name in its own folder, flushed, fsynced and renamed over the
old one; then the folder is fsynced, so that the rename survives a power cut as well. Modes come
from the umask, as for any other file. What is left behind by a kill ends in `.tmp`; see `sweep`.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from mindref.errors import RunError, say

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a place says that takes no more bytes."""
RANDOM = "[0-9a-f]" * 12
"""What `temporary_name` draws, as a pattern."""
TODO = "check that the folder exists, its rights and the space left"


@contextmanager
def writing(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for bytes; it appears under its name when the block ends without an error.

    An error in the block leaves the old file, or none, and no temporary one. A link is followed.
    A device or a pipe, such as /dev/stdout, is written as it is. Raises RunError.
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        with explained(target), target.open("wb") as stream:
            yield stream
    else:
        with placing(target) as temporary, temporary.open("xb") as stream:  # 0666 less the umask
            yield stream


@contextmanager
def placing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path for a library that opens files itself; the rest is as in `writing`."""
    target = Path(os.path.realpath(path))
    temporary = temporary_name(target)
    with explained(target):
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(target)  # faults-R3
        finally:
            temporary.unlink(missing_ok=True)  # faults-R2
        sync_folder(target.parent)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Replace a file by these bytes, or leave it as it was."""
    with writing(path) as stream:
        stream.write(data)


def write_text(path: Path | str, text: str) -> None:
    """Replace a file by this text, UTF-8 with \\n line ends on every system."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Replace a file by this value as JSON; see `json_bytes`."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON, indented, keys as they come; NaN is a ValueError.

    Letters that UTF-8 cannot hold, as the names of some files have, are written as escapes.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False)
        return f"{text}\n".encode()


@contextmanager
def folder(path: Path | str) -> Iterator[Path]:
    """Give a temporary folder to fill; it takes its name when the block ends without an error.

    The name must be free or an empty folder: no system renames over a full one. Every file in it is
    fsynced first. An error in the block removes the folder. Raises RunError.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunError(say(str(path), "a new or empty folder", "one in use", "choose another"))
    temporary = temporary_name(target)
    with explained(target):
        try:
            temporary.mkdir()
            yield temporary
            sync_tree(temporary)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(target.parent)


def sweep(path: Path | str, *names: str) -> None:
    """Remove what killed writers left in a folder; only for one that has a single writer.

    names: of the files or folders that were to be written; without any, of all.
    """
    some = [f".{glob.escape(name)}.{RANDOM}.tmp" for name in names] or [".*.tmp"]
    for leftover in (found for pattern in some for found in Path(path).glob(pattern)):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):  # another user's, in a folder that everybody writes into
                leftover.unlink()


def temporary_name(target: Path) -> Path:
    """Return a free hidden name beside the target: a rename is atomic only within a file system."""
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}.tmp")


def sync_file(path: Path) -> None:
    """Carry what was written to the disk itself."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Carry a folder's names to the disk, where the system can (Windows cannot)."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Carry every file and every folder below a folder to the disk."""
    for where, _, names in os.walk(path):
        for name in names:
            sync_file(Path(where) / name)
        sync_folder(Path(where))


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn an error of the system about this target into one that says what to do."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe has gone, which is no fault of the place
    except OSError as error:
        # an error about another file, raised inside the caller's block, is not ours to explain
        about = error.filename
        if about is not None and Path(about).parent not in target.parents:
            raise
        reason = error.strerror or str(error)  # faults-R1
        raise RunError(say(str(target), "a place that can be written", reason, TODO)) from error
