"""Split lines into fields. Double quotes enclose fields with delimiters or line ends."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import cache

from mindref.data.readers.lines import Lines
from mindref.data.readers.table import Record
from mindref.data.readers.tally import Tally

MAX_QUOTED_LINES = 20  # lines of a quoted field; with more, the quote counts as not closed
BLANKS = " \t"  # stripped around a field
DELIMITERS = ("\t", "::", ",", ";", "|", " ")


def guess_delimiter(line: str) -> str:
    """Return the first of `DELIMITERS` that occurs outside quotes, or else a space."""
    unquoted = "".join(line.split('"')[::2])
    return next((mark for mark in DELIMITERS if mark in unquoted), " ")


def split_records(lines: Lines, delimiter: str, tally: Tally) -> Iterator[Record]:
    """Yield the fields of every record. A quote that is not closed damages only its line.

    `lines` include blank lines, because a quoted field may contain them.
    """
    if len(delimiter) > 1:
        yield from (
            (n, split_unquoted(text, delimiter)) for n, text in lines if text and not text.isspace()
        )
        return
    source = PushbackLines(lines)
    for number, text in source:
        if not text or text.isspace():  # data-R17; inside quotes it is part of the field
            continue
        if '"' not in text:
            yield number, split_unquoted(text, delimiter)
            continue
        fields, following = read_quoted_record(text, source, delimiter)
        if fields is None:
            tally.add_damaged(number, "a double quote that is not closed")
            source.push_back(following)
        else:
            yield number, fields


def split_unquoted(text: str, delimiter: str) -> list[str]:
    """Return the fields of a line without quotes."""
    fields = text.split(delimiter)
    if " " in text or "\t" in text:
        return [field.strip(BLANKS) for field in fields]  # data-R69
    return fields


class PushbackLines:
    """An iterator of lines to which lines can be pushed back, even at its end."""

    def __init__(self, lines: Lines) -> None:
        self.lines = iter(lines)
        self.pending: deque[tuple[int, str]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Return the iterator."""
        return self

    def __next__(self) -> tuple[int, str]:
        """Return the next line. Lines that were pushed back come first."""
        return self.pending.popleft() if self.pending else next(self.lines)

    def push_back(self, lines: list[tuple[int, str]]) -> None:
        """Insert lines before the next line."""
        self.pending.extendleft(reversed(lines))


def read_quoted_record(
    text: str, lines: Lines, delimiter: str
) -> tuple[list[str] | None, list[tuple[int, str]]]:
    """Return the fields of a record, which may continue in the next lines, and the lines used.

    The fields are None if no line closes the quote.
    """
    used_lines: list[tuple[int, str]] = []
    while True:
        fields = split_quoted(text, delimiter)
        next_line = (
            next(lines, None) if fields is None and len(used_lines) < MAX_QUOTED_LINES else None
        )
        if next_line is None:
            return fields, used_lines
        used_lines.append(next_line)
        text += "\n" + next_line[1]


def split_quoted(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a complete record, or None if a quote is still open."""
    fields: list[str] = []
    start = -1
    while start < len(text):
        match = field_pattern(delimiter).match(text, start + 1)
        if match is None:
            return None
        quoted_text, unquoted_text = match.groups()
        fields.append(
            unquoted_text.rstrip(BLANKS) if quoted_text is None else quoted_text.replace('""', '"')
        )
        start = match.end()
    return fields


@cache
def field_pattern(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of a quoted or unquoted field before a delimiter or the end.

    The quantifiers are possessive (`*+`), so that an opening quote must also be closed.
    """
    mark, blanks = re.escape(delimiter), BLANKS.replace(delimiter, "")
    quotes = rf'"((?:[^"]++|"")*+)"[{blanks}]*'
    return re.compile(rf'[{blanks}]*+(?:{quotes}|((?!")[^{mark}]*))(?=[{mark}]|\Z)')


def split_fields(line: str, delimiter: str) -> list[str]:
    """Return the fields of a single line, such as a header."""
    fields = split_quoted(line, delimiter) if len(delimiter) == 1 else None
    return fields or split_unquoted(line, delimiter)
