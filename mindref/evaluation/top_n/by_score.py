"""Top-n lists from scores of all items, for models without item vectors.

Spec: specs/recall.md, recall-R40.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import DataError, say
from mindref.evaluation.top_n.baselines import mask_excluded, without_interests
from mindref.evaluation.top_n.checks import check_exclude, check_list_length
from mindref.evaluation.top_n.result import TopN
from mindref.shapes import Array


def top_n_by_score(scores: Array, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the top n items of each case by scores (C, N), ties in the order of ids.

    exclude: excluded items of each case. Raises ShapeError, ConfigError, and DataError for NaN.
    """
    check_list_length(n, "top_n_by_score")
    check_exclude(exclude, *scores.shape)
    if np.isnan(scores).any():
        raise DataError(say("top_n_by_score: scores", "numbers", "NaN"))
    masked = scores.astype(np.float64)  # a copy
    mask_excluded(masked, exclude)
    list_length = min(n, masked.shape[1])
    ids = np.full((len(masked), n), -1)
    for case, row in enumerate(masked):
        threshold = np.partition(row, -list_length)[-list_length]  # the n-th largest score
        candidates = np.flatnonzero((row >= threshold) & (row > -np.inf))
        # recall-R40: ids ascend
        best = candidates[np.argsort(-row[candidates], kind="stable")][:list_length]
        ids[case, : len(best)] = best
    top_scores = np.take_along_axis(masked, np.maximum(ids, 0), axis=1)
    return without_interests(ids, np.where(ids >= 0, top_scores, -np.inf))
