"""Own counts: the items that a user interacted with most often, then the most popular items.

Spec: specs/baselines.md. Source: GP-TopFreq of Li et al. (A Next Basket Recommendation Reality
Check, TOIS 2023). Differs: an interaction loses weight with each later interaction of the user.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mindref.config import Config
from mindref.data.examples import count_items
from mindref.data.log import Ragged
from mindref.models.family import FittedFamily, SparseScores
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import FittedParams, Sizes, check_shapes
from mindref.models.popularity import popularity_order
from mindref.shapes import Array, Ints


def fit_ranks(sequences: Ragged, sizes: Sizes, config: Config) -> FittedParams:
    """Return the rank of each item by popularity, ranks (N,), from 1."""
    return {"ranks": 1 + invert_order(popularity_order(count_items(sequences, sizes.items)))}


def score_own_counts(arrays: FittedParams, histories: Ragged, config: Config) -> SparseScores:
    """Map whole histories (C rows) to a score of every item (C, N), float64.

    The score of an item of the history is the sum of decay^r over its occurrences, where r
    behaviours follow an occurrence and decay is `history_decay`. The other items have the negative
    scores -rank / N, where rank is 1 for the most popular item. Raises ShapeError for an item
    outside the catalogue.
    """
    ranks, decay = arrays["ranks"], config.history_decay
    items = len(ranks)
    own_counts = interaction_weights(
        histories, items, decay=decay, sum_repeats=True
    )  # baselines-R22
    return SparseScores(own_counts, -ranks / items, invert_order(ranks - 1))  # baselines-R23


def invert_order(order: Ints) -> Ints:
    """Return the place of each item in an order (N,) of all items; of places, the order."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def check_ranks(arrays: Mapping[str, Array], items: int) -> None:
    """Raise ValueError unless the ranks are those of an order of all items."""
    check_shapes(arrays, {"ranks": (items,)})
    if not np.array_equal(np.sort(arrays["ranks"]), np.arange(1, items + 1)):
        raise ValueError("ranks that are not from 1 to the number of items, each once")


FAMILY = FittedFamily(
    name="own_counts",
    fit=fit_ranks,
    scores=score_own_counts,
    check_arrays=check_ranks,
    reads_whole_history=True,
)
