"""Ranked lists, and rows of what must not appear in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.shapes import Array, Ints


class Ranked(NamedTuple):
    """A list of n items per case, best first; a place that nothing fills is -1, -inf, -1."""

    items: Ints  # (C, n) dense item ids
    scores: Array  # (C, n) never rising along a list
    interests: Ints  # (C, n) which interest brought the item, from 0


def empty_lists(cases: int, n: int, dtype: Any) -> Ranked:
    """Return lists in which no place is filled: recall-R8."""
    shape = (cases, n)
    return Ranked(np.full(shape, -1), np.full(shape, -np.inf, dtype), np.full(shape, -1))


def rows_of(rows: Ragged, start: int, stop: int) -> Ragged:
    """Return rows start .. stop - 1 as views."""
    offsets = rows.offsets[start : stop + 1]
    return Ragged(offsets - offsets[0], rows.values[offsets[0] : offsets[-1]])
