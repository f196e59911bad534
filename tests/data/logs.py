"""Small invented logs for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from mindref.data.log import InteractionLog, Ragged

ITEMS = 9  # of the drawn logs


def log_of(
    rows: Sequence[Sequence[int]], times: Sequence[float] | None = None, items: int | None = None
) -> InteractionLog:
    """Build a log from dense rows; times stand beside the events of all rows in turn."""
    events = Ragged.of(rows)
    if items is None:
        items = int(events.values.max(initial=-1)) + 1
    return InteractionLog(
        events,
        None if times is None else np.array(times, dtype=np.float64),
        [f"u{u}" for u in range(len(rows))],
        [f"i{i}" for i in range(items)],
    )


def rows_of(ragged: Ragged) -> list[list[int]]:
    return [ragged.row(r).tolist() for r in range(len(ragged))]


def rows(min_users: int = 1, min_length: int = 0, max_length: int = 12) -> st.SearchStrategy:
    """Draw rows of items, repeats and (unless min_length forbids) empty rows among them."""
    row = st.lists(st.integers(0, ITEMS - 1), min_size=min_length, max_size=max_length)
    return st.lists(row, min_size=min_users, max_size=8)
