"""items.tsv: the catalogue of a run, one line per item in the order of dense ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mindref.errors import RunError, say
from mindref.run.atomic import write_text
from mindref.run.files import check_file
from mindref.run.tsv import escape, unescape

TODO = "mindref train --resume RUN writes it again from the log"
WHAT = "a readable file"
HEADER = "id\tdense\tcount\ttitle"
LONGEST = 1 << 27  # bytes of a line: the longest of a log, were each of its bytes escaped


class Items(NamedTuple):
    """What is known of the items of a run; the index is the dense id."""

    ids: list[str]
    counts: list[int]
    titles: list[str]  # empty where unknown

    def label(self, item: int) -> str:
        """Return the title of an item, or its id where there is none."""
        return self.titles[item] or self.ids[item]


def write(
    path: Path, ids: Sequence[str], counts: Iterable[int], titles: Sequence[str] | None
) -> str:
    """Write the catalogue; return the sha256 of the file."""
    made = text(ids, counts, titles)
    write_text(path, made)
    return digest(made)


def text(ids: Sequence[str], counts: Iterable[int], titles: Sequence[str] | None) -> str:
    """Return the catalogue as it is written."""
    named = titles if titles is not None else [""] * len(ids)
    rows = [
        f"{escape(name)}\t{dense}\t{count}\t{escape(title)}"
        for dense, (name, count, title) in enumerate(zip(ids, counts, named, strict=True))
    ]
    return "\n".join([HEADER, *rows]) + "\n"


def digest(made: str) -> str:
    """Return the sha256 of the file with this text."""
    return hashlib.sha256(made.encode()).hexdigest()


def mend(path: Path, made: str, expected: str) -> str:
    """Write a text unless the file is whole, as its sha256 says; return the sha256 of the file.

    Titles may have changed in the log since. A kill before their digest is kept leaves a file that
    is not whole, and so is mended the next time.
    """
    with suppress(RunError):
        read(path, expected)
        return expected
    write_text(path, made)
    return digest(made)


def read(path: Path, expected: str | None = None) -> Items:
    """Read the catalogue. Raises RunError naming the line that is damaged.

    expected: the sha256 that it must have, if it must have one. It is read line by line, so that
    no more memory is taken than there are lines of items.
    """
    items, found = Items([], [], []), hashlib.sha256()
    try:
        check_file(path, WHAT, TODO)
        with path.open("rb") as stream:
            for number, line in enumerate(lines(path, stream, found)):
                add(items, path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(say(str(path), WHAT, error, TODO)) from error
    if expected is not None and found.hexdigest() != expected:  # security-R1
        whose = f"the catalogue of the run of {path.parent / 'config.json'}"
        raise RunError(say(str(path), whose, "another one", TODO))
    return items


def lines(path: Path, stream: BinaryIO, found: Any) -> Iterator[str]:
    """Yield the lines of items, and add all bytes to a digest. Raises RunError."""
    whole = chain(iter(partial(stream.readline, LONGEST), b""), [b""])  # the end is looked at, too
    for number, line in enumerate(whole):
        if number and not line:
            return
        found.update(line)
        if not line.endswith(b"\n") or (number == 0 and line != f"{HEADER}\n".encode()):
            expected, got = f"the header {HEADER!r} and whole lines", repr(line[:80])
            raise RunError(say(f"{path}, line {number + 1}", expected, got, TODO))
        if number:
            yield line[:-1].decode("utf-8")


def add(items: Items, path: Path, number: int, line: str) -> None:
    """Add the item of a line. Raises RunError for one that is none."""
    fields = line.split("\t")
    if len(fields) != 4 or fields[1] != str(number) or not is_count(fields[2]):
        where, expected = f"{path}, line {number + 2}", f"id, {number}, count, title"
        raise RunError(say(where, expected, repr(line[:80]), TODO))
    items.ids.append(unescape(fields[0]))
    items.counts.append(int(fields[2]))
    items.titles.append(unescape(fields[3]))


def is_count(field: str) -> bool:
    """Return whether a field is a count of events that an integer of the machine can hold."""
    return field.isascii() and field.isdecimal() and len(field) < 19
