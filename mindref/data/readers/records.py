"""Lines -> fields, with double quotes around fields that hold delimiters or line ends."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import cache

from mindref.data.readers.lines import Lines
from mindref.data.readers.table import Record
from mindref.data.readers.tally import Tally

SPAN = 20  # lines that a quoted field may go over; more is a quote that nobody closed
BLANKS = " \t"  # which surround a field without being part of it
DELIMITERS = ("\t", "::", ",", ";", "|", " ")


def guess(line: str) -> str:
    """Return the first of `DELIMITERS` that occurs outside quotes; a space where none does."""
    bare = "".join(line.split('"')[::2])
    return next((mark for mark in DELIMITERS if mark in bare), " ")


def records(lines: Lines, delimiter: str, tally: Tally) -> Iterator[Record]:
    """Yield the fields of every record; a quote that is never closed damages only its own line.

    lines: blank ones, too, which a field in quotes may hold.
    """
    if len(delimiter) > 1:
        yield from ((n, bare(text, delimiter)) for n, text in lines if text and not text.isspace())
        return
    source = Returnable(lines)
    for number, text in source:
        if not text or text.isspace():  # data-R17; within quotes it is part of the field
            continue
        if '"' not in text:
            yield number, bare(text, delimiter)
            continue
        fields, taken = quoted(text, source, delimiter)
        if fields is None:
            tally.damaged(number, "a double quote that is not closed")
            source.give_back(taken)
        else:
            yield number, fields


def bare(text: str, delimiter: str) -> list[str]:
    """Return the fields of a line without quotes."""
    fields = text.split(delimiter)
    if " " in text or "\t" in text:
        return [field.strip(BLANKS) for field in fields]  # data-R69
    return fields


class Returnable:
    """Lines that can be given back, even after the last one was taken."""

    def __init__(self, lines: Lines) -> None:
        self.lines = iter(lines)
        self.back: deque[tuple[int, str]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Return itself."""
        return self

    def __next__(self) -> tuple[int, str]:
        """Return the next line, one that was given back before any other."""
        return self.back.popleft() if self.back else next(self.lines)

    def give_back(self, lines: list[tuple[int, str]]) -> None:
        """Put lines in front of those to come."""
        self.back.extendleft(reversed(lines))


def quoted(
    text: str, lines: Lines, delimiter: str
) -> tuple[list[str] | None, list[tuple[int, str]]]:
    """Return the fields of a record that may go on in the next lines, and the lines it took.

    The fields are None when no line closes the quote.
    """
    taken: list[tuple[int, str]] = []
    while True:
        fields = closed(text, delimiter)
        following = next(lines, None) if fields is None and len(taken) < SPAN else None
        if following is None:
            return fields, taken
        taken.append(following)
        text += "\n" + following[1]


def closed(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a whole record, or None where a quote is still open."""
    fields: list[str] = []
    at = -1
    while at < len(text):
        found = field_between(delimiter).match(text, at + 1)
        if found is None:
            return None
        within, plain = found.groups()
        fields.append(plain.rstrip(BLANKS) if within is None else within.replace('""', '"'))
        at = found.end()
    return fields


@cache
def field_between(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of a field before a delimiter or the end: in quotes, or without.

    Nothing is tried twice (`*+`), so that a quote that opens must also be closed.
    """
    mark, blanks = re.escape(delimiter), BLANKS.replace(delimiter, "")
    quotes = rf'"((?:[^"]++|"")*+)"[{blanks}]*'
    return re.compile(rf'[{blanks}]*+(?:{quotes}|((?!")[^{mark}]*))(?=[{mark}]|\Z)')


def fields_of(line: str, delimiter: str) -> list[str]:
    """Return the fields of a single line, such as a header."""
    whole = closed(line, delimiter) if len(delimiter) == 1 else None
    return whole or bare(line, delimiter)
