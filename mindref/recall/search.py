"""Lists of users from any index: searched per interest, merged, and searched again where short.

Spec: specs/recall.md, recall-R20, R21.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation import top_n
from mindref.evaluation.top_n import Ranked
from mindref.evaluation.top_n.lists import empty_lists
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Index
from mindref.recall.merge import merge
from mindref.shapes import Array, Bools, Ints


def recommend(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    exclude: Ragged | None = None,
    score: str = "max",
) -> Ranked:
    """Return the n best items of each case, with the interest that brought each.

    interests (C, K, D), active (C, K), exclude: per case the items not to show. An exact index
    gives ranking.top_n; another is asked for as many more items as are excluded, and a case for
    which fewer than n remain is searched exactly (recall-R20). Raises as ranking.top_n does.
    """
    if isinstance(index, ExactIndex):
        return top_n.top_n(interests, active, index.items, n=n, exclude=exclude, score=score)
    top_n.check(interests, active, index.items, n=n, exclude=exclude, score=score)
    hidden = Ragged.of([[]] * len(interests)) if exclude is None else exclude
    ranked = empty_lists(len(interests), n, index.items.dtype)
    asked = wanted(n + distinct(hidden, len(index.items)))
    for length in np.unique(asked):  # cases of about as many excluded items are asked together
        cases = np.flatnonzero(asked == length)
        put(ranked, index, interests, active, cases, int(length), hidden, score)
    short = np.flatnonzero((ranked.items[:, -1] < 0) & active.any(axis=1))
    if len(short):  # recall-R21
        some = (interests[short], active[short], index.items)
        found = top_n.top_n(*some, n=n, exclude=chosen(hidden, short), score=score)
        for target, source in zip(ranked, found, strict=True):
            target[short] = source
    return ranked


def put(
    ranked: Ranked,
    index: Index,
    interests: Array,
    active: Bools,
    cases: Ints,
    length: int,
    hidden: Ragged,
    score: str,
) -> None:
    """Write the lists of some cases into `ranked`; each interest is asked for `length` items."""
    n, some = ranked.items.shape[1], active[cases]
    users = np.where(some[..., None], interests[cases], 0).astype(interests.dtype)
    queries, rows = users, some  # (C, K, D), (C, K)
    if score == "sum":  # the sum of products is the product with the sum
        queries, rows = users.sum(axis=1, keepdims=True), some.sum(axis=1, keepdims=True) > 0
    found = index.candidates(queries[rows], length)  # recall-R20
    lists = np.full((*rows.shape, found.shape[1]), -1)
    lists[rows] = found
    excluded = chosen(hidden, cases)
    merged = merge(lists, users, some, index.items, n=n, exclude=excluded, score=score)
    for target, source in zip(ranked, merged, strict=True):
        target[cases] = source


def wanted(least: Ints) -> Ints:
    """Return how many items a list is asked for: at most an eighth more than it must.

    The number depends on the case alone, and few numbers make few searches.
    """
    step = 1 << np.maximum(np.frexp(least)[1] - 4, 0)
    longer: Ints = -(-least // step) * step
    return longer


def distinct(rows: Ragged, n_items: int) -> Ints:
    """Return how many different items (N of them are known) each row has."""
    cases = np.repeat(np.arange(len(rows)), rows.lengths)
    once = np.unique(cases * n_items + rows.values) // n_items
    return np.bincount(once, minlength=len(rows))


def chosen(rows: Ragged, which: Ints) -> Ragged:
    """Return some rows."""
    lengths = rows.lengths[which]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(rows.offsets[which] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Ragged(offsets.astype(np.int64), rows.values[places])
