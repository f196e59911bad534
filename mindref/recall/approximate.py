"""An approximate index: a plugin finds candidates; scores and order are computed here.

Spec: specs/recall.md, recall-R13, R14, R30 to R32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mindref.errors import BackendError, say
from mindref.recall.checks import check_values
from mindref.recall.index import SearchStructure
from mindref.recall.registry import plugin_errors
from mindref.shapes import Array, Ints

BLOCK = 65_536  # rows that are converted to float64 at once


@dataclass(eq=False)
class ApproximateIndex:
    """The search structure of a plugin, and the item vectors (N, D) for the exact scores."""

    kind: str  # name of the plugin
    structure: SearchStructure
    items: Array
    effort: int  # for a list of 50 items
    warning: str | None = None  # that recall is too low, or None
    recall: float | None = None  # fraction of the true top 50 that the probe found
    choice_reason: str | None = None  # what `auto` went by, or None

    def __post_init__(self) -> None:
        norms = np.linalg.norm(self.items, axis=1)
        self.longest = self.items[[norms.argmax()]]  # (1, D), for the check of products
        self.all_zero = not norms.any()

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return the candidate ids (Q, M) of the plugin for the queries (Q, D).

        Raises DataError for NaN and infinity, BackendError for errors and invalid ids of a plugin.
        """
        check_values(self.kind, queries, self.longest)
        num_ids = min(n, len(self.items))
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        is_searched = np.zeros_like(lengths, np.bool_) if self.all_zero else lengths > 0
        if not is_searched.any():
            return np.tile(np.arange(num_ids), (len(queries), 1))
        unit = queries[is_searched] / lengths[is_searched, None]
        directions = unit.astype(queries.dtype)  # recall-R30
        with plugin_errors(self.kind, "searching"):
            plugin_ids = np.asarray(self.structure.candidates(directions, num_ids, self.effort))
        self.check_ids(plugin_ids, len(directions))
        ids = np.full((len(queries), max(num_ids, plugin_ids.shape[1])), -1)
        ids[is_searched, : plugin_ids.shape[1]] = plugin_ids
        ids[~is_searched, :num_ids] = np.arange(num_ids)  # recall-R14: lowest ids
        return ids

    def check_ids(self, ids: Ints, num_queries: int) -> None:
        """Raise BackendError unless these are item ids (num_queries, n) (recall-R31)."""
        location = f"index {self.kind}"
        if ids.ndim != 2 or len(ids) != num_queries or ids.dtype.kind != "i":
            expected = f"ids ({num_queries}, n), integers"
            raise BackendError(say(location, expected, f"{ids.dtype} {ids.shape}"))
        low, high = ids.min(initial=-1), ids.max(initial=-1)
        if low < -1 or high >= len(self.items):
            expected = f"ids from 0 to {len(self.items) - 1}, -1 for none"
            raise BackendError(say(location, expected, f"{low} to {high}"))


def scale_by_longest(items: Array) -> Array:
    """Return items (N, D) scaled so that the largest norm is 1, unless all items are zero.

    recall-R30: the order of products is unchanged, and no square overflows in any dtype.
    """
    blocks = (items[first : first + BLOCK] for first in range(0, len(items), BLOCK))
    lengths = (np.linalg.norm(rows.astype(np.float64), axis=1).max() for rows in blocks)
    length = float(max(lengths))
    scaled: Array = (items / (length if length > 0 else 1.0)).astype(items.dtype, copy=False)
    return scaled
