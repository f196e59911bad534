"""Rank by scores that are given, where a model has no vectors whose products they are.

Spec: specs/recall.md, recall-R40.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import DataError, say
from mindref.evaluation.top_n.baselines import hide, unasked
from mindref.evaluation.top_n.checks import check_exclude, check_list
from mindref.evaluation.top_n.lists import Ranked
from mindref.shapes import Array


def by_scores(scores: Array, *, n: int, exclude: Ragged | None = None) -> Ranked:
    """Rank the catalogue by scores (C, N), ties in the order of ids; the n best of each case.

    exclude: per case the items that must not appear. Raises ShapeError, ConfigError, and DataError
    for a score that is no number.
    """
    check_list(n, "by_scores")
    check_exclude(exclude, *scores.shape)
    if np.isnan(scores).any():
        raise DataError(say("by_scores: scores", "numbers", "NaN"))
    closed = scores.astype(np.float64)  # a copy, to be written to
    hide(closed, exclude)
    kept = min(n, closed.shape[1])
    ids = np.full((len(closed), n), -1)
    for case, row in enumerate(closed):
        least = np.partition(row, -kept)[-kept]  # whoever is worse than the n-th has no place
        able = np.flatnonzero((row >= least) & (row > -np.inf))
        best = able[np.argsort(-row[able], kind="stable")][:kept]  # recall-R40: ids ascend
        ids[case, : len(best)] = best
    taken = np.take_along_axis(closed, np.maximum(ids, 0), axis=1)
    return unasked(ids, np.where(ids >= 0, taken, -np.inf))
