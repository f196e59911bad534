"""`user item` lines, a user's oldest first (the form of SASRec)."""

from __future__ import annotations

from collections.abc import Iterator

from mindref.data.assemble import Event, Reading
from mindref.data.readers.columns import Columns
from mindref.data.readers.lines import read_lines
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.side import Side


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read two words a line, between spaces or tabs."""
    return Reading(events(place, tally), False, items, users)


def events(place: Place, tally: Tally) -> Iterator[Event]:
    """Yield the event of every line of two words."""
    for number, text in read_lines(place, tally):
        words = words_of(text)
        if len(words) != 2:
            tally.damaged(number, f"{len(words)} words instead of 2")
            continue
        yield words[0], words[1], 0.0


def words_of(text: str) -> list[str]:
    """Return the words between spaces and tabs; the other blanks of Unicode are letters."""
    text = text.replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text.split()
    return [word for word in text.split(" ") if word]  # data-R76
