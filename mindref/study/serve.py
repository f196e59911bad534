"""Serving, as it is shown: every item against every interest, the best first.

The search that serves (mindref/evaluation/top_n) reads the catalogue in blocks and is compiled.
This is the same on one screen; a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.record import Record
from mindref.shapes import Array, Bools, Ints


class Served(NamedTuple):
    """The n best of the items that were looked at."""

    order: Ints  # (n,) places among the items
    best: Array  # (N,) score of every item: of its best interest, or the sum
    brought_by: Ints  # (N,) the interest that gives it


def serve(
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    score: str = "max",
    record: Record | None = None,
) -> Served:
    """Rank items (N, D) for interests (K, D): by the maximum or sum over the active ones (K,).

    With `normalise` both are of length one already, as in mindref/models/serving.py.
    """
    products = items @ interests.T  # (N, K)
    among = np.where(active, products, -np.inf)  # recall-R1
    brought_by = among.argmax(axis=1)  # recall-R5
    best = products @ active if score == "sum" else among.max(axis=1)  # recall-R3
    order = np.lexsort((np.arange(len(items)), -best))[:n]  # recall-R7: ties by the lower id
    if record is not None:
        record(
            "serve",
            interests=interests,
            items=items,
            products=products,
            best=best,
            brought_by=brought_by,
            order=order,
        )
    return Served(order, best, brought_by)
