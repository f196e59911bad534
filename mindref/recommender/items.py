"""items.tsv: the catalogue of a run, one line per item in the order of dense ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mindref.atomic import write_text
from mindref.errors import RunError, say
from mindref.tsv import escape, unescape

TODO = "mindref train --resume RUN writes it again from the log"
HEADER = "id\tdense\tcount\ttitle"


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
) -> None:
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
        raise RunError(say(str(path), "a readable file", error, TODO)) from error
    if lines[0] != HEADER or lines[-1] != "":
        expected = f"the header {HEADER!r} and a whole last line"
        raise RunError(say(str(path), expected, repr(lines[0]), TODO))
    items = Items([], [], [])
    for number, line in enumerate(lines[1:-1]):
        fields = line.split("\t")
        if len(fields) != 4 or fields[1] != str(number) or not fields[2].isdecimal():
            where, expected = f"{path}, line {number + 2}", f"id, {number}, count, title"
            raise RunError(say(where, expected, repr(line), TODO))
        items.ids.append(unescape(fields[0]))
        items.counts.append(int(fields[2]))
        items.titles.append(unescape(fields[3]))
    return items
