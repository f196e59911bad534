"""An index by a plugin: candidates are its own, everything else is the house's.

Spec: specs/recall.md, recall-R13, R14, R30 to R32.
"""

from __future__ import annotations

import numpy as np

from mindref.errors import BackendError, say
from mindref.evaluation import top_n
from mindref.recall.index import Structure
from mindref.recall.registry import answering
from mindref.shapes import Array, Ints

BLOCK = 65_536  # rows that are float64 at once


class ApproximateIndex:
    """The structure of a plugin over the item vectors (N, D), and these for the exact scores."""

    def __init__(
        self,
        kind: str,
        structure: Structure,
        items: Array,
        effort: int,
        warning: str | None = None,
        recall: float | None = None,
        why: str | None = None,
        file_sha256: str | None = None,
    ) -> None:
        self.kind = kind  # name of the plugin
        self.structure = structure
        self.items = items
        self.effort = effort  # for a list of 50 items
        self.warning = warning  # that too little is found, or None
        self.recall = recall  # share of the true 50 best that was found when it was built
        self.why = why  # what `auto` went by, or None
        self.file_sha256 = file_sha256  # of the file that it was read from or written to
        norms = np.linalg.norm(items, axis=1)
        self.longest = items[[norms.argmax()]]  # (1, D) stands for all when products are checked
        self.flat = not norms.any()

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return ids (Q, M) that the plugin names for each query (Q, D).

        Raises DataError for NaN and infinity, BackendError for what a plugin raises or no ids.
        """
        top_n.check_values(self.kind, queries, self.longest)
        n_found = min(n, len(self.items))
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        asked = np.zeros_like(lengths, np.bool_) if self.flat else lengths > 0
        ids = np.tile(np.arange(n_found), (len(queries), 1))  # recall-R14: zeros, the lowest ids
        if not asked.any():
            return ids
        aimed = (queries[asked] / lengths[asked, None]).astype(queries.dtype)  # recall-R30
        with answering(self.kind, "searching"):
            found = np.asarray(self.structure.candidates(aimed, n_found, self.effort))
        self.check(found, len(aimed))
        wide = max(n_found, found.shape[1])
        whole = np.full((len(queries), wide), -1)
        whole[:, :n_found] = ids
        whole[asked] = -1
        whole[asked, : found.shape[1]] = found
        return whole

    def check(self, found: Ints, queries: int) -> None:
        """Raise BackendError unless these are ids of items for so many queries (recall-R31)."""
        where = f"index {self.kind}"
        if found.ndim != 2 or len(found) != queries or found.dtype.kind != "i":
            expected = f"ids ({queries}, n), integers"
            raise BackendError(say(where, expected, f"{found.dtype} {found.shape}"))
        low, high = found.min(initial=-1), found.max(initial=-1)
        if low < -1 or high >= len(self.items):
            expected = f"ids from 0 to {len(self.items) - 1}, -1 for none"
            raise BackendError(say(where, expected, f"{low} to {high}"))


def in_units_of_the_longest(items: Array) -> Array:
    """Return items (N, D) as a plugin sees them: the longest has length one, unless all are zero.

    recall-R30: no order changes, and whatever type a library computes in is left by no square.
    """
    blocks = (items[first : first + BLOCK] for first in range(0, len(items), BLOCK))
    lengths = (np.linalg.norm(rows.astype(np.float64), axis=1).max() for rows in blocks)
    length = float(max(lengths))
    scaled: Array = (items / (length if length > 0 else 1.0)).astype(items.dtype, copy=False)
    return scaled
