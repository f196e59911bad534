"""Make a log of a stream of interactions: ids, order, duplicates, counts (specs/data.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from mindref.arguments import KINDS, Count, convert_argument
from mindref.data.log import Floats, InteractionLog, Ints, Ragged
from mindref.data.numbering import Block, InteractionTable, assign_dense_ids
from mindref.data.side_info import SideInfo
from mindref.errors import DataError, say

NOTES = (
    "lines", "bad_lines", "filtered", "empty_rows", "shorter_rows", "duplicates", "rare_users",
    "rare_items", "ties", "repeats",
    "single_interaction_users", "unknown_items", "unused_items", "titled_items",
    "interactions", "users", "items",
)  # fmt: skip
"""Names of the counts in `InteractionLog.notes`."""


class KeepRowKeywords(TypedDict, total=False):
    """The keywords of a function that makes the log of a table, which has no unused items."""

    keep_duplicates: bool
    min_user_interactions: Count
    min_item_interactions: Count
    min_item_users: Count


class KeepKeywords(KeepRowKeywords, total=False):
    """The keywords of the functions that make a log, for a `KeepOptions`."""

    keep_unused_items: bool


KEEP_NAMES = tuple(KeepKeywords.__annotations__)


@dataclass(frozen=True)
class KeepOptions:
    """Which interactions are kept after reading. Raises ConfigError for a minimum below 1.

    Users and items with fewer interactions (or different users) than the minimum are dropped,
    repeatedly, until all that are left have enough. `keep_unused_items`: items of the item file
    without an interaction are in the catalogue too.
    """

    keep_duplicates: bool = False
    min_user_interactions: int = 1
    min_item_interactions: int = 1
    min_item_users: int = 1
    keep_unused_items: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            kind = KINDS["Count" if name.startswith("min_") else "bool"]
            # frozen, but still in __post_init__
            object.__setattr__(self, name, convert_argument(name, value, [kind]))


class EmptyLogError(DataError):
    """A log without an interaction."""


@dataclass
class RawLog:
    """Output of a reader: blocks of interactions in file order, and side information."""

    blocks: Iterable[Block]
    timed: bool  # False if the file has no times; every time is then 0
    items: SideInfo = field(default_factory=SideInfo)
    users: SideInfo = field(default_factory=SideInfo)


def assemble_log(raw_log: RawLog, options: KeepOptions) -> InteractionLog:
    """Return the log of all interactions of a reader.

    Spec: data. The counts of the reader are added later: `lines`, `bad_lines`, ...
    Errors: DataError if there is no interaction, and the errors of the reader.
    """
    user_ids, item_ids, table = assign_dense_ids(raw_log.blocks)
    if not user_ids:
        raise EmptyLogError(say("log", "at least one interaction", "none"))
    num_read = len(table.users)
    # by user, then time; the sort is stable, so ties stay in file order
    table = table.take_rows(np.lexsort((table.times, table.users)))  # data-R3
    if raw_log.timed and not options.keep_duplicates:
        table = drop_duplicates(table)
    unused: list[str] = []
    if options.keep_unused_items:  # in the order of the item file
        in_log = set(item_ids)
        unused = [name for name in raw_log.items.all_ids() if name not in in_log]
    num_distinct, num_users, num_items = len(table.users), len(user_ids), len(item_ids)
    table = drop_rare(table, options)
    if len(table.users) < num_distinct:
        user_ids, item_ids, table = renumber(user_ids, item_ids, table)
    item_ids = [*item_ids, *unused]  # data-R84
    counts = np.bincount(table.users, minlength=len(user_ids))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    notes = Counter(dict.fromkeys(NOTES, 0))
    notes["duplicates"] = num_read - num_distinct
    # data-R82
    notes["rare_users"], notes["rare_items"] = num_users - len(user_ids), num_items - len(item_ids)
    if raw_log.timed:  # interactions at the time of the previous one of the same user
        tied = equals_previous(table.users) & equals_previous(table.times)
        notes["ties"] = int(np.count_nonzero(tied))
    keys = table.users * (table.items.max() + 1) + table.items
    keys.sort()
    notes["repeats"] = int(np.count_nonzero(equals_previous(keys)))  # data-R88
    notes["single_interaction_users"] = int(np.count_nonzero(counts == 1))  # data-R6
    notes |= Counter(interactions=len(table.users), users=len(user_ids), items=len(item_ids))
    if raw_log.items.file_ids is not None:
        matched = raw_log.items.file_ids.keys() & set(item_ids)
        notes["unknown_items"] = len(item_ids) - len(matched)
        notes["unused_items"] = len(raw_log.items.file_ids) - len(matched)  # data-R8
    titles = raw_log.items.titles_of(item_ids)
    notes["titled_items"] = sum(map(bool, titles or ()))
    return InteractionLog(
        interactions=Ragged(offsets, table.items),
        times=table.times if raw_log.timed else None,
        user_ids=user_ids,
        item_ids=item_ids,
        titles=titles,
        item_features=raw_log.items.features_of(item_ids),
        user_features=raw_log.users.features_of(user_ids),
        notes={name: notes[name] for name in NOTES},
    )


def drop_duplicates(table: InteractionTable) -> InteractionTable:
    """Keep the first of all interactions with equal user, item and time, in a sorted table."""
    tied = equals_previous(table.users) & equals_previous(table.times)
    rows = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    candidates = table.take_rows(rows)  # few in most logs: only ties can be duplicates
    order = np.lexsort((candidates.items, candidates.times, candidates.users))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in candidates:  # data-R4 data-R5
        same &= equals_previous(column[order])
    keep = np.ones(len(table.users), bool)
    keep[rows[order[1:][same]]] = False
    return table.take_rows(keep)


def drop_rare(table: InteractionTable, options: KeepOptions) -> InteractionTable:
    """Drop rare users and items, until each that is left has enough interactions and users.

    Errors: DataError if no interaction is left.
    """
    while len(table.users):  # data-R81: a dropped user may make an item rare
        enough = np.bincount(table.users)[table.users] >= options.min_user_interactions
        enough &= np.bincount(table.items)[table.items] >= options.min_item_interactions
        if options.min_item_users > 1:
            num_items = table.items.max() + 1
            items_of_pairs = np.unique(table.users * num_items + table.items) % num_items
            enough &= np.bincount(items_of_pairs)[table.items] >= options.min_item_users
        if enough.all():
            return table
        table = table.take_rows(enough)
    minimums = [f"{name} {n}" for name, n in asdict(options).items() if n > 1]  # data-R82
    expected = f"interactions with {', '.join(minimums)}"
    raise DataError(say("log", expected, "none left", "lower a minimum"))


def renumber(
    user_ids: list[str], item_ids: list[str], table: InteractionTable
) -> tuple[list[str], list[str], InteractionTable]:
    """Number the users and items that have interactions; their order stays (data-R82)."""
    users, user_numbers = np.unique(table.users, return_inverse=True)
    items, item_numbers = np.unique(table.items, return_inverse=True)
    renumbered = InteractionTable(user_numbers, item_numbers, table.times)
    return [user_ids[u] for u in users], [item_ids[i] for i in items], renumbered


def equals_previous(column: Ints | Floats) -> npt.NDArray[np.bool_]:
    """Compare each value, except the first, with the previous value (a difference may overflow)."""
    return column[1:] == column[:-1]
