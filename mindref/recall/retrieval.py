"""Top-n retrieval with any index: search per interest, merge, search exactly where too few remain.

Spec: specs/recall.md, recall-R18 to R21, R43.
"""

from __future__ import annotations

import math

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.checks import check_search_inputs
from mindref.recall.exact import ExactIndex, search_top_n, unite_lists
from mindref.recall.index import Index
from mindref.recall.merge import merge_lists
from mindref.recall.top_n import TopN, empty_top_n, write_cases
from mindref.shapes import Array, Bools, Ints

MIN_SHARE = 1 / 8  # of the items; if fewer items are allowed, exact search among them is fast
MARGIN = 2  # requested items per needed item, because the allowed items of a list vary


def retrieve_top_n(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    exclude: Ragged | None = None,
    is_allowed: Bools | None = None,
    score: str = "max",
) -> TopN:
    """Return the top n items of each case, with the best interest of each item.

    interests (C, K, D), active (C, K). exclude: excluded items of each case. is_allowed (N,): items
    that may appear in any list. An exact index gives `search_top_n`. From another index, more items
    are requested, as many as are excluded or not allowed. A case with fewer than n remaining items
    is searched exactly (recall-R20, R21, R43). Errors as `search_top_n`.
    """
    items = index.items
    share = 1.0 if is_allowed is None else np.count_nonzero(is_allowed) / len(items)
    if isinstance(index, ExactIndex) or share < MIN_SHARE:  # recall-R43
        return search_top_n(
            interests, active, items, n=n, exclude=exclude, is_allowed=is_allowed, score=score
        )
    check_search_inputs(interests, active, items, n=n, exclude=exclude, score=score)
    excluded = Ragged.of([[]] * len(interests)) if exclude is None else exclude
    result = empty_top_n(len(interests), n, items.dtype)
    is_short = np.zeros(len(interests), np.bool_)
    needed = n if is_allowed is None else math.ceil(MARGIN * n / share)  # recall-R43
    lengths = list_length(needed + count_excluded(excluded, len(items)))
    for length in np.unique(lengths):  # cases with similar numbers of excluded items together
        cases = np.flatnonzero(lengths == length)
        users, used = users_of(interests[cases], active[cases]), active[cases]
        lists, requested = candidate_lists(index, users, used, int(length), score)
        hidden = excluded.take(cases)
        if is_allowed is not None:
            lists[~is_allowed[lists]] = -1
            sizes = count_candidates(lists, hidden, len(items))
            is_short[cases] = (requested & (sizes < n)).any(axis=1)  # recall-R43
        merged = merge_lists(lists, users, used, items, n=n, exclude=hidden, score=score)
        write_cases(result, cases, merged)
    short = np.flatnonzero((is_short | (result.items[:, -1] < 0)) & active.any(axis=1))
    if len(short):  # recall-R21
        inputs, hidden = (interests[short], active[short], items), excluded.take(short)
        exact = search_top_n(*inputs, n=n, exclude=hidden, is_allowed=is_allowed, score=score)
        write_cases(result, short, exact)
    return result


def users_of(interests: Array, active: Bools) -> Array:
    """Return the interests (C, K, D), zero where inactive."""
    return np.where(active[..., None], interests, 0).astype(interests.dtype)


def candidate_lists(
    index: Index, users: Array, active: Bools, length: int, score: str
) -> tuple[Ints, Bools]:
    """Return ids (C, K, M) of near items of each interest, and the lists (C, K) that exist.

    -1 is no item. users (C, K, D): zero where inactive. With score "sum", a case has one list.
    """
    queries, rows = users, active  # (C, K, D), (C, K)
    if score == "sum":  # the sum of products is the product with the sum
        queries, rows = users.sum(axis=1, keepdims=True), active.sum(axis=1, keepdims=True) > 0
    ids = index.candidates(queries[rows], length)  # recall-R20
    lists = np.full((*rows.shape, ids.shape[1]), -1)
    lists[rows] = ids
    return lists, rows


def count_candidates(lists: Ints, exclude: Ragged, n_items: int) -> Ints:
    """Return the number of distinct items of each list (C, K, M), without excluded items."""
    cases, count, length = lists.shape
    hidden = exclude.take(np.repeat(np.arange(cases), count))
    distinct = unite_lists(lists.reshape(cases * count, length), hidden, n_items)
    sizes: Ints = (distinct >= 0).sum(axis=1).reshape(cases, count)
    return sizes


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
