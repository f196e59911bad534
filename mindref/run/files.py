"""Files that somebody else may have made: looked at before they are read, and never without bounds.

Spec: specs/security.md. A file says whether it is whole: JSON of ours has, as its last word, the
sha256 of all the others. That finds damage and files that changed places; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mindref.errors import RunError, say
from mindref.process import memory
from mindref.run import atomic

FEWER = "leave out user features of so many values"
STRANGE_SIZE = "please report it: nothing that belongs there is so long"
SEAL = "sha256"  # the last word of a sealed file
LONGEST_JSON = 1 << 24  # bytes; as values in memory up to thirty times as many
INDEX = "index"  # the folder within a run directory that is written, too
MALFORMED = (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)
"""What words and arrays of other types and shapes than ours raise where they are used."""
TODO = "put the file itself there, or train anew in another folder"


def check_folder(run: Path) -> None:
    """Raise RunError if anything in a run directory, or in its index, is not what it seems.

    A link that leads out of it would be read, and written, in its place. A pipe would be waited
    for without end.
    """
    base = Path(os.path.realpath(run))
    for folder in (run, run / INDEX):
        if not folder.is_dir():
            continue
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            got = error.strerror or str(error)
            raise RunError(say(str(folder), "a folder that can be read", got, TODO)) from error
        for entry in entries:
            check_entry(Path(entry.path), base, entry.is_symlink())


def check_entry(path: Path, base: Path, is_link: bool) -> None:
    """Raise RunError unless a path is a file or a folder, and lies within `base`."""
    if is_link and base not in Path(os.path.realpath(path)).parents:  # security-R4
        todo = "copy there what it leads to, if that is yours"
        raise RunError(say(str(path), "a file of this folder", "a link that leads out", todo))
    if kind := other_kind(path, is_link):  # security-R5
        raise RunError(say(str(path), "a file or a folder", kind, TODO))


def other_kind(path: Path, is_link: bool) -> str:
    """Return what a path is that is neither a file nor a folder; empty for those.

    And for what is no longer there: who trains puts files in their places while others read.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not is_link:
            return ""
        return f"a link to nothing ({error.strerror})"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "a pipe, a socket or a device"


def check_file(path: Path, what: str, todo: str) -> int:
    """Return the size of a file that is one. Raises RunError, FileNotFoundError where none is."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        got = getattr(error, "strerror", None) or str(error)
        raise RunError(say(str(path), what, got, todo)) from error
    if not stat.S_ISREG(found.st_mode):  # security-R5
        raise RunError(say(str(path), what, "no file, but something else", todo))
    return found.st_size


def read_json(path: Path, what: str, todo: str) -> Any:
    """Return the value of a file of JSON. Raises RunError, FileNotFoundError where none is.

    Whatever it holds, no more is read than LONGEST_JSON, and no depth of it ends the process.
    """
    size = check_file(path, what, todo)
    if size > LONGEST_JSON:  # security-R6
        expected = f"{what}, {LONGEST_JSON:,} bytes at the most"
        raise RunError(say(str(path), expected, f"{size:,}", todo))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:  # security-R8
        raise RunError(say(str(path), what, "JSON that is nested too deeply", todo)) from None
    except (OSError, ValueError) as error:
        raise RunError(say(str(path), what, f"{type(error).__name__}: {error}", todo)) from error


def read_config(
    run: Path, what: str, todo: str, check_format: Callable[[Path, object], None]
) -> dict[str, Any]:
    """Return the words of config.json, whole, without its format, which is looked at first.

    Raises RunError, FileNotFoundError where none is, and one of MALFORMED for other JSON.
    """
    check_folder(run)
    path = run / "config.json"
    words = read_json(path, what, todo)
    check_format(path, words["format"])
    words = unsealed(path, words, what, f"put back the one that was written, or {todo}")
    del words["format"]
    return words


def write_sealed(path: Path, words: Mapping[str, Any], todo: str = STRANGE_SIZE) -> dict[str, Any]:
    """Replace a file of JSON by these words and their digest; return them. Raises RunError.

    What `read_json` would not read again is not written.
    """
    whole = sealed(words)
    data = atomic.json_bytes(whole)
    if len(data) > LONGEST_JSON:  # security-R6
        expected, got = f"{LONGEST_JSON:,} bytes at the most", f"{len(data):,}"
        raise RunError(say(str(path), expected, got, todo))
    atomic.write_bytes(path, data)
    return whole


def sealed(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return words with their digest as the last one, in the place of any that is there."""
    rest = {name: value for name, value in words.items() if name != SEAL}
    return {**rest, SEAL: digest(rest)}


def unsealed(path: Path, words: Any, what: str, todo: str) -> dict[str, Any]:
    """Return words without their digest. Raises RunError unless they are those that were written.

    Numbers that a bit made others, and settings that were changed by hand, would go unnoticed.
    """
    if not isinstance(words, dict):
        raise RunError(say(str(path), what, "other JSON", todo))
    rest = {name: value for name, value in words.items() if name != SEAL}
    try:
        is_whole = words.get(SEAL) == digest(rest)  # security-R1
    except RecursionError:  # what can just be read may be too deep to be written
        is_whole = False
    if not is_whole:
        expected = f"{what} as it was written"
        raise RunError(say(str(path), expected, "one that was damaged or changed by hand", todo))
    return rest


def digest(words: Mapping[str, Any]) -> str:
    """Return the sha256 of values for JSON, in whatever order they stand."""
    text = json.dumps(words, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_bytes(path: Path, sha256: object, size: object, what: str, todo: str) -> None:
    """Raise RunError unless a file has this size and sha256.

    The size first: of a file that claims to be as large as a disk no byte is read (security-R6).
    """
    try:
        found = check_file(path, what, todo)
        got = f"a file of {found:,} bytes, not {size}" if found != size else file_digest(path)
    except OSError as error:
        reason = "no file" if isinstance(error, FileNotFoundError) else error
        raise RunError(say(str(path), what, reason, todo)) from error
    if got != sha256:
        raise RunError(say(str(path), f"sha256 {sha256}", got, todo))


def check_room(path: Path, size: int, what: str) -> None:
    """Raise RunError for a file that this machine has no memory for."""
    room = memory.room()
    if size > room:  # security-R7
        expected, todo = f"{what} that fit its memory, {room:,} bytes", "take a larger machine"
        raise RunError(say(str(path), expected, f"{size:,}", todo))
