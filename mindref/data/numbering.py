"""Number external ids in the order of their first appearance (data-R2)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mindref.data.log import Floats, Ints

Number = TypeVar("Number", np.int64, np.float64)
Interaction = tuple[str, str, float]  # user, item, seconds


class IdColumn(NamedTuple):
    """The ids of rows: `names[codes[row]]`. Names may be equal, and rows may lack some names."""

    names: Sequence[str]
    codes: Ints  # (E,)


class InteractionBlock(NamedTuple):
    """Interactions as columns, in file order."""

    users: IdColumn
    items: IdColumn
    times: Floats  # (E,)


Block = InteractionBlock | Iterable[Interaction]


class InteractionTable(NamedTuple):
    """Interactions as columns of shape (E,), with dense ids."""

    users: Ints
    items: Ints
    times: Floats

    def take_rows(self, rows: Ints | npt.NDArray[np.bool_]) -> InteractionTable:
        """Return the interactions of these rows."""
        return InteractionTable(self.users[rows], self.items[rows], self.times[rows])


def assign_dense_ids(blocks: Iterable[Block]) -> tuple[list[str], list[str], InteractionTable]:
    """Return user ids, item ids and all interactions. Each interaction takes 24 bytes."""
    user_of: dict[str, int] = {}
    item_of: dict[str, int] = {}
    tables = [
        InteractionTable(
            number_column(block.users, user_of), number_column(block.items, item_of), block.times
        )
        if isinstance(block, InteractionBlock)
        else number_rows(block, user_of, item_of)
        for block in blocks
    ]
    if len(tables) == 1:
        return list(user_of), list(item_of), tables[0]
    tables.append(InteractionTable(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)))
    columns = [list(column) for column in zip(*tables, strict=True)]
    tables.clear()
    table = InteractionTable(*map(join_parts, columns))
    return list(user_of), list(item_of), table


def join_parts(parts: list[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    """Return the parts of a column as one array, and free them, before the next is joined."""
    column = np.concatenate(parts)
    parts.clear()
    return column


def number_rows(
    interactions: Iterable[Interaction], user_of: dict[str, int], item_of: dict[str, int]
) -> InteractionTable:
    """Return the table of single interactions; add their ids to the dictionaries."""
    users, items, times = array("q"), array("q"), array("d")
    for user, item, time in interactions:  # up to millions of iterations: as few calls as possible
        users.append(user_of.setdefault(user, len(user_of)))  # data-R2
        items.append(item_of.setdefault(item, len(item_of)))
        times.append(time)
    return InteractionTable(
        np.array(users, dtype=np.int64),
        np.array(items, dtype=np.int64),
        np.array(times, dtype=np.float64),
    )


def number_column(column: IdColumn, number_of: dict[str, int]) -> Ints:
    """Return the dense id of each row (E,); add the ids to the dictionary."""
    codes = column.codes
    first = np.full(len(column.names), -1)  # row of each code
    # of repeated indices, NumPy keeps the last assignment
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    used = np.flatnonzero(first >= 0)
    order = used[np.argsort(first[used])]
    names = [column.names[code] for code in order.tolist()]
    numbers = np.zeros(len(column.names), np.int64)
    numbers[order] = [number_of.setdefault(name, len(number_of)) for name in names]
    return numbers[codes]
