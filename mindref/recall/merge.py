"""One list out of K: united without duplicates, in the order of the exact scores.

Spec: specs/recall.md, recall-R18, R19.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation import top_n
from mindref.evaluation.top_n import Ranked
from mindref.shapes import Array, Bools, Ints


def merge(
    lists: Ints,
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ragged,
    score: str = "max",
) -> Ranked:
    """Merge the lists (C, K, M) of each case, ids with -1 for none, into one of n, as Ranked.

    Every item of any list is scored against all active interests (C, K, D), active (C, K): an item
    that the list of its best interest missed still gets its true score and its true interest.
    """
    side_by_side = lists.reshape(len(lists), int(np.prod(lists.shape[1:])))
    united = top_n.unite(side_by_side, exclude, len(items))  # recall-R18, R4
    return top_n.rerank(interests, active, items, united, n=n, score=score)  # recall-R19
