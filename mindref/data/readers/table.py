"""Records of fields -> events: which field is what, which records are damaged or not wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mindref.data.assemble import Event, Reading
from mindref.data.readers.columns import Column, Columns, find, place_of
from mindref.data.readers.tally import Tally
from mindref.data.shown import listed, shown
from mindref.data.side import Side
from mindref.data.times import Clock, clock
from mindref.errors import ConfigError, DataError, say, written

Record = tuple[int, Sequence[str]]  # the number of its line, its fields
Test = Callable[[Sequence[str]], bool]


class Plan(NamedTuple):
    """What the fields of a record mean; -1 for a field that is not there."""

    width: int
    user: int
    item: int
    time: int
    title: int
    item_features: Sequence[tuple[str, int]]
    user_features: Sequence[tuple[str, int]]
    wanted: Sequence[Test]


def plan(columns: Columns, header: Sequence[str] | None, width: int, file: str) -> Plan:
    """Find the columns. Errors: DataError for one that is missing or could be several."""
    user = find("user", columns.user, header, width, file)
    item = find("item", columns.item, header, width, file)
    if user < 0 or item < 0:
        lacks = "user" if user < 0 else "item"
        got = listed(header) if header else f"{width} columns without a header"
        todo = "name the columns with --user, --item and --time (a name, or a position from 1)"
        raise DataError(say(file, f"a column of the {lacks}", got, todo))

    def at(column: Column) -> int:
        place = place_of(column, header, width)
        if place is None:
            got = listed(header) if header else f"{width} columns"
            raise DataError(say(file, f"a column {written(column, True)}", got))
        return place

    return Plan(
        width,
        user,
        item,
        find("time", columns.time, header, width, file),
        find("title", columns.title, header, width, file),
        [(name, at(column)) for name, column in columns.item_features.items()],
        [(name, at(column)) for name, column in columns.user_features.items()],
        [
            *(among(at(column), values) for column, values in columns.keep.items()),
            *(at_least(at(column), least) for column, least in columns.at_least.items()),
        ],
    )


def among(place: int, values: Sequence[str]) -> Test:
    """Test that a field is one of some values."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        got = written(values, quoted=True)
        raise ConfigError(say("keep", "a list of values for each column", got))
    wanted = frozenset(str(value) for value in values)
    return lambda fields: fields[place] in wanted


def at_least(place: int, least: float) -> Test:
    """Test that a field is a number of at least this size."""

    def test(fields: Sequence[str]) -> bool:
        try:
            value = float(fields[place])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):  # data-R74
            raise ValueError(f"{shown(fields[place])} is no number")
        return value >= least

    return test


def reading(
    records: Iterable[Record],
    layout: Plan,
    columns: Columns,
    tally: Tally,
    items: Side,
    users: Side,
) -> Reading:
    """Return the events of records, and what they say beside."""
    moment = clock(columns.time_format)
    plain = events(records, layout, moment, tally)
    if layout.title >= 0 or layout.item_features or layout.user_features:
        plain = noted(records, layout, moment, tally, (items, users), columns.separator)
    return Reading(plain, layout.time >= 0, items, users)


def events(records: Iterable[Record], layout: Plan, moment: Clock, tally: Tally) -> Iterator[Event]:
    """Yield the event of every record that is whole and wanted."""
    for event, _ in whole(records, layout, moment, tally):
        yield event


def noted(
    records: Iterable[Record],
    layout: Plan,
    moment: Clock,
    tally: Tally,
    sides: tuple[Side, Side],
    separator: str,
) -> Iterator[Event]:
    """Yield events, and note the titles and features that stand in the same records."""
    items, users = sides
    for event, fields in whole(records, layout, moment, tally):
        if layout.title >= 0:
            items.title(event[1], fields[layout.title])
        for name, place in layout.item_features:
            items.add(name, event[1], fields[place].split(separator))
        for name, place in layout.user_features:
            users.add(name, event[0], fields[place].split(separator))
        yield event


def whole(
    records: Iterable[Record], layout: Plan, moment: Clock, tally: Tally
) -> Iterator[tuple[Event, Sequence[str]]]:
    """Yield event and fields of every record that is whole and wanted; count the others."""
    width, user, item, time, *_, wanted = layout
    for number, fields in records:
        if len(fields) != width and (len(fields) < width or any(fields[width:])):
            tally.damaged(number, f"{len(fields)} fields instead of {width}")  # data-R11
            continue
        if not (fields[user] and fields[item]):
            tally.damaged(number, "no user" if not fields[user] else "no item")
            continue
        try:
            when = moment(fields[time]) if time >= 0 else 0.0
            if wanted and not all(test(fields) for test in wanted):
                tally.counts["filtered"] += 1  # data-R19
                continue
        except (ValueError, OverflowError) as error:
            tally.damaged(number, str(error))
            continue
        yield (fields[user], fields[item], when), fields
