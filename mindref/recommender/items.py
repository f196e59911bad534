"""items.tsv: the catalogue of a run, one line per item in the order of dense ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mindref.atomic import write_text
from mindref.data.log import Ints
from mindref.errors import RunError, say

HEADER = "id\tdense\tcount\ttitle"
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
PLAIN = {written: char for char, written in ESCAPES.items()}


class Items(NamedTuple):
    """What is known of the items of a run; the index is the dense id."""

    ids: list[str]
    counts: list[int]
    titles: list[str]  # empty where unknown

    def label(self, item: int) -> str:
        """Return the title of an item, or its id where there is none."""
        return self.titles[item] or self.ids[item]


def escape(text: str) -> str:
    """Write tab, line end and backslash as two characters, so that a line stays a line."""
    return "".join(ESCAPES.get(char, char) for char in text)


def unescape(text: str) -> str:
    """Undo `escape`."""
    parts = text.split("\\\\")
    for written, char in PLAIN.items():
        if written != "\\\\":
            parts = [part.replace(written, char) for part in parts]
    return "\\".join(parts)


def write(path: Path, ids: Sequence[str], counts: Ints, titles: Sequence[str] | None) -> None:
    """Write the catalogue."""
    named = titles if titles is not None else [""] * len(ids)
    rows = [
        f"{escape(name)}\t{dense}\t{count}\t{escape(title)}"
        for dense, (name, count, title) in enumerate(zip(ids, counts, named, strict=True))
    ]
    write_text(path, "\n".join([HEADER, *rows]) + "\n")


def read(path: Path) -> Items:
    """Read the catalogue. Raises RunError naming the line that is damaged."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(say(str(path), "a readable file", error)) from error
    if lines[0] != HEADER or lines[-1] != "":
        raise RunError(say(str(path), f"the header {HEADER!r} and a whole last line", lines[0]))
    items = Items([], [], [])
    for number, line in enumerate(lines[1:-1]):
        fields = line.split("\t")
        if len(fields) != 4 or fields[1] != str(number) or not fields[2].isdecimal():
            raise RunError(say(f"{path}, line {number + 2}", "id, dense id, count, title", line))
        items.ids.append(unescape(fields[0]))
        items.counts.append(int(fields[2]))
        items.titles.append(unescape(fields[3]))
    return items
