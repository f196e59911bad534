"""Merge the lists of K interests into one list without duplicates, by exact scores.

Spec: specs/recall.md, recall-R18, R19.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.exact import rescore_candidates, unite_lists
from mindref.recall.top_n import TopN
from mindref.shapes import Array, Bools, Ints


def merge_lists(
    lists: Ints,
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ragged,
    score: str = "max",
) -> TopN:
    """Return the top n of the lists (C, K, M) of each case; ids, -1 for none.

    Every item of any list is scored with all active interests (C, K, D), active (C, K). So an item
    has its exact score and its best interest even if the list of that interest lacks the item.
    """
    side_by_side = lists.reshape(len(lists), int(np.prod(lists.shape[1:])))
    united = unite_lists(side_by_side, exclude, len(items))  # recall-R18, R4
    # recall-R19
    return rescore_candidates(interests, active, items, united, n=n, score=score)
