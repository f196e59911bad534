"""One list out of K: united without duplicates, in the order of the exact scores.

Spec: specs/recall.md, recall-R18, R19.
"""

from __future__ import annotations

import numpy as np

from mindref import ranking
from mindref.ranking import Ranked
from mindref.shapes import Array, Bools, Ints


def merge(
    lists: Ints,
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ints,
    score: str = "max",
) -> Ranked:
    """Merge the lists (K, M) of one user, ids with -1 for none, into one of n, as Ranked (1, n).

    Every item of any list is scored against all active interests (K, D), active (K,): an item that
    the list of its best interest missed still gets its true score and its true interest.
    """
    united = np.setdiff1d(lists, [-1, *exclude.tolist()])  # recall-R18, R4
    return ranking.rerank(  # recall-R19
        interests[None], active[None], items, united[None], n=n, score=score
    )
