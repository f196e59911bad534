"""Events one after another -> the log: dense ids, order, duplicates, counts (specs/data.md)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.data.log import Floats, InteractionLog, Ints, Ragged
from mindref.data.side import Side
from mindref.errors import DataError, say

Event = tuple[str, str, float]  # user, item, seconds

NOTES = (
    *("lines", "bad_lines", "filtered", "empty_rows", "shorter_rows", "duplicates", "ties"),
    *("single_event_users", "unknown_items", "unused_items", "titled_items"),
    *("events", "users", "items"),
)


class NoEvents(DataError):
    """A log without an event."""


@dataclass
class Reading:
    """What a reader gives: events in the order of the file, and what is known beside them."""

    events: Iterator[Event]
    timed: bool  # False where only the order is known; the times of the events are then 0
    items: Side = field(default_factory=Side)
    users: Side = field(default_factory=Side)


class Table(NamedTuple):
    """Events as columns (E,), dense."""

    users: Ints
    items: Ints
    times: Floats

    def pick(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Table:
        """Return the events of these places."""
        return Table(self.users[which], self.items[which], self.times[which])


def assemble(reading: Reading, keep_duplicates: bool = False) -> InteractionLog:
    """Gather the events of a reading into a log.

    Spec: data. The notes lack the counts that only the reader knows: `lines`, `bad_lines`, ...
    Errors: DataError when there is no event, and those of the reader.
    """
    user_ids, item_ids, table = gather(reading.events)
    if not user_ids:
        raise NoEvents(say("log", "at least one event", "none"))
    read = len(table.users)
    table = in_order(table)
    if reading.timed and not keep_duplicates:
        table = without_duplicates(table)
    counts = np.bincount(table.users, minlength=len(user_ids))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    notes = Counter(dict.fromkeys(NOTES, 0))
    notes["duplicates"] = read - len(table.users)
    notes["ties"] = ties(table) if reading.timed else 0
    notes["single_event_users"] = int(np.count_nonzero(counts == 1))  # data-R6
    notes |= Counter(events=len(table.users), users=len(user_ids), items=len(item_ids))
    notes |= strangers(reading.items, item_ids)
    titles = reading.items.titles_of(item_ids)
    notes["titled_items"] = sum(map(bool, titles or ()))
    return InteractionLog(
        events=Ragged(offsets, table.items),
        times=table.times if reading.timed else None,
        user_ids=user_ids,
        item_ids=item_ids,
        titles=titles,
        item_features=reading.items.features_of(item_ids),
        user_features=reading.users.features_of(user_ids),
        notes={name: notes[name] for name in NOTES},
    )


def gather(events: Iterator[Event]) -> tuple[list[str], list[str], Table]:
    """Number users and items by first appearance; the events take 24 bytes each."""
    user_of: dict[str, int] = {}
    item_of: dict[str, int] = {}
    users, items, times = array("q"), array("q"), array("d")
    for user, item, time in events:  # a million times: no calls that can be spared
        users.append(user_of.setdefault(user, len(user_of)))  # data-R2
        items.append(item_of.setdefault(item, len(item_of)))
        times.append(time)
    table = Table(
        np.array(users, dtype=np.int64),
        np.array(items, dtype=np.int64),
        np.array(times, dtype=np.float64),
    )
    return list(user_of), list(item_of), table


def in_order(table: Table) -> Table:
    """Sort by user, then time; a stable sort leaves ties in the order of the file."""
    order = np.lexsort((table.times, table.users))  # data-R3
    return table.pick(order)


def without_duplicates(table: Table) -> Table:
    """Keep the first of the events with equal user, item and time."""
    order = np.lexsort((table.items, table.times, table.users))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in table:  # data-R4 data-R5
        same &= equals_before(column[order])
    kept = np.ones(len(order), bool)
    kept[order[1:][same]] = False
    return table.pick(kept)


def ties(table: Table) -> int:
    """Count the events at the same time as the one before them."""
    return int(np.count_nonzero(equals_before(table.users) & equals_before(table.times)))


def equals_before(column: Ints | Floats) -> npt.NDArray[np.bool_]:
    """Tell of each value but the first whether it equals the one before; differences overflow."""
    return column[1:] == column[:-1]


def strangers(items: Side, item_ids: list[str]) -> Counter[str]:
    """Count the items of the log that their file lacks, and those of the file that never occur."""
    if items.listed is None:
        return Counter()
    found = items.listed.intersection(item_ids)
    unused = len(items.listed) - len(found)  # data-R8
    return Counter(unknown_items=len(item_ids) - len(found), unused_items=unused)
