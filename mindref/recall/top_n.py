"""The result of a top-n search. `search_top_n` in exact.py is the search of the catalogue."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.shapes import Array, Ints


class TopN(NamedTuple):
    """The top n items of each case, best first. Padding is item -1, score -inf, interest -1."""

    items: Ints  # (C, n) dense item ids
    scores: Array  # (C, n) non-increasing along a list
    interests: Ints  # (C, n) interest with the largest score of the item, from 0


def empty_top_n(cases: int, n: int, dtype: Any) -> TopN:
    """Return lists of padding only: recall-R8."""
    shape = (cases, n)
    return TopN(np.full(shape, -1), np.full(shape, -np.inf, dtype), np.full(shape, -1))


def row_range(rows: Ragged, start: int, stop: int) -> Ragged:
    """Return rows start .. stop - 1 as views."""
    offsets = rows.offsets[start : stop + 1]
    return Ragged(offsets - offsets[0], rows.values[offsets[0] : offsets[-1]])


def write_cases(result: TopN, cases: Ints | slice, lists: TopN) -> None:
    """Write the lists of some cases into the result of all cases."""
    for target, source in zip(result, lists, strict=True):
        target[cases] = source
