"""Top-n retrieval with any index: search per interest, merge, search exactly where too few remain.

Spec: specs/recall.md, recall-R18 to R21.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation import top_n
from mindref.evaluation.top_n import TopN
from mindref.evaluation.top_n.result import empty_top_n
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Index
from mindref.recall.merge import merge_lists
from mindref.shapes import Array, Bools, Ints


def retrieve_top_n(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    exclude: Ragged | None = None,
    score: str = "max",
) -> TopN:
    """Return the top n items of each case, with the best interest of each item.

    interests (C, K, D), active (C, K). exclude: excluded items of each case. An exact index gives
    `search_top_n`. From another index, more items are requested, as many as are excluded. A case
    with fewer than n remaining items is searched exactly (recall-R20). Errors as `search_top_n`.
    """
    if isinstance(index, ExactIndex):
        return top_n.search_top_n(interests, active, index.items, n=n, exclude=exclude, score=score)
    top_n.check_search_inputs(interests, active, index.items, n=n, exclude=exclude, score=score)
    excluded = Ragged.of([[]] * len(interests)) if exclude is None else exclude
    result = empty_top_n(len(interests), n, index.items.dtype)
    lengths = list_length(n + count_excluded(excluded, len(index.items)))
    for length in np.unique(lengths):  # cases with similar numbers of excluded items together
        cases = np.flatnonzero(lengths == length)
        fill_lists(result, index, interests, active, cases, int(length), excluded, score)
    short = np.flatnonzero((result.items[:, -1] < 0) & active.any(axis=1))
    if len(short):  # recall-R21
        short_inputs = (interests[short], active[short], index.items)
        hidden = excluded.take(short)
        exact = top_n.search_top_n(*short_inputs, n=n, exclude=hidden, score=score)
        for target, source in zip(result, exact, strict=True):
            target[short] = source
    return result


def fill_lists(
    result: TopN,
    index: Index,
    interests: Array,
    active: Bools,
    cases: Ints,
    length: int,
    exclude_rows: Ragged,
    score: str,
) -> None:
    """Write the top n of some cases into `result`, with `length` candidates per interest."""
    n, case_active = result.items.shape[1], active[cases]
    users = np.where(case_active[..., None], interests[cases], 0).astype(interests.dtype)
    queries, rows = users, case_active  # (C, K, D), (C, K)
    if score == "sum":  # the sum of products is the product with the sum
        queries, rows = users.sum(axis=1, keepdims=True), case_active.sum(axis=1, keepdims=True) > 0
    ids = index.candidates(queries[rows], length)  # recall-R20
    lists = np.full((*rows.shape, ids.shape[1]), -1)
    lists[rows] = ids
    excluded = exclude_rows.take(cases)
    merged = merge_lists(lists, users, case_active, index.items, n=n, exclude=excluded, score=score)
    for target, source in zip(result, merged, strict=True):
        target[cases] = source


def list_length(minimum: Ints) -> Ints:
    """Return the requested list lengths: rounded up by at most an eighth.

    A length depends only on its case. Few different lengths mean few searches.
    """
    step = 1 << np.maximum(np.frexp(minimum)[1] - 4, 0)
    rounded: Ints = -(-minimum // step) * step
    return rounded


def count_excluded(rows: Ragged, n_items: int) -> Ints:
    """Return the number of distinct items of each row; the catalogue has `n_items`."""
    cases = np.repeat(np.arange(len(rows)), rows.lengths)
    distinct = np.unique(cases * n_items + rows.values) // n_items
    return np.bincount(distinct, minlength=len(rows))
