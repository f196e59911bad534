"""The union of several item lists of a user, without excluded items, compiled.

Spec: specs/recall.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.kernels._jit import jit
from mindref.shapes import Ints

Cases = npt.NDArray[np.integer[Any]]
"""Numbers of cases, in the smallest integer type."""


@jit
def union_lists(lists: Ints, offsets: Ints, excluded: Ints, seen: Cases, ids: Ints) -> int:
    """Write the distinct ids of each row of lists (C, M) to ids (C, M), then -1.

    Case c must not contain excluded[offsets[c] : offsets[c + 1]]. seen (N,) starts with zeros; it
    holds the number of the last case, from 1, that contained the item. Returns the largest number
    of ids of a row, or -1 for an id outside the catalogue.
    """
    widest = 0
    for c in range(lists.shape[0]):
        for h in range(offsets[c], offsets[c + 1]):
            seen[excluded[h]] = c + 1  # recall-R4
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
