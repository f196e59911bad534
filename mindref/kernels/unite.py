"""Compiled union of the lists of a user, without excluded items.

Spec: specs/recall.md.
"""

from __future__ import annotations

from typing import Any

from mindref.kernels._jit import jit
from mindref.shapes import Ints


@jit
def unite(lists: Ints, offsets: Ints, hidden: Ints, seen: Any, ids: Ints) -> int:
    """Write the distinct ids of each row of lists (C, M) to ids (C, M), -1 in the places left.

    Case c must not see hidden[offsets[c] : offsets[c + 1]]. seen (N,) starts with zeros: the last
    case, from 1, that has met an item. Returns the number of places that any row uses, or -1 for an
    id outside the catalogue.
    """
    widest = 0
    for c in range(lists.shape[0]):
        for h in range(offsets[c], offsets[c + 1]):
            seen[hidden[h]] = c + 1  # recall-R4
        size = 0
        for m in range(lists.shape[1]):
            item = lists[c, m]
            if item < -1 or item >= len(seen):
                return -1
            if item >= 0 and seen[item] != c + 1:  # recall-R18
                seen[item] = c + 1
                ids[c, size] = item
                size += 1
        ids[c, size:] = -1
        widest = max(widest, size)
    return widest
