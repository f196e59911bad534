"""Reading of untrusted files: each file is checked before it is read, and sizes are bounded.

Spec: specs/security.md. The last value of a JSON file of mindref is the sha256 of all other values.
It detects damage and exchanged files; it is not a signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mindref.errors import RunError, say
from mindref.process import memory
from mindref.run import atomic
from mindref.run.stored_json import InvalidValue

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


class StoredFile(NamedTuple):
    """A file that mindref wrote and reads: its path, and the description and advice of errors."""

    path: Path
    description: str
    todo: str

    def error(self, got: object, expected: str = "", todo: str = "") -> RunError:
        """Return the error of this file; by default with its description and its advice."""
        return RunError(say(str(self.path), expected or self.description, got, todo or self.todo))

    @contextmanager
    def explain_errors(self, missing: str = "") -> Iterator[None]:
        """Convert errors of the system, and values of unexpected types or ranges, into RunError.

        missing: the text for a missing file, without which FileNotFoundError is raised.
        """
        try:
            yield
        except FileNotFoundError:
            if not missing:
                raise
            raise self.error(missing) from None
        except OSError as error:  # the file exists: nothing is to be made again
            expected = f"{self.description} that can be read"
            got = error.strerror or str(error)
            raise self.error(got, expected, UNREADABLE) from error  # faults-R18
        except RecursionError:  # security-R8
            raise self.error("JSON that is nested too deeply") from None
        except InvalidValue as error:
            raise self.error(error) from error
        except MALFORMED as error:  # security-R10
            is_missing_key = isinstance(error, KeyError)
            got = f"no {error}" if is_missing_key else f"{type(error).__name__}: {error}"
            raise self.error(got) from error

    def size(self) -> int:
        """Return the size of a regular file in bytes. Raises RunError or FileNotFoundError."""
        with self.explain_errors():
            status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):  # security-R5
            raise self.error("no file, but something else")
        return status.st_size

    def check_room(self) -> None:
        """Raise RunError if the arrays of the file are larger than the available memory."""
        size, room = self.size(), memory.available_memory()
        if size > room:  # security-R7
            expected = f"arrays that fit its memory, {room:,} bytes"
            raise self.error(f"{size:,}", expected, "take a larger machine")

    def check_bytes(self, sha256: object, size: object) -> None:
        """Raise RunError unless the file has this size and sha256.

        The size is compared first: a file of another size is not read (security-R6).
        """
        with self.explain_errors(missing="no file"):
            actual_size = self.size()
            got = f"a file of {actual_size:,} bytes, not {size}"
            if actual_size == size:
                got = file_digest(self.path)
        if got != sha256:
            raise self.error(got, f"sha256 {sha256}")

    def read_json(self) -> Any:
        """Return the value of a JSON file of at most LONGEST_JSON bytes.

        Raises RunError, or FileNotFoundError if the file is missing.
        """
        size = self.size()
        if size > LONGEST_JSON:  # security-R6
            raise self.error(f"{size:,}", f"{self.description}, {LONGEST_JSON:,} bytes at the most")
        with self.explain_errors():
            return json.loads(self.path.read_text(encoding="utf-8"))

    def unseal(self, values: object) -> dict[str, Any]:
        """Return values without their digest. Raises RunError unless they match the digest.

        It detects flipped bits and settings that were changed by hand.
        """
        if not isinstance(values, dict):
            raise self.error("other JSON")
        content = {name: value for name, value in values.items() if name != SEAL}
        try:
            is_whole = values.get(SEAL) == json_digest(content)  # security-R1
        except RecursionError:  # json.dumps needs more depth than json.loads
            is_whole = False
        if not is_whole:
            got = "one that was damaged or changed by hand"
            raise self.error(got, f"{self.description} as it was written")
        return content


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


def json_digest(values: Mapping[str, object]) -> str:
    """Return the sha256 of JSON values, independent of their order."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
