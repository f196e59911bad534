"""Which columns of a log mean what: given by name or position, or known by their usual names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from mindref.data.shown import clean, listed
from mindref.errors import ConfigError, DataError, say, written

Column = str | int  # a name in the header, or a position from 1 (also as digits)

# usual names, compared without case, spaces, underscores and hyphens
USUAL = {
    "user": "user userid uid username session sessionid visitorid customerid reviewerid memberid",
    "item": "item itemid iid movieid productid asin parentasin venueid trackid artistid songid "
    "bookid gameid newsid articleid videoid",
    "time": "time timestamp ts datetime date unixtime unixreviewtime eventtime",
    "title": "title name itemname itemtitle movietitle moviename productname booktitle "
    "gamename artistname",
}
PLACE = str | int | None
KINDS: tuple[tuple[str, Any, str], ...] = (
    *((name, PLACE, "a name or a position") for name in ("user", "item", "time", "title")),
    *((name, Mapping, "a mapping of names") for name in ("item_features", "user_features")),
    *((name, Mapping, "a mapping of names") for name in ("keep", "at_least")),
    ("time_format", str, "a form of time"),
    ("header", bool | None, "true or false"),
)
LETTERS = str.maketrans("", "", " _-")


@dataclass(frozen=True)
class Columns:
    """Where a log keeps what; `None` leaves a column to its usual names in the header.

    `item_features` and `user_features` map the name of a feature to its column; in a cell of
    several values they stand between `separator`s. `keep` maps a column to the values to keep,
    `at_least` a column to the least number to keep. `header` says whether the first line is one.
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
        for name, kind, expected in KINDS:
            value = getattr(self, name)
            if not isinstance(value, kind) or (kind is PLACE and isinstance(value, bool)):
                got = written(value, quoted=True)
                raise ConfigError(say(f"columns.{name}", expected, got))
        for name, of in self.at_least.items():
            if isinstance(of, bool) or not (isinstance(of, int | float) and of == of):
                where = f"columns.at_least: {name}"
                raise ConfigError(say(where, "a number", written(of, quoted=True)))
        if not (isinstance(self.separator, str) and self.separator):
            raise ConfigError(
                say("columns.separator", "a text between values", repr(self.separator))
            )
        mark = self.delimiter
        if mark is not None and not (
            isinstance(mark, str) and mark and not set(mark) & set('"\r\n')
        ):
            raise ConfigError(say("columns.delimiter", "a text between columns", repr(mark)))

    @classmethod
    def of(cls, options: Columns | Mapping[str, Any] | None) -> Columns:
        """Return columns from plain values. Errors: ConfigError for an unknown name."""
        if isinstance(options, Columns):
            return options
        if not isinstance(options, Mapping | None):
            raise ConfigError(say("columns", "a mapping of names to columns", repr(options)))
        known = [one.name for one in fields(cls)]
        for name in options or {}:
            if name not in known:
                raise ConfigError(say("columns", " or ".join(known), repr(name)))
        return cls(**(options or {}))

    @property
    def given(self) -> list[str]:
        """The names of the options that are not left to themselves."""
        usual = Columns()
        names = [one.name for one in fields(self)]
        return [name for name in names if getattr(self, name) != getattr(usual, name)]

    @property
    def names(self) -> list[str]:
        """The columns that are given by name; digits are positions."""
        several = (self.item_features, self.user_features)
        columns = [self.user, self.item, self.time, self.title, *self.keep, *self.at_least]
        columns += [column for of in several for column in of.values()]
        return [one for one in columns if isinstance(one, str) and not one.isdecimal()]  # data-R70

    @property
    def named(self) -> bool:
        """Whether the user and the item are given."""
        return self.user is not None and self.item is not None


def place_of(column: Column, header: Sequence[str] | None, width: int) -> int | None:
    """Return the index of a column, or None where there is no such column."""
    if header is not None and column in header:
        return header.index(str(column))
    digits = written(column)
    if digits.isdecimal() and len(digits) < 10 and 1 <= int(column) <= width:
        return int(column) - 1
    return None


def usual(kind: str, header: Sequence[str]) -> list[int]:
    """Return the indices of the columns whose names usually mean a kind of `USUAL`."""
    names = USUAL[kind].split()
    return [i for i, name in enumerate(header) if name.lower().translate(LETTERS) in names]


def find(
    kind: str, column: Column | None, header: Sequence[str] | None, width: int, file: str
) -> int:
    """Return the index of the column of a kind, or -1 where none is given and none is usual.

    Errors: DataError for a column that is not there, or for several that could be meant.
    """
    columns = listed(header) if header else f"{width} columns without a header"
    if column is not None:
        place = place_of(column, header, width)
        if place is None:
            raise DataError(say(file, f"a column {written(column, True)} ({kind})", columns))
        return place
    places = usual(kind, header or ())
    if len(places) > 1 and header:
        names = clean(" and ".join(header[place] for place in places))
        raise DataError(say(file, f"one column of the {kind}", names, f"name one with --{kind}"))
    return places[0] if places else -1


def refuse(columns: Columns, names: Iterable[str], form: str) -> None:
    """Raise ConfigError for an option among `names` that is given and has no effect on a form."""
    for name in columns.given:
        if name in names:  # data-R71
            todo = "leave it out, name a file that has it, or another format"
            raise ConfigError(
                say(f"columns.{name}", f"nothing for {form!r}", repr(getattr(columns, name)), todo)
            )
