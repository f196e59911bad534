"""Reading of untrusted files: each file is checked before it is read, and sizes are bounded.

Spec: specs/security.md. The last value of a JSON file of mindref is the sha256 of all other values.
It detects damage and exchanged files; it is not a signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mindref.errors import RunError, say
from mindref.process import memory
from mindref.run import atomic
from mindref.run.stored_json import InvalidValue, check_json

Record = TypeVar("Record")

FEWER = "leave out user features of so many values"
STRANGE_SIZE = "please report it: nothing that belongs there is so long"
SEAL = "sha256"  # the last key of a sealed file
LONGEST_JSON = 1 << 24  # bytes; parsed values take up to thirty times as much memory
INDEX = "index"  # the folder within a run directory
MALFORMED = (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)
"""Errors that values and arrays of unexpected types and shapes raise when they are used."""
UNREADABLE = "check its rights and its disk, then try again"
TODO = "put the file itself there, or train anew in another folder"


def real_path(path: Path | str) -> Path:
    """Return the absolute path without links. A link to itself stays as it is."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for it


def check_tree(folder: Path) -> None:
    """Raise RunError for a link below a folder that leads out, and for pipes and devices.

    The path of the folder itself is the user's, and its links are followed.
    """
    base = real_path(folder)
    for path, folders, names in os.walk(folder):
        for name in (*folders, *names):
            check_entry(Path(path, name), base)


def check_folder(run: Path) -> None:
    """Raise RunError for a file, and for links, pipes and devices in a run directory or its index.

    Through a link that leads out, other files would be read and written. A pipe would block.
    """
    if run.is_file():
        todo = "name the folder that contains config.json"
        raise RunError(say(str(run), "a folder", "a file", todo))
    base = real_path(run)
    for folder in (run, run / INDEX):
        if not folder.is_dir():
            continue
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            got = error.strerror or str(error)
            raise RunError(say(str(folder), "a folder that can be read", got, TODO)) from error
        for entry in entries:
            check_entry(Path(entry.path), base)


def check_entry(path: Path, base: Path) -> None:
    """Raise RunError unless a path is a file or a folder within `base`.

    The path of a missing file is accepted: a training may replace a file at the same time.
    """
    is_link = path.is_symlink()
    if is_link and base not in real_path(path).parents:  # security-R4
        todo = "replace the link by a copy of the file, if the file is yours"
        raise RunError(say(str(path), "a file of this folder", "a link that leads out", todo))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not is_link:
            return
        kind = f"a link to nothing ({error.strerror})"
    else:
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return
        kind = "a pipe, a socket or a device"
    raise RunError(say(str(path), "a file or a folder", kind, TODO))  # security-R5


def check_file(path: Path, description: str, todo: str) -> int:
    """Return the size of a regular file. Raises RunError, or FileNotFoundError if it is missing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable_error(path, description, error) from error
    except ValueError as error:  # not a valid file name
        raise RunError(say(str(path), description, error, todo)) from error
    if not stat.S_ISREG(status.st_mode):  # security-R5
        raise RunError(say(str(path), description, "no file, but something else", todo))
    return status.st_size


def read_json(path: Path, description: str, todo: str) -> Any:
    """Return the value of a JSON file. Raises RunError, or FileNotFoundError if it is missing.

    At most LONGEST_JSON bytes are read. Deep nesting raises RunError and not RecursionError.
    """
    size = check_file(path, description, todo)
    if size > LONGEST_JSON:  # security-R6
        expected = f"{description}, {LONGEST_JSON:,} bytes at the most"
        raise RunError(say(str(path), expected, f"{size:,}", todo))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:  # security-R8
        got = "JSON that is nested too deeply"
        raise RunError(say(str(path), description, got, todo)) from None
    except OSError as error:
        raise unreadable_error(path, description, error) from error
    except ValueError as error:
        got = f"{type(error).__name__}: {error}"
        raise RunError(say(str(path), description, got, todo)) from error


def unreadable_error(path: Path, description: str, error: OSError) -> RunError:
    """Return the error of a file that exists and cannot be read: nothing is to be made again."""
    reason = error.strerror or str(error)  # faults-R18
    return RunError(say(str(path), f"{description} that can be read", reason, UNREADABLE))


def read_record(path: Path, content: Mapping[str, Any], kind: type[Record], todo: str) -> Record:
    """Return the content of a JSON file as a dataclass, after checking it (`stored_json`).

    Raises RunError if the content differs from the declaration of `kind`.
    """
    try:
        check_json(content, kind)
    except InvalidValue as error:
        raise RunError(error.message(path, todo)) from None
    return kind(**content)


def malformed_error(path: Path, description: str, error: Exception, todo: str) -> RunError:
    """Return the error of a file with values of unexpected types or ranges: one of MALFORMED."""
    got = f"{type(error).__name__}: {error}"
    if isinstance(error, InvalidValue):
        got = str(error)
    elif isinstance(error, KeyError):
        got = f"no {error}"
    return RunError(say(str(path), description, got, todo))


def write_sealed(
    path: Path, values: Mapping[str, object], todo: str = STRANGE_SIZE
) -> dict[str, Any]:
    """Write values and their digest as JSON; return both. Raises RunError.

    Also raises it if the file would be too large for `read_json`.
    """
    sealed_values = sealed(values)
    data = atomic.json_bytes(sealed_values)
    if len(data) > LONGEST_JSON:  # security-R6
        expected, got = f"{LONGEST_JSON:,} bytes at the most", f"{len(data):,}"
        raise RunError(say(str(path), expected, got, todo))
    atomic.write_bytes(path, data)
    return sealed_values


def sealed(values: Mapping[str, object]) -> dict[str, Any]:
    """Return values with their digest as the last one; an existing digest is replaced."""
    content = {name: value for name, value in values.items() if name != SEAL}
    return {**content, SEAL: json_digest(content)}


def unsealed(path: Path, values: object, description: str, todo: str) -> dict[str, Any]:
    """Return values without their digest. Raises RunError unless they match the digest.

    It detects flipped bits and settings that were changed by hand.
    """
    if not isinstance(values, dict):
        raise RunError(say(str(path), description, "other JSON", todo))
    content = {name: value for name, value in values.items() if name != SEAL}
    try:
        is_whole = values.get(SEAL) == json_digest(content)  # security-R1
    except RecursionError:  # json.dumps needs more depth than json.loads
        is_whole = False
    if not is_whole:
        expected = f"{description} as it was written"
        raise RunError(say(str(path), expected, "one that was damaged or changed by hand", todo))
    return content


def json_digest(values: Mapping[str, object]) -> str:
    """Return the sha256 of JSON values, independent of their order."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_bytes(path: Path, sha256: object, size: object, description: str, todo: str) -> None:
    """Raise RunError unless a file has this size and sha256.

    The size is compared first: a file of another size is not read (security-R6).
    """
    try:
        actual_size = check_file(path, description, todo)
        got = f"a file of {actual_size:,} bytes, not {size}"
        if actual_size == size:
            got = file_digest(path)
    except OSError as error:
        reason = "no file" if isinstance(error, FileNotFoundError) else error
        raise RunError(say(str(path), description, reason, todo)) from error
    if got != sha256:
        raise RunError(say(str(path), f"sha256 {sha256}", got, todo))


def check_room(path: Path, size: int, description: str) -> None:
    """Raise RunError if a file is larger than the available memory."""
    room = memory.available_memory()
    if size > room:  # security-R7
        expected = f"{description} that fit its memory, {room:,} bytes"
        raise RunError(say(str(path), expected, f"{size:,}", "take a larger machine"))
