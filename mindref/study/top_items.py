"""Serving in a few lines: scores of all items for all interests, and the top n.

mindref/recall/exact.py is the compiled search in blocks of the catalogue; a test compares the
results.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.shapes import Array, Bools, Ints


class TopItems(NamedTuple):
    """The scores of all items, and the n best items."""

    order: Ints  # (n,) indices of items
    products: Array  # (N, K) inner products
    best: Array  # (N,) score of each item: maximum or sum over the interests
    brought_by: Ints  # (N,) the interest with the largest product


def find_top_items(
    interests: Array, active: Bools, items: Array, *, n: int, score: str = "max"
) -> TopItems:
    """Return the n best items (N, D) for interests (K, D); score "max" or "sum" over active (K,).

    With `normalise`, the caller passes vectors of length one (mindref/models/serving.py).
    """
    products = items @ interests.T  # (N, K)
    among = np.where(active, products, -np.inf)  # recall-R1
    brought_by = among.argmax(axis=1)  # recall-R5
    best = products @ active if score == "sum" else among.max(axis=1)  # recall-R3
    order = np.lexsort((np.arange(len(items)), -best))[:n]  # recall-R7: ties by the lower id
    return TopItems(order, products, best, brought_by)
