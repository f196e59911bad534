"""Find the columns of a log: by a requested name or position, or by their usual names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any

from mindref.data.quoting import escape_text, join_names
from mindref.data.readers.advice import column_option, describe_columns
from mindref.data.readers.usual_names import usual_columns
from mindref.errors import ConfigError, DataError, say, value_text

Column = str | int  # a name in the header, or a position from 1 (also as digits)

COLUMN = str | int | None
FIELD_TYPES: tuple[tuple[str, type | UnionType, str], ...] = (
    *((name, COLUMN, "a name or a position") for name in ("user", "item", "time", "title")),
    *((name, Mapping, "a mapping of names") for name in ("item_features", "user_features")),
    *((name, Mapping, "a mapping of names") for name in ("keep", "at_least")),
    ("time_format", str, "a form of time"),
    ("header", bool | None, "true or false"),
)


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
        for name, kind, expected in FIELD_TYPES:
            value = getattr(self, name)
            if not isinstance(value, kind) or (kind is COLUMN and isinstance(value, bool)):
                got = value_text(value, quoted=True)
                raise ConfigError(say(f"columns.{name}", expected, got))
        any_features: tuple[Mapping[Any, Any], ...] = self.item_features, self.user_features
        for features in any_features:
            for name, column in features.items():
                if not isinstance(name, str) or not isinstance(column, COLUMN):
                    got = value_text({name: column}, quoted=True)
                    raise ConfigError(say("columns: features", "names and their columns", got))
        for name, of in self.at_least.items():
            if isinstance(of, bool) or not (isinstance(of, int | float) and of == of):
                location = f"columns.at_least: {name}"
                raise ConfigError(say(location, "a number", value_text(of, quoted=True)))
        if not (isinstance(self.separator, str) and self.separator):
            raise ConfigError(
                say(
                    "columns.separator",
                    "a text between values",
                    value_text(self.separator, quoted=True),
                )
            )
        delimiter = self.delimiter
        if delimiter is not None and not (
            isinstance(delimiter, str) and delimiter and not set(delimiter) & set('"\r\n')
        ):
            raise ConfigError(
                say(
                    "columns.delimiter",
                    "a text between columns",
                    value_text(delimiter, quoted=True),
                )
            )

    @classmethod
    def of(cls, options: Columns | Mapping[str, Any] | None) -> Columns:
        """Return columns from plain values. Errors: ConfigError for an unknown name."""
        if isinstance(options, Columns):
            return options
        if not isinstance(options, Mapping | None):
            raise ConfigError(
                say("columns", "a mapping of names to columns", value_text(options, quoted=True))
            )
        names = [x.name for x in fields(cls)]
        for name in options or {}:
            if name not in names:
                raise ConfigError(say("columns", " or ".join(names), value_text(name, quoted=True)))
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
            expected = f"a column {value_text(column, True)} ({kind})"
            todo = f"the item file has {join_names(item_columns)}" if item_columns else ""
            raise DataError(say(file, expected, columns, todo))
        return index
    indices = usual_columns(kind, header or ())
    if len(indices) > 1 and header:
        names = [header[index] for index in indices]
        todo = f"name one, such as {column_option(kind, names[0])}"  # data-R86
        raise DataError(
            say(file, f"one column of the {kind}", escape_text(" and ".join(names)), todo)
        )
    return indices[0] if indices else -1


def reject_options(columns: Columns, names: Iterable[str], form: str) -> None:
    """Raise ConfigError for an option of `names` that is set: it has no effect on this format."""
    for name in columns.set_options:
        if name in names:  # data-R71
            todo = "leave it out, name a file that has it, or another format"
            raise ConfigError(
                say(
                    f"columns.{name}",
                    f"nothing for {form!r}",
                    value_text(getattr(columns, name), quoted=True),
                    todo,
                )
            )
