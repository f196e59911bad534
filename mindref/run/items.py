"""items.tsv: the catalogue of a run, one line per item in the order of dense ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from mindref.errors import RunError, say
from mindref.run.atomic import write_text
from mindref.run.files import StoredFile
from mindref.run.tsv import escape, unescape

TODO = "mindref train --resume RUN writes it again from the log"
HEADER = "id\tdense\tcount\ttitle"
LONGEST = 1 << 27  # bytes of a line: the longest line of a log with every byte escaped


class Items(NamedTuple):
    """Ids, counts and titles of the items of a run; the index is the dense id."""

    ids: list[str]
    counts: list[int]
    titles: list[str]  # empty where unknown

    def label(self, item: int) -> str:
        """Return the title of an item, or its id if the title is empty."""
        return self.titles[item] or self.ids[item]


def typed_ids(names: Sequence[str], *, are_integers: bool) -> Sequence[str | int]:
    """Return ids as integers if the data had integers. Raises RunError for another text."""
    if not are_integers:
        return names
    try:
        return list(map(int, names))
    except ValueError as error:
        raise RunError(say("ids of the run", "integers", error, TODO)) from error


def write_items(
    path: Path, ids: Sequence[str], counts: Iterable[int], titles: Sequence[str] | None
) -> str:
    """Write the catalogue; return the sha256 of the file."""
    content = items_text(ids, counts, titles)
    write_text(path, content)
    return text_digest(content)


def items_text(ids: Sequence[str], counts: Iterable[int], titles: Sequence[str] | None) -> str:
    """Return the text of items.tsv."""
    columns = zip(ids, counts, titles or [""] * len(ids), strict=True)
    rows = [
        f"{escape(name)}\t{dense}\t{num_interactions}\t{escape(title)}\n"
        for dense, (name, num_interactions, title) in enumerate(columns)
    ]
    return f"{HEADER}\n{''.join(rows)}"


def text_digest(content: str) -> str:
    """Return the sha256 of the file with this text."""
    return hashlib.sha256(content.encode()).hexdigest()


def repair_items(path: Path, content: str, expected: str) -> str:
    """Write the text if the file does not have the expected sha256; return the new sha256.

    Titles may have changed in the log since the training. After a kill between file and digest,
    the next call writes the file again.
    """
    with suppress(RunError):
        read_items(path, expected)
        return expected
    write_text(path, content)
    return text_digest(content)


def read_items(path: Path, expected: str | None = None) -> Items:
    """Return the catalogue. Raises RunError with the number of a damaged line.

    expected: the required sha256, None for any. The file is read line by line, so that memory is
    proportional to the number of valid lines.
    """
    items, sha256 = Items([], [], []), hashlib.sha256()
    stored = StoredFile(path, "a catalogue", TODO)
    with stored.explain_errors(missing="no file"):
        stored.size()  # raises for a pipe
        with path.open("rb") as stream:
            for number in count(1):
                line = stream.readline(LONGEST)
                if number > 1 and not line:
                    break
                sha256.update(line)
                if not line.endswith(b"\n") or (number == 1 and line != f"{HEADER}\n".encode()):
                    expected_line = f"the header {HEADER!r} and whole lines"
                    got = repr(line[:80])
                    raise RunError(say(f"{path}, line {number}", expected_line, got, TODO))
                if number > 1:
                    add_item(items, path, number, line[:-1].decode("utf-8"))
    if expected is not None and sha256.hexdigest() != expected:  # security-R1
        raise stored.error(
            "another one", f"the catalogue of the run of {path.parent / 'config.json'}"
        )
    return items


def add_item(items: Items, path: Path, number: int, line: str) -> None:
    """Add the item of a line, counted from 1. Raises RunError for a malformed line."""
    fields, dense = line.split("\t"), len(items.ids)
    is_count = len(fields) == 4 and re.fullmatch("[0-9]{1,18}", fields[2])  # fits in int64
    if not is_count or fields[1] != str(dense):
        subject, expected = f"{path}, line {number}", f"id, {dense}, count, title"
        raise RunError(say(subject, expected, repr(line[:80]), TODO))
    items.ids.append(unescape(fields[0]))
    items.counts.append(int(fields[2]))
    items.titles.append(unescape(fields[3]))
