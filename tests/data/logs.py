"""Small invented logs for the tests of this folder, and a chi-square test of draws."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
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


def agrees(counts: npt.NDArray[np.int64], probability: npt.NDArray[np.float64]) -> bool:
    """Compare counts with probabilities by chi-square.

    The statistic has mean f and variance 2 f for f degrees of freedom; six deviations above the
    mean is out of reach for a right sampler (less than one in a million at the sizes used here).
    """
    expected = counts.sum() * probability
    assert expected.min() >= 5, "too few draws for chi-square"
    freedom = len(counts) - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic < freedom + 6 * np.sqrt(2 * freedom)
