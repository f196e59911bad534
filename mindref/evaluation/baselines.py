"""Top-n lists of the baseline popularity. Spec: specs/metrics.md, metrics-R24."""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.top_n import TopN, top_n_by_sparse_score
from mindref.shapes import Ints


def popularity_top_n(counts: Ints, cases: int, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the n most frequent items of counts (N,) that are not excluded, for each case.

    The score is the count.
    """
    from scipy.sparse import csr_array  # slow to import

    scores = np.asarray(counts, dtype=np.float64)
    no_entries = csr_array((cases, len(scores)))  # metrics-R24
    order = np.argsort(-scores, kind="stable")
    return top_n_by_sparse_score(no_entries, base_scores=scores, order=order, n=n, exclude=exclude)
