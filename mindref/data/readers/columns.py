"""Find the columns of a log: by a requested name or position, or by their usual names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from mindref.data.quoting import escape_text, join_names, quote_text
from mindref.data.readers.advice import (
    UnnamedColumnError,
    column_option,
    describe_columns,
    name_columns,
    rating_hints,
)
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.tally import Tally
from mindref.data.readers.usual_names import usual_columns
from mindref.data.side_info import SideInfo
from mindref.data.times import TimeParser, time_parser
from mindref.errors import ConfigError, DataError, say, value_text

Column = str | int  # a name in the header, or a position from 1 (also as digits)


@dataclass(frozen=True)
class Columns:
    """Columns of a log, and how to read them. `None`: a column is found by its usual names.

    `item_features` and `user_features` map the name of a feature to its column. Several values in
    one cell are separated by `separator`. `keep` maps a column to the values to keep, `at_least` a
    column to the smallest number to keep. `header`: whether the first line is a header.
    """

    user: Column | None = None
    item: Column | None = None
    time: Column | None = None
    title: Column | None = None
    item_features: Mapping[str, Column] = field(default_factory=dict)
    user_features: Mapping[str, Column] = field(default_factory=dict)
    keep: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    time_format: str = "auto"
    delimiter: str | None = None
    header: bool | None = None
    separator: str = "|"

    def __post_init__(self) -> None:
        for name in ("user", "item", "time", "title"):
            value = getattr(self, name)
            if not isinstance(value, str | int | None) or isinstance(value, bool):
                raise option_error(f"columns.{name}", "a name or a position", value)
        for name in ("item_features", "user_features", "keep", "at_least"):
            if not isinstance(getattr(self, name), Mapping):
                raise option_error(f"columns.{name}", "a mapping of names", getattr(self, name))
        if not isinstance(self.time_format, str):
            raise option_error("columns.time_format", "a form of time", self.time_format)
        if not isinstance(self.header, bool | None):
            raise option_error("columns.header", "true or false", self.header)
        self._check_elements()
        if not isinstance(self.separator, str) or not self.separator:
            raise option_error("columns.separator", "a text between values", self.separator)
        mark = self.delimiter
        if mark is not None and (not isinstance(mark, str) or not mark or set(mark) & set('"\r\n')):
            raise option_error("columns.delimiter", "a text between columns", mark)

    def _check_elements(self) -> None:
        """Raise ConfigError for an invalid element of a mapping."""
        for name, column in [*self.item_features.items(), *self.user_features.items()]:
            if not isinstance(name, str) or not isinstance(column, str | int | None):
                raise option_error("columns: features", "names and their columns", {name: column})
        for name, least in self.at_least.items():
            is_number = isinstance(least, int | float) and not isinstance(least, bool)
            if not is_number or (isinstance(least, float) and math.isnan(least)):
                raise option_error(f"columns.at_least: {name}", "a number", least)

    @classmethod
    def of(cls, options: Columns | Mapping[str, Any] | None) -> Columns:
        """Return columns from plain values. Errors: ConfigError for an unknown name."""
        if isinstance(options, Columns):
            return options
        if not isinstance(options, Mapping | None):
            raise option_error("columns", "a mapping of names to columns", options)
        names = [x.name for x in fields(cls)]
        for name in options or {}:
            if name not in names:
                raise option_error("columns", " or ".join(names), name)
        return cls(**(options or {}))

    @property
    def set_options(self) -> list[str]:
        """The names of the options whose value is not the default."""
        usual = Columns()
        names = [x.name for x in fields(self)]
        return [name for name in names if getattr(self, name) != getattr(usual, name)]

    @property
    def column_names(self) -> list[str]:
        """The columns that are requested by name. Digits are positions."""
        several = (self.item_features, self.user_features)
        columns = [self.user, self.item, self.time, self.title, *self.keep, *self.at_least]
        columns += [column for of in several for column in of.values()]
        return [x for x in columns if isinstance(x, str) and not x.isdecimal()]  # data-R70

    @property
    def has_user_and_item(self) -> bool:
        """Whether the user column and the item column are requested."""
        return self.user is not None and self.item is not None


def option_error(location: str, expected: str, value: object) -> ConfigError:
    """Return the error of an invalid option."""
    return ConfigError(say(location, expected, value_text(value, quoted=True)))


class ReaderInput(NamedTuple):
    """The arguments of the reader of a format."""

    file: DataFile
    columns: Columns
    tally: Tally
    items: SideInfo  # of the item file; readers add titles and features of the log
    users: SideInfo


class RowFilter(NamedTuple):
    """Keep the rows whose field of a column is accepted. Raises ValueError for a damaged field."""

    column: int
    accepts: Callable[[str], bool]


class ColumnLayout(NamedTuple):
    """The index of each column in a record, -1 for a missing column, and how fields are read."""

    width: int
    user: int
    item: int
    time: int
    title: int
    item_features: Sequence[tuple[str, int]]
    user_features: Sequence[tuple[str, int]]
    row_filters: Sequence[RowFilter]
    parse_time: TimeParser

    @property
    def text_columns(self) -> list[int]:
        """The indices of the columns that are read as text, ascending."""
        features = [column for _, column in (*self.item_features, *self.user_features)]
        filters = [x.column for x in self.row_filters]
        return sorted({self.user, self.item, self.title, *features, *filters} - {-1})

    def select(self, columns: Sequence[int]) -> ColumnLayout:
        """Return the layout of records that have only these columns, in this order."""
        index = {-1: -1, **{column: i for i, column in enumerate(columns)}}
        return self._replace(
            width=len(columns),
            user=index[self.user],
            item=index[self.item],
            time=index[self.time],
            title=index[self.title],
            item_features=[(name, index[column]) for name, column in self.item_features],
            user_features=[(name, index[column]) for name, column in self.user_features],
            row_filters=[RowFilter(index[column], test) for column, test in self.row_filters],
        )


def column_index(column: Column, header: Sequence[str] | None, width: int) -> int | None:
    """Return the index of a column, or None for a missing column."""
    if header is not None and column in header:
        return header.index(str(column))
    digits = value_text(column)
    if digits.isdecimal() and len(digits) < 10 and 1 <= int(column) <= width:
        return int(column) - 1
    return None


def find_column(
    kind: str,
    column: Column | None,
    header: Sequence[str] | None,
    width: int,
    file: str,
    item_columns: Sequence[str] = (),
) -> int:
    """Return the index of the column of a kind, or -1 without a requested or usual name.

    item_columns: columns of the item file, which lacks the requested column too.
    Errors: DataError for a missing column, or if several columns have a usual name.
    """
    columns = describe_columns(header, width)
    if column is not None:
        index = column_index(column, header, width)
        if index is None:
            expected = f"a column {value_text(column, quoted=True)} ({kind})"
            todo = f"the item file has {join_names(item_columns)}" if item_columns else ""
            raise DataError(say(file, expected, columns, todo))  # data-R101
        return index
    indices = usual_columns(kind, header or ())
    if len(indices) > 1 and header:
        names = [header[index] for index in indices]
        todo = f"name one, such as {column_option(kind, names[0])}"  # data-R86
        fact = say(file, f"one column of the {kind}", escape_text(" and ".join(names)))
        raise UnnamedColumnError(fact, todo)
    return indices[0] if indices else -1


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
        raise UnnamedColumnError(say(file, f"a column of the {missing}", got), todo)  # data-R86

    def index_of(column: Column) -> int:
        index = column_index(column, header, width)
        if index is None:
            got = describe_columns(header, width)
            for kind, side in (("item", source.items), ("user", source.users)):
                got += f"; the {kind} file has {join_names(side.columns)}" if side.columns else ""
            raise DataError(say(file, f"a column {value_text(column, quoted=True)}", got))
        return index

    layout = ColumnLayout(
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
        time_parser(columns.time_format),
    )
    source.tally.hints += rating_hints(header or (), rows, {x.column for x in layout.row_filters})
    return layout


def value_filter(values: Sequence[str]) -> Callable[[str], bool]:
    """Return the test whether a field is one of these values."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise option_error("keep", "a list of values for each column", values)
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


def reject_options(columns: Columns, names: Iterable[str], form: str) -> None:
    """Raise ConfigError for an option of `names` that is set: it has no effect on this format."""
    for name in columns.set_options:
        if name in names:  # data-R71
            todo = "leave it out, name a file that has it, or another format"
            got = value_text(getattr(columns, name), quoted=True)
            raise ConfigError(say(f"columns.{name}", f"nothing for {form!r}", got, todo))
