"""Small invented logs for the tests of this folder."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from mindref.data.log import InteractionLog, Ragged

ITEMS = 9  # of the drawn logs


def log_of(
    rows: Sequence[Sequence[int]], times: Sequence[float] | None = None, items: int | None = None
) -> InteractionLog:
    """Build a log from dense rows. `times` are aligned with the items of all rows."""
    interactions = Ragged.of(rows)
    if items is None:
        items = int(interactions.values.max(initial=-1)) + 1
    return InteractionLog(
        interactions,
        None if times is None else np.array(times, dtype=np.float64),
        [f"u{u}" for u in range(len(rows))],
        [f"i{i}" for i in range(items)],
    )


def rows_of(ragged: Ragged) -> list[list[int]]:
    return [ragged.row(r).tolist() for r in range(len(ragged))]


def rows(min_users: int = 1, min_length: int = 0, max_length: int = 12) -> st.SearchStrategy:
    """Draw rows of items, with repeats, and with empty rows if min_length is 0."""
    row = st.lists(st.integers(0, ITEMS - 1), min_size=min_length, max_size=max_length)
    return st.lists(row, min_size=min_users, max_size=8)
