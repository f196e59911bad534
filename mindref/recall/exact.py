"""Index kind `exact`: the exact top-n search.

Spec: specs/recall.md, recall-R10.
"""

from __future__ import annotations

import numpy as np

from mindref.evaluation import top_n
from mindref.shapes import Array, Ints


class ExactIndex:
    """The item vectors (N, D)."""

    kind = "exact"
    recall: float | None = 1.0

    def __init__(self, items: Array, warning: str | None = None, why: str | None = None) -> None:
        self.items = items
        self.warning = warning  # why exact search replaces a plugin, or None
        self.choice_reason = why  # what `auto` went by, or None

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return the n items with the largest products for each query (Q, D), ties by lower id."""
        active = np.ones((len(queries), 1), np.bool_)
        return top_n.search_top_n(queries[:, None], active, self.items, n=n).items  # recall-R10
