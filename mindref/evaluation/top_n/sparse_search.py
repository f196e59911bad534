"""Top-n lists by sparse scores: only the items with a positive score are sorted.

Spec: specs/recall.md, recall-R40.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation.top_n.checks import check_exclude, check_list_length
from mindref.evaluation.top_n.exact_search import without_interests
from mindref.evaluation.top_n.result import TopN, empty_top_n
from mindref.shapes import Array, Bools, Ints


def top_n_by_sparse_score(scores: Any, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the top n items of each case by scores (C, N), as `top_n_by_score` does.

    scores: a sparse matrix by rows (CSR), whose entries are not negative. Other items have score 0.
    exclude: excluded items of each case. Raises ShapeError, DataError or ConfigError.
    """
    check_list_length(n, "top_n_by_sparse_score")
    check_exclude(exclude, *scores.shape)
    result = empty_top_n(scores.shape[0], n, np.float64)
    is_hidden = np.zeros(scores.shape[1], np.bool_)
    starts, none = scores.indptr, result.items[:0, 0]
    for case in range(scores.shape[0]):
        row = slice(starts[case], starts[case + 1])
        hidden = none if exclude is None else exclude.row(case)
        is_hidden[hidden] = True
        ids, values = largest_entries(scores.indices[row], scores.data[row], n, is_hidden)
        is_hidden[hidden] = False
        result.items[case, : len(ids)], result.scores[case, : len(ids)] = ids, values
    return without_interests(result.items, result.scores)


def largest_entries(ids: Ints, values: Array, n: int, is_hidden: Bools) -> tuple[Ints, Array]:
    """Return the top n items that are not hidden (N,), and the scores."""
    allowed = ~is_hidden[ids] & (values > 0)
    ids, values = ids[allowed], values[allowed]
    if len(ids) > n:
        candidates = values >= np.partition(values, -n)[-n]
        ids, values = ids[candidates], values[candidates]
    order = np.lexsort((ids, -values))[:n]  # recall-R40: ids ascend
    ids, values = ids[order], values[order]
    if len(ids) < n:
        without_score = np.flatnonzero(~is_hidden)
        zeros = without_score[np.isin(without_score, ids, invert=True)][: n - len(ids)]
        ids, values = np.append(ids, zeros), np.append(values, np.zeros(len(zeros)))
    return ids, values
