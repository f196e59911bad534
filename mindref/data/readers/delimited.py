"""Text with one delimiter, with or without a header (CSV, TSV and their kin)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mindref.data.assemble import Reading
from mindref.data.readers import table
from mindref.data.readers.columns import Columns, place_of, usual
from mindref.data.readers.lines import read_lines, sample
from mindref.data.readers.place import Place
from mindref.data.readers.records import fields_of, guess, records
from mindref.data.readers.tally import Tally
from mindref.data.side import Side


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read a table; its delimiter is the one of the first line unless it is given."""
    delimiter, first = opening(place, columns)
    header = first if has_header(first, columns) else None
    layout = table.plan(columns, header, len(first), tally.file)
    rows = body(place, delimiter, header is not None, tally)
    return table.reading(rows, layout, columns, tally, items, users)


def opening(place: Place, columns: Columns) -> tuple[str, list[str]]:
    """Return the delimiter and the fields of the first line."""
    line = next(iter(sample(place)), "")
    delimiter = columns.delimiter or guess(line)
    return delimiter, fields_of(line, delimiter)


def body(place: Place, delimiter: str, header: bool, tally: Tally) -> Iterator[table.Record]:
    """Yield the records after the header."""
    lines = read_lines(place, tally, blank=True)  # data-R77
    return islice(records(lines, delimiter, tally), int(header), None)


def has_header(first: Sequence[str], columns: Columns) -> bool:
    """Tell whether the first line holds names: given ones, usual ones, or no digit for a time."""
    if columns.header is not None:
        return columns.header
    if any(name in first for name in columns.names) or (
        usual("user", first) and usual("item", first)
    ):
        return True
    if not columns.named or columns.time is None:
        return False
    time = place_of(columns.time, None, len(first))
    return time is not None and not any(char.isdigit() for char in first[time])
