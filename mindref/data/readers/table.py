"""Turn records of fields into interactions: find the columns, filter, count damaged records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mindref.arguments import is_integer
from mindref.data.assemble import RawLog
from mindref.data.numbering import Interaction
from mindref.data.quoting import join_names, quote_text
from mindref.data.readers.advice import describe_columns, name_columns
from mindref.data.readers.columns import Column, Columns, column_index, find_column
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.hints import rating_hints
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo
from mindref.data.times import TimeParser, time_parser
from mindref.errors import ConfigError, DataError, say, value_text

Record = tuple[int, Sequence[str]]  # line number, fields


class RowFilter(NamedTuple):
    """Keep the rows whose field of a column is accepted. Raises ValueError for a damaged field."""

    column: int
    accepts: Callable[[str], bool]


class ReaderInput(NamedTuple):
    """The arguments of the reader of a format."""

    file: DataFile
    columns: Columns
    tally: Tally
    items: SideInfo  # of the item file; readers add titles and features of the log
    users: SideInfo


class ColumnLayout(NamedTuple):
    """The index of each column in a record; -1 for a column that is missing."""

    width: int
    user: int
    item: int
    time: int
    title: int
    item_features: Sequence[tuple[str, int]]
    user_features: Sequence[tuple[str, int]]
    row_filters: Sequence[RowFilter]


def resolve_columns(
    source: ReaderInput,
    header: Sequence[str] | None,
    width: int,
    rows: Sequence[Sequence[str]] = (),
) -> ColumnLayout:
    """Return the layout of records. Errors: DataError for a missing or ambiguous column.

    rows: the fields of the first records, for advice and hints.
    """
    columns, file = source.columns, source.tally.file
    user = find_column("user", columns.user, header, width, file)
    item = find_column("item", columns.item, header, width, file)
    if user < 0 or item < 0:
        missing = "user" if user < 0 else "item"
        got, todo = describe_columns(header, width), name_columns(header, next(iter(rows), ()))
        raise DataError(say(file, f"a column of the {missing}", got, todo))  # data-R86

    def index_of(column: Column) -> int:
        index = column_index(column, header, width)
        if index is None:
            got = describe_columns(header, width)
            for kind, side in (("item", source.items), ("user", source.users)):
                got += f"; the {kind} file has {join_names(side.columns)}" if side.columns else ""
            raise DataError(say(file, f"a column {value_text(column, True)}", got))
        return index

    source.tally.hints += rating_hints(header, rows, columns)

    return ColumnLayout(
        width,
        user,
        item,
        find_column("time", columns.time, header, width, file),
        find_column("title", columns.title, header, width, file, source.items.columns),
        [(name, index_of(column)) for name, column in columns.item_features.items()],
        [(name, index_of(column)) for name, column in columns.user_features.items()],
        [
            *(RowFilter(index_of(x), value_filter(values)) for x, values in columns.keep.items()),
            *(RowFilter(index_of(x), minimum_filter(n)) for x, n in columns.at_least.items()),
        ],
    )


def value_filter(values: Sequence[str]) -> Callable[[str], bool]:
    """Return the test whether a field is one of these values."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        got = value_text(values, quoted=True)
        raise ConfigError(say("keep", "a list of values for each column", got))
    return frozenset(str(value) for value in values).__contains__


def minimum_filter(minimum: float) -> Callable[[str], bool]:
    """Return the test whether a field is a number of at least `minimum`."""

    def test(field: str) -> bool:
        try:
            value = float(field)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):  # data-R74
            raise ValueError(f"{quote_text(field)} is not a number")
        return value >= minimum

    return test


def make_raw_log(
    records: Iterable[Record],
    layout: ColumnLayout,
    source: ReaderInput,
    time_format: str | None = None,
) -> RawLog:
    """Return the interactions of records, with the side information in the same records.

    time_format: by default that of the options.
    """
    parse_time = time_parser(time_format or source.columns.time_format)
    interactions = read_interactions(records, layout, source, parse_time)
    return RawLog([interactions], layout.time >= 0, source.items, source.users)


def read_interactions(
    records: Iterable[Record], layout: ColumnLayout, source: ReaderInput, parse_time: TimeParser
) -> Iterator[Interaction]:
    """Return the interactions of records; store the side information of the records."""
    valid = valid_records(records, layout, parse_time, source.tally)
    if layout.title >= 0 or layout.item_features or layout.user_features:
        return store_side_info(valid, layout, source)
    return (interaction for interaction, _ in valid)


def store_side_info(
    valid: Iterable[tuple[Interaction, Sequence[str]]], layout: ColumnLayout, source: ReaderInput
) -> Iterator[Interaction]:
    """Yield interactions, and store the titles and features of the same records."""
    items, users, separator = source.items, source.users, source.columns.separator
    for interaction, fields in valid:
        if layout.title >= 0:
            items.add_title(interaction[1], fields[layout.title])
        for name, column in layout.item_features:
            items.add_values(name, interaction[1], fields[column].split(separator))
        for name, column in layout.user_features:
            users.add_values(name, interaction[0], fields[column].split(separator))
        yield interaction


def valid_records(
    records: Iterable[Record], layout: ColumnLayout, parse_time: TimeParser, tally: Tally
) -> Iterator[tuple[Interaction, Sequence[str]]]:
    """Yield interaction and fields of every valid record. Count damaged and filtered records."""
    width, user, item, time, *_, filters = layout
    for number, fields in records:
        if len(fields) != width and (len(fields) < width or any(fields[width:])):
            tally.add_damaged(number, f"{len(fields)} fields instead of {width}")  # data-R11
            continue
        if not (fields[user] and fields[item]):
            tally.add_damaged(number, "no user" if not fields[user] else "no item")
            continue
        try:
            seconds = parse_time(fields[time]) if time >= 0 else 0.0
            if filters and not all(x.accepts(fields[x.column]) for x in filters):
                tally.counts["filtered"] += 1  # data-R19
                continue
        except (ValueError, OverflowError) as error:
            tally.add_damaged(number, str(error))
            continue
        yield (fields[user], fields[item], seconds), fields


def id_text(value: object) -> str:
    """Return the text of an id. Raises ValueError for a value that is neither text nor an integer.

    A float is rejected: tables turn integers with gaps into floats, and `3.0` is not the id `3`.
    """
    if isinstance(value, str):
        return str(value)  # data-R1
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not is_integer(value):
        raise ValueError(f"an id is text or an integer, not {value_text(value, quoted=True)}")
    return str(int(value))  # type: ignore[call-overload]  # an integer; not too long to print


def values_as_text(values: Sequence[object], layout: ColumnLayout, separator: str) -> list[str]:
    """Return the fields of a record as text. Raises ValueError for an invalid id or time."""
    for index in (layout.user, layout.item):
        if values[index] is not None:
            id_text(values[index])
    if layout.time >= 0 and isinstance(values[layout.time], list | dict):
        raise ValueError("a time is one value, not several")
    return [value_as_text(value, separator) for value in values]


def value_as_text(value: object, separator: str) -> str:
    """Return a value as text: "" for null, a list joined by the separator. Or ValueError."""
    if value is None:
        return ""
    if isinstance(value, list):
        return separator.join(value_as_text(element, separator) for element in value)
    if isinstance(value, float) and value != value:  # a missing value of a table
        return ""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
