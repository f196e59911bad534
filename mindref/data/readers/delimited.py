"""Format `delimited`: text with one delimiter, with or without a header (CSV, TSV)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mindref.data.assemble import RawLog
from mindref.data.readers import table
from mindref.data.readers.columns import Columns, column_index, usual_columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.head import Head
from mindref.data.readers.lines import read_first_lines, read_text_lines
from mindref.data.readers.quoted_fields import guess_delimiter, split_fields, split_records
from mindref.data.readers.table import ReaderInput
from mindref.data.readers.tally import Tally


def is_delimited(head: Head) -> bool:
    """Return whether the options name user and item, or the first line has their usual names."""
    if not head.lines:
        return False
    if head.columns.has_user_and_item:
        return True
    header = split_fields(head.first_line, guess_delimiter(head.first_line))
    return len(usual_columns("user", header)) == len(usual_columns("item", header)) == 1


def read_delimited(source: ReaderInput) -> RawLog:
    """Read a table. Without the option, the delimiter is guessed from the first line."""
    delimiter, first = read_header(source.file, source.columns)
    header = first if has_header(first, source.columns) else None
    layout = table.resolve_columns(source, header, len(first))
    rows = read_rows(source.file, delimiter, header is not None, source.tally)
    return table.make_raw_log(rows, layout, source)


def read_header(file: DataFile, columns: Columns) -> tuple[str, list[str]]:
    """Return the delimiter and the fields of the first line."""
    line = next(iter(read_first_lines(file)), "")
    delimiter = columns.delimiter or guess_delimiter(line)
    return delimiter, split_fields(line, delimiter)


def read_rows(file: DataFile, delimiter: str, header: bool, tally: Tally) -> Iterator[table.Record]:
    """Yield the records after the header."""
    lines = read_text_lines(file, tally, blank=True)  # data-R77
    return islice(split_records(lines, delimiter, tally), int(header), None)


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
