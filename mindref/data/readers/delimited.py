"""Format `delimited`: text with one delimiter, with or without a header (CSV, TSV).

Double quotes enclose fields with delimiters or line ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from mindref.data.assemble import RawLog
from mindref.data.readers.columns import Columns, ReaderInput, column_index, resolve_columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head, read_first_lines
from mindref.data.readers.text import TextFormat, read_text, split_fields
from mindref.data.readers.usual_names import usual_columns

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
    layout = resolve_columns(source, header, len(first), rows)
    has_names = header is not None
    text_format = TextFormat(delimiter, has_header=has_names, has_quotes=True)
    return read_text(text_format, layout, source)


def read_header(file: DataFile, columns: Columns) -> tuple[str, list[str]]:
    """Return the delimiter and the fields of the first line."""
    line = next(iter(read_first_lines(file)), "")
    delimiter = columns.delimiter or guess_delimiter(line)
    return delimiter, split_fields(line, delimiter)


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
