"""Top-n lists by the definition, with Python's own sort: the oracle of every search."""

from typing import Any

import numpy as np

from mindref.recall.retrieval import EVERY_ITEM, ItemFilter
from mindref.recall.top_n import TopN


def brute_force(
    interests: Any,
    active: Any,
    items: Any,
    n: int,
    score: str,
    item_filter: ItemFilter = EVERY_ITEM,
) -> list[list[tuple[int, float, int]]]:
    """Return item, score and interest: every product, a mask, a sort, a greedy pass."""
    is_allowed, only, exclude, per_interest = item_filter
    lists = []
    for case, vectors in enumerate(np.where(active[..., None], interests, 0)):
        products = (vectors.astype(np.float64) @ items.T.astype(np.float64)).T
        usable = np.where(active[case], products, -np.inf)
        masked = usable.max(axis=1) if score == "max" else products.sum(axis=1)
        hidden = () if exclude is None else set(exclude.row(case).tolist())
        for item in range(len(items)):
            listed = only is None or not only.has_list[case] or item in only.rows.row(case)
            allowed = is_allowed is None or is_allowed[item]
            if item in hidden or not allowed or not listed or not active[case].any():
                masked[item] = -np.inf
        counts, ranked = dict.fromkeys(range(active.shape[1]), 0), []
        for item in sorted(range(len(items)), key=lambda i: (-masked[i], i)):
            interest = int(usable[item].argmax())
            full = per_interest is not None and counts[interest] == per_interest
            if masked[item] > -np.inf and len(ranked) < n and not full:
                counts[interest] += 1
                ranked.append((item, float(masked[item]), interest))
        lists.append(ranked)
    return lists


def as_lists(ranked: TopN) -> list[list[tuple[int, float, int]]]:
    """Return lists without padding."""
    rows = zip(*(array.tolist() for array in ranked), strict=True)
    return [[place for place in zip(*row, strict=True) if place[0] >= 0] for row in rows]
