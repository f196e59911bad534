"""RecBole's atomic files: tabs under a header of `name:type`, lists between spaces.

In the benchmark form a row is a user's history as a list, and the item that came next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mindref.data.assemble import Event, Reading
from mindref.data.readers import table
from mindref.data.readers.columns import Columns, find, refuse, usual
from mindref.data.readers.lines import read_lines, sample
from mindref.data.readers.pairs import words_of
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.shown import listed, shown
from mindref.data.side import Side
from mindref.errors import DataError, say

# options that need one event a row
OF_EVENTS = (
    *("time", "time_format", "title", "item_features", "user_features", "separator"),
    *("keep", "at_least"),
)
TYPES = ("token", "token_seq", "float", "float_seq")


def is_header(line: str) -> bool:
    """Tell whether every field of a line is `name:type`."""
    parts = [field.rpartition(":") for field in line.split("\t")]
    return all(name and mark and kind in TYPES for name, mark, kind in parts)


def header_of(place: Place) -> tuple[list[str], list[str]]:
    """Return names and types of the columns. Errors: DataError where there is no such header."""
    line = next(iter(sample(place)), "")
    if not is_header(line):
        raise DataError(say(str(place), "a header of name:type between tabs", shown(line, 100)))
    parts = [field.rpartition(":") for field in line.split("\t")]
    return [name for name, _, _ in parts], [kind for _, _, kind in parts]


def rows(place: Place, tally: Tally) -> Iterator[table.Record]:
    """Yield the fields of the lines after the header."""
    for number, text in islice(read_lines(place, tally), 1, None):
        yield number, text.split("\t")


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read an `.inter` file of either form."""
    names, kinds = header_of(place)
    layout = table.plan(columns, names, len(names), tally.file)
    lists = [
        i
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
        if kind == "token_seq" and name.endswith("_list")
    ]
    if not lists:
        return table.reading(rows(place, tally), layout, columns, tally, items, users)
    refuse(columns, OF_EVENTS, "the benchmark form of recbole")
    return Reading(histories(rows(place, tally), layout, lists[0], tally), False, items, users)


def histories(
    records: Iterator[table.Record], layout: table.Plan, history: int, tally: Tally
) -> Iterator[Event]:
    """Yield the events of the longest row of each user: its list, then its target."""
    longest: dict[str, list[str]] = {}
    for number, fields in records:
        if len(fields) != layout.width or not fields[layout.user] or not fields[layout.item]:
            tally.damaged(number, f"not {layout.width} fields with a user and an item")
            continue
        user, row = fields[layout.user], [*words_of(fields[history]), fields[layout.item]]
        tally.counts["shorter_rows"] += user in longest
        if len(row) > len(longest.get(user, ())):  # data-R23
            longest[user] = row
    for user, row in longest.items():
        for item in row:
            yield user, item, 0.0


def read_side(place: Place, kind: str, columns: Columns, tally: Tally) -> Side:
    """Read an `.item` or `.user` file; its token columns are features. `kind` is item or user."""
    names, kinds = header_of(place)
    given = columns.item if kind == "item" else columns.user
    key = find(kind, given if given in names else None, names, len(names), tally.file)
    if key < 0:
        raise DataError(say(tally.file, f"a column of the {kind}", listed(names)))
    side = Side(used=heeded(names, kind, columns))
    title = title_of(names, columns) if kind == "item" else -1
    features = [i for i in range(len(names)) if i not in (key, title) and "token" in kinds[i]]
    for number, fields in rows(place, tally):
        if len(fields) != len(names) or not fields[key]:
            tally.damaged(number, f"{len(fields)} fields instead of {len(names)}, or no {kind}")
            continue
        side.enlist(fields[key])
        if title >= 0:
            side.title(fields[key], fields[title])
        for i in features:
            several = kinds[i] == "token_seq"
            side.add(names[i], fields[key], words_of(fields[i]) if several else [fields[i]])
    return side


def heeded(names: Sequence[str], kind: str, columns: Columns) -> set[str]:
    """Return which options of reading name a column of this item (or user) file."""
    options = (
        {"item": columns.item, "title": columns.title} if kind == "item" else {"user": columns.user}
    )
    return {option for option, column in options.items() if column in names}


def title_of(names: Sequence[str], columns: Columns) -> int:
    """Return the column of the title: the given one, else the first of a usual name, else -1."""
    if columns.title in names:
        return names.index(str(columns.title))
    return next(iter(usual("title", names)), -1)
