"""Format `delimited`: text with one delimiter, with or without a header (CSV, TSV).

Double quotes enclose fields with delimiters or line ends.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import islice

from mindref.data.assemble import RawLog
from mindref.data.readers import table
from mindref.data.readers.columns import Columns, column_index
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head, Lines, read_first_lines, read_text_lines
from mindref.data.readers.plain_text import TextFormat, read_plain_text
from mindref.data.readers.table import ReaderInput, Record
from mindref.data.readers.tally import Tally
from mindref.data.readers.usual_names import usual_columns

MAX_QUOTED_LINES = 20  # lines of a quoted field; with more, the quote counts as not closed
BLANKS = " \t"  # stripped around a field
DELIMITERS = ("\t", "::", ",", ";", "|", " ")


def is_delimited(head: Head) -> bool:
    """Return whether the user and the item are each named by an option or by a usual name."""
    if not head.lines:
        return False
    header = split_fields(head.first_line, guess_delimiter(head.first_line))
    options = {"user": head.columns.user, "item": head.columns.item}
    return all(
        column is not None or usual_columns(kind, header) for kind, column in options.items()
    )


def read_delimited(source: ReaderInput) -> RawLog:
    """Read a table. Without the option, the delimiter is guessed from the first line."""
    delimiter, first = read_header(source.file, source.columns)
    header = first if has_header(first, source.columns) else None
    rows = [split_fields(line, delimiter) for line in read_first_lines(source.file)]
    rows = rows[header is not None :]
    layout = table.resolve_columns(source, header, len(first), rows)
    text_format = TextFormat(
        partial(split_records, delimiter=delimiter),
        delimiter,
        blank_lines=True,  # data-R77
        has_header=header is not None,
        has_quotes=True,
        blanks=BLANKS,
    )
    return read_plain_text(text_format, layout, source)


def read_header(file: DataFile, columns: Columns) -> tuple[str, list[str]]:
    """Return the delimiter and the fields of the first line."""
    line = next(iter(read_first_lines(file)), "")
    delimiter = columns.delimiter or guess_delimiter(line)
    return delimiter, split_fields(line, delimiter)


def read_rows(file: DataFile, delimiter: str, tally: Tally) -> Iterator[table.Record]:
    """Yield the records after the header."""
    lines = read_text_lines(file, tally, blank=True)  # data-R77
    return islice(split_records(lines, tally, delimiter=delimiter), 1, None)


def has_header(first: Sequence[str], columns: Columns) -> bool:
    """Return whether the first line has column names: requested, usual, or no digit in the time."""
    if columns.header is not None:
        return columns.header
    if any(name in first for name in columns.column_names) or (
        usual_columns("user", first) and usual_columns("item", first)
    ):
        return True
    if not columns.has_user_and_item or columns.time is None:
        return False
    time = column_index(columns.time, None, len(first))
    return time is not None and not any(char.isdigit() for char in first[time])


def guess_delimiter(line: str) -> str:
    """Return the first of `DELIMITERS` that occurs outside quotes, or else a space."""
    unquoted = "".join(line.split('"')[::2])
    return next((mark for mark in DELIMITERS if mark in unquoted), " ")


def split_records(lines: Lines, tally: Tally, *, delimiter: str) -> Iterator[Record]:
    """Yield the fields of every record. A quote that is not closed damages only its line.

    `lines` include blank lines, because a quoted field may contain them. A delimiter of several
    characters allows no quotes.
    """
    pending: deque[tuple[int, str]] = deque()  # lines after a quote that is not closed

    def next_line() -> tuple[int, str] | None:
        return pending.popleft() if pending else next(lines, None)

    while line := next_line():
        number, text = line
        if not text or text.isspace():  # data-R17; inside quotes it is part of the field
            continue
        if '"' not in text or len(delimiter) > 1:
            yield number, split_unquoted(text, delimiter)
            continue
        fields, following = read_quoted_record(text, next_line, delimiter)
        if fields is None:
            tally.add_damaged(number, "a double quote that is not closed")
            pending.extendleft(reversed(following))
        else:
            yield number, fields


def split_unquoted(text: str, delimiter: str) -> list[str]:
    """Return the fields of a line without quotes."""
    fields = text.split(delimiter)
    if " " in text or "\t" in text:
        return [field.strip(BLANKS) for field in fields]  # data-R69
    return fields


def read_quoted_record(
    text: str, next_line: Callable[[], tuple[int, str] | None], delimiter: str
) -> tuple[list[str] | None, list[tuple[int, str]]]:
    """Return the fields of a record, which may continue in the next lines, and the lines used.

    The fields are None if no line closes the quote.
    """
    used_lines: list[tuple[int, str]] = []
    while (fields := split_quoted(text, delimiter)) is None and len(used_lines) < MAX_QUOTED_LINES:
        line = next_line()
        if line is None:
            break
        used_lines.append(line)
        text += "\n" + line[1]
    return fields, used_lines


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
