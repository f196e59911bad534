"""Top-n lists of interests with any index: search per interest, merge, filters.

Spec: specs/recall.md, recall-R18 to R21, R42 to R46. Where too few items of an index remain, the
search is exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.checks import check_search_inputs
from mindref.recall.exact import ExactIndex, rescore_candidates, search_top_n, unite_lists
from mindref.recall.index import Index
from mindref.recall.top_n import TopN, empty_top_n, write_cases
from mindref.shapes import Array, Bools, Ints

MIN_SHARE = 1 / 8  # of the items; if fewer items are allowed, exact search among them is fast
MARGIN = 2  # requested items per needed item, because the allowed items of a list vary
NUMBERS = 1 << 22  # ids or scores of lists in memory at once, 32 MB
GROWTH = 4  # of the length of lists in which more items of other interests are sought


class AllowLists(NamedTuple):
    """The allow lists of C cases."""

    rows: Ragged  # C rows of item ids
    has_list: Bools  # (C,) a case without a list is not restricted

    def take(self, cases: Ints) -> AllowLists:
        """Return the lists of some cases, in their order."""
        return AllowLists(self.rows.take(cases), self.has_list[cases])


class ItemFilter(NamedTuple):
    """The items that may appear in the lists of C cases. None: no restriction."""

    is_allowed: Bools | None = None  # (N,) in the lists of all cases
    only: AllowLists | None = None
    exclude: Ragged | None = None  # C rows: items that must not appear
    per_interest: int | None = None  # most items of a list with the same best interest

    def take(self, cases: Ints) -> ItemFilter:
        """Return the filter of some cases, in their order."""
        return self._replace(
            only=None if self.only is None else self.only.take(cases),
            exclude=None if self.exclude is None else self.exclude.take(cases),
        )

    def mask_scores(self, scores: Array) -> Array:
        """Return scores (C, N), -inf for items that `is_allowed` or `only` leaves out."""
        if self.is_allowed is not None:
            scores = np.where(self.is_allowed, scores, -np.inf)
        if self.only is None:
            return scores
        rows = self.only.rows
        is_listed = np.zeros(scores.shape, np.bool_)
        is_listed[np.repeat(np.arange(len(rows)), rows.lengths), rows.values] = True
        is_listed[~self.only.has_list] = True
        return np.where(is_listed, scores, -np.inf)


EVERY_ITEM = ItemFilter()


def retrieve_top_n(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    item_filter: ItemFilter = EVERY_ITEM,
    score: str = "max",
) -> TopN:
    """Return the top n items of each case that the filter allows, with their best interests.

    interests (C, K, D), active (C, K). An exact index gives `search_top_n`. From another index,
    more items are requested, as many as are excluded or not allowed. A case with fewer than n
    remaining items is searched exactly (recall-R20, R21, R43). Errors as `search_top_n`.
    """
    if item_filter.per_interest is not None:
        return retrieve_limited(index, interests, active, n=n, item_filter=item_filter, score=score)
    if item_filter.only is not None:
        return retrieve_listed(index, interests, active, n=n, item_filter=item_filter, score=score)
    items, is_allowed = index.items, item_filter.is_allowed
    share = 1.0 if is_allowed is None else np.count_nonzero(is_allowed) / len(items)
    if isinstance(index, ExactIndex) or share < MIN_SHARE:  # recall-R43
        return search_top_n(
            interests,
            active,
            items,
            n=n,
            exclude=item_filter.exclude,
            is_allowed=is_allowed,
            score=score,
        )
    check_search_inputs(interests, active, items, n=n, exclude=item_filter.exclude, score=score)
    excluded = excluded_items(item_filter, len(interests))
    result = empty_top_n(len(interests), n, items.dtype)
    is_short = np.zeros(len(interests), np.bool_)
    needed = n if is_allowed is None else math.ceil(MARGIN * n / share)  # recall-R43
    lengths = list_length(needed + count_excluded(excluded, len(items)))
    for length in np.unique(lengths):  # cases with similar numbers of excluded items together
        cases = np.flatnonzero(lengths == length)
        used, hidden = active[cases], excluded.take(cases)
        users = np.where(used[..., None], interests[cases], 0).astype(interests.dtype)
        lists, requested = candidate_lists(index, users, used, int(length), score)
        if is_allowed is not None:
            lists[~is_allowed[lists]] = -1
            sizes = count_candidates(lists, hidden, len(items))
            is_short[cases] = (requested & (sizes < n)).any(axis=1)  # recall-R43
        merged = merge_lists(lists, users, used, items, n=n, exclude=hidden, score=score)
        write_cases(result, cases, merged)
    short = np.flatnonzero((is_short | (result.items[:, -1] < 0)) & active.any(axis=1))
    if len(short):  # recall-R21
        exact = search_top_n(
            interests[short],
            active[short],
            items,
            n=n,
            exclude=excluded.take(short),
            is_allowed=is_allowed,
            score=score,
        )
        write_cases(result, short, exact)
    return result


def excluded_items(item_filter: ItemFilter, cases: int) -> Ragged:
    """Return the excluded items of each case."""
    return Ragged.of([[]] * cases) if item_filter.exclude is None else item_filter.exclude


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


def merge_lists(
    lists: Ints,
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ragged,
    score: str = "max",
) -> TopN:
    """Return the top n of the lists (C, K, M) of each case; ids, -1 for none.

    Every item of any list is scored with all active interests (C, K, D), active (C, K). So an item
    has its exact score and its best interest even if the list of that interest lacks the item.
    """
    side_by_side = lists.reshape(len(lists), int(np.prod(lists.shape[1:])))
    united = unite_lists(side_by_side, exclude, len(items))  # recall-R18, R4
    # recall-R19
    return rescore_candidates(interests, active, items, united, n=n, score=score)


def retrieve_listed(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    item_filter: ItemFilter,
    score: str,
) -> TopN:
    """Return the top n items of each case: with a list of `only`, exactly among its items."""
    only, item_filter = item_filter.only, item_filter._replace(only=None)
    assert only is not None
    items, rows = index.items, only.rows
    check_search_inputs(interests, active, items, n=n, exclude=item_filter.exclude, score=score)
    result = empty_top_n(len(interests), n, items.dtype)
    if item_filter.is_allowed is not None:
        rows = rows.where(item_filter.is_allowed[rows.values])
    excluded = excluded_items(item_filter, len(interests))
    listed = np.flatnonzero(only.has_list)
    size = max(1, NUMBERS // max(1, int(rows.lengths.max(initial=1))))
    for start in range(0, len(listed), size):  # recall-R44
        cases = listed[start : start + size]
        ids = unite_lists(pad_candidates(rows.take(cases)), excluded.take(cases), len(items))
        lists = rescore_candidates(interests[cases], active[cases], items, ids, n=n, score=score)
        write_cases(result, cases, lists)
    unlisted = np.flatnonzero(~only.has_list)
    if len(unlisted):
        lists = retrieve_top_n(
            index,
            interests[unlisted],
            active[unlisted],
            n=n,
            item_filter=item_filter.take(unlisted),
            score=score,
        )
        write_cases(result, unlisted, lists)
    return result


def pad_candidates(rows: Ragged) -> Ints:
    """Return ragged rows as one array (R, M), padded with -1."""
    padded = np.full((len(rows), int(rows.lengths.max(initial=0))), -1)
    padded[np.arange(padded.shape[1]) < rows.lengths[:, None]] = rows.values
    return padded


def retrieve_limited(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    item_filter: ItemFilter,
    score: str,
) -> TopN:
    """Return the top n of each case with at most `per_interest` items of each interest.

    Lists are searched with growing lengths, until each has n items that stay, every active interest
    has all its items, or no item is left.
    """
    per_interest, item_filter = item_filter.per_interest, item_filter._replace(per_interest=None)
    assert per_interest is not None
    items, num_items = index.items, len(index.items)
    result = empty_top_n(len(active), n, items.dtype)
    cases, length = np.arange(len(active)), min(2 * n, max(n, num_items))
    while len(cases):
        # a list of much of the catalogue: approximate search would take longer
        searched = index if length <= MIN_SHARE * num_items else ExactIndex(items)
        size, incomplete = max(1, NUMBERS // length), []
        for start in range(0, len(cases), size):
            part = cases[start : start + size]
            candidates = retrieve_top_n(
                searched,
                interests[part],
                active[part],
                n=length,
                item_filter=item_filter.take(part),
                score=score,
            )
            lists = limit_per_interest(candidates, n, per_interest)
            write_cases(result, part, lists)
            counts = (lists.items >= 0).sum(axis=1)
            most = np.minimum(n, per_interest * active[part].sum(axis=1))
            incomplete.append(part[(counts < most) & (candidates.items[:, -1] >= 0)])
        cases = np.concatenate(incomplete) if length < num_items else cases[:0]
        length = min(GROWTH * length, num_items)
    return result


def limit_per_interest(ranked: TopN, n: int, per_interest: int) -> TopN:
    """Return the first n items of each list, without items whose interest has its full number.

    The items are visited from the best one on. The unlisted move up.
    """
    is_kept = np.zeros(ranked.items.shape, np.bool_)
    for interest in range(int(ranked.interests.max(initial=-1)) + 1):
        is_of_interest = ranked.interests == interest
        rank = np.cumsum(is_of_interest, axis=1)
        is_kept |= is_of_interest & (rank <= per_interest)  # recall-R45
    position = np.cumsum(is_kept, axis=1) - 1
    case, column = np.nonzero(is_kept & (position < n))
    result = empty_top_n(len(is_kept), n, ranked.scores.dtype)
    for target, source in zip(result, ranked, strict=True):
        target[case, position[case, column]] = source[case, column]
    return result
