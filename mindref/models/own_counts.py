"""Own counts: the items that a user interacted with most often, then the most popular items.

Spec: specs/baselines.md. Source: GP-TopFreq of Li et al. (A Next Basket Recommendation Reality
Check, TOIS 2023). Differs: an interaction loses weight with each later interaction of the user.
"""

from __future__ import annotations

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.models import popularity
from mindref.models.family import FittedFamily, SparseScores
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import FittedParams


def score_own_counts(arrays: FittedParams, histories: Ragged, config: Config) -> SparseScores:
    """Map whole histories (C rows) to a score of every item (C, N), float64.

    The score of an item of the history is the sum of decay^r over its occurrences, where r
    behaviours follow an occurrence and decay is `history_decay`. The other items have the negative
    scores -rank / N, where rank is 1 for the most popular item. Raises ShapeError for an item
    outside the catalogue.
    """
    counts = arrays["counts"]
    items = len(counts)
    decay = config.history_decay
    own_counts = interaction_weights(
        histories, items, decay=decay, sum_repeats=True
    )  # baselines-R22
    by_popularity, ranks = np.lexsort((np.arange(items), -counts)), np.empty(items)
    ranks[by_popularity] = np.arange(1, items + 1)
    return SparseScores(own_counts, -ranks / items)  # baselines-R23


FAMILY = FittedFamily(
    name="own_counts",
    fit=popularity.fit_popularity,
    scores=score_own_counts,
    check_arrays=popularity.FAMILY.check_arrays,
    reads_whole_history=True,
)
