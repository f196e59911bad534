"""Lists of users from any index: searched per interest, merged, and searched again where short.

Spec: specs/recall.md, recall-R20, R21.
"""

from __future__ import annotations

import numpy as np

from mindref import ranking
from mindref.data.log import Ragged
from mindref.ranking import Ranked
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Index
from mindref.recall.merge import merge
from mindref.shapes import Array, Bools, Ints


def recommend(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    exclude: Ragged | None = None,
    score: str = "max",
) -> Ranked:
    """Return the n best items of each case, with the interest that brought each.

    interests (C, K, D), active (C, K), exclude: per case the items not to show. An exact index
    gives ranking.top_n; another is asked for as many more items as are excluded, and a case for
    which fewer than n remain is searched exactly (recall-R20). Raises as ranking.top_n does.
    """
    if isinstance(index, ExactIndex):
        return ranking.top_n(interests, active, index.items, n=n, exclude=exclude, score=score)
    ranking.check(interests, active, index.items, n=n, exclude=exclude, score=score)
    hidden = Ragged.of([[]] * len(interests)) if exclude is None else exclude
    rows = [
        one_user(index, interests[c], active[c], n, hidden.row(c), score)
        for c in range(len(interests))
    ]
    if not rows:
        return ranking.top_n(interests, active, index.items, n=n, score=score)
    return Ranked(*(np.concatenate(arrays) for arrays in zip(*rows, strict=True)))


def one_user(
    index: Index, interests: Array, active: Bools, n: int, exclude: Ints, score: str
) -> Ranked:
    """Return the list (1, n) of a user of an approximate index; interests (K, D), active (K,)."""
    hidden = np.unique(exclude)
    queries = interests[active]
    if score == "sum":  # the sum of products is the product with the sum
        queries = queries.sum(axis=0, keepdims=True)
    lists = index.search(queries, n + len(hidden)).ids  # recall-R20
    queries = np.where(active[:, None], interests, 0).astype(interests.dtype)
    ranked = merge(lists, queries, active, index.items, n=n, exclude=hidden, score=score)
    if ranked.items[0, -1] >= 0 or not active.any():
        return ranked
    rows = Ragged(np.array([0, len(hidden)]), hidden)
    return ranking.top_n(  # recall-R21
        interests[None], active[None], index.items, n=n, exclude=rows, score=score
    )
