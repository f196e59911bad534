"""Top-n lists of interests with any index: search per interest, merge, filters.

Spec: specs/recall.md, recall-R18 to R21, R42 to R46. Where too few items of an index remain, the
search is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mindref.data.batches import pad_histories
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
    return ListSearch(index, interests, active, n, item_filter, score).top_n()


@dataclass(frozen=True)
class ListSearch:
    """A search for the top n items of each of C cases."""

    index: Index
    interests: Array  # (C, K, D)
    active: Bools  # (C, K)
    n: int
    item_filter: ItemFilter
    score: str
    added_scores: Any = None  # sparse matrix (C, N): numbers of at least 0

    def take(self, cases: Ints) -> ListSearch:
        """Return the search for some cases, in their order."""
        return replace(
            self,
            interests=self.interests[cases],
            active=self.active[cases],
            item_filter=self.item_filter.take(cases),
            added_scores=None if self.added_scores is None else self.added_scores[cases],
        )

    def top_n(self) -> TopN:
        """Return the lists: without the added scores, then with them."""
        if self.added_scores is None or self.item_filter.per_interest is not None:
            return self.top_products()
        return self.add_scores(self.with_added_scores(None).top_products())

    def with_added_scores(self, scores: Any) -> ListSearch:
        """Return the search with other added scores, a sparse matrix by rows (C, N), or None."""
        return replace(self, added_scores=scores)

    def add_scores(self, lists: TopN) -> TopN:
        """Return the top n of these lists and of the items with an added score.

        Added scores are not negative. So an item that has none, and is not among the top n by
        product, is not among the top n (recall-R59).
        """
        result = empty_top_n(len(lists.items), self.n, lists.scores.dtype)
        for cases, candidates in self.score_candidates(lists):
            scores = candidates.scores + entries_at(self.added_scores[cases], candidates.items)
            best = candidates._replace(scores=scores).take_columns(best_columns(scores, self.n))
            for target, source in zip(result, best, strict=True):
                target[cases, : source.shape[1]] = source
        return result

    def score_candidates(self, lists: TopN) -> Iterator[tuple[Ints, TopN]]:
        """Yield blocks of cases, with the products of the items of their lists and added scores.

        The items are in the order of their ids; -1 is no item.
        """
        rows = self.allowed_rows()
        size = max(1, NUMBERS // (self.n + int(rows.lengths.max(initial=0))))
        for start in range(0, len(rows), size):
            cases = np.arange(start, min(start + size, len(rows)))
            part, added_rows = self.take(cases), rows.take(cases)
            ids, mask = pad_histories(added_rows, max(1, int(added_rows.lengths.max(initial=0))))
            both = np.concatenate([lists.items[cases], np.where(mask, ids, -1)], axis=1)
            united = unite_lists(both, part.excluded, len(self.index.items))
            candidates = rescore_candidates(
                part.interests,
                part.active,
                self.index.items,
                united,
                n=max(1, united.shape[1]),
                score=self.score,
            )
            yield cases, candidates.take_columns(np.argsort(candidates.items, axis=1))

    def allowed_rows(self) -> Ragged:
        """Return the items of each case that have an added score and may appear in its list."""
        limits, num_items = self.item_filter, len(self.index.items)
        added = self.added_scores
        rows = Ragged(added.indptr.astype(np.int64), added.indices.astype(np.int64))
        keys = rows.keys(num_items)
        is_kept = np.ones(len(keys), np.bool_)
        if limits.exclude is not None:
            is_kept &= ~np.isin(keys, limits.exclude.keys(num_items))
        if limits.is_allowed is not None:
            is_kept &= limits.is_allowed[rows.values]
        if limits.only is not None:
            is_listed = np.isin(keys, limits.only.rows.keys(num_items))
            is_kept &= is_listed | ~limits.only.has_list[keys // num_items]
        return rows.where(is_kept)

    def top_products(self) -> TopN:
        """Return the lists, by the method that the filter and the index require."""
        interests, active, items = self.interests, self.active, self.index.items
        limits, n, score = self.item_filter, self.n, self.score
        if limits.per_interest is not None:
            return self.limited_lists()
        share = 1.0  # of the items that may appear in a list
        if limits.is_allowed is not None:
            share = np.count_nonzero(limits.is_allowed) / len(items)
        if limits.only is None and (isinstance(self.index, ExactIndex) or share < MIN_SHARE):
            return self.exact_lists()  # recall-R43
        check_search_inputs(interests, active, items, n=n, exclude=limits.exclude, score=score)
        return self.merged_lists(share) if limits.only is None else self.listed_items(limits.only)

    @property
    def excluded(self) -> Ragged:
        """The excluded items of each case."""
        exclude = self.item_filter.exclude
        return Ragged.of([[]] * len(self.interests)) if exclude is None else exclude

    def exact_lists(self) -> TopN:
        """Return the lists by exact search of all allowed items."""
        return search_top_n(
            self.interests,
            self.active,
            self.index.items,
            n=self.n,
            exclude=self.item_filter.exclude,
            is_allowed=self.item_filter.is_allowed,
            score=self.score,
        )

    def merged_lists(self, share: float) -> TopN:
        """Return the lists merged from the near items of each interest.

        share: fraction of the items that may appear in a list.
        """
        n, items, excluded = self.n, self.index.items, self.excluded
        is_allowed = self.item_filter.is_allowed
        result = empty_top_n(len(self.interests), n, items.dtype)
        is_short = np.zeros(len(self.interests), np.bool_)
        needed = n if is_allowed is None else math.ceil(MARGIN * n / share)
        lengths = list_length(needed + count_excluded(excluded, len(items)))  # recall-R43
        for length in np.unique(lengths):  # cases with similar numbers of excluded items together
            cases = np.flatnonzero(lengths == length)
            used, hidden = self.active[cases], excluded.take(cases)
            users = np.where(used[..., None], self.interests[cases], 0).astype(self.interests.dtype)
            lists, requested = candidate_lists(self.index, users, used, int(length), self.score)
            if is_allowed is not None:
                lists[~is_allowed[lists]] = -1
                sizes = count_candidates(lists, hidden, len(items))
                is_short[cases] = (requested & (sizes < n)).any(axis=1)  # recall-R43
            merged = merge_lists(lists, users, used, items, n=n, exclude=hidden, score=self.score)
            write_cases(result, cases, merged)
        short = np.flatnonzero((is_short | (result.items[:, -1] < 0)) & self.active.any(axis=1))
        if len(short):  # recall-R21
            write_cases(result, short, self.take(short).exact_lists())
        return result

    def listed_items(self, only: AllowLists) -> TopN:
        """Return the lists: of a case with an allow list, exactly among its items."""
        items, rows, is_allowed = self.index.items, only.rows, self.item_filter.is_allowed
        result = empty_top_n(len(self.interests), self.n, items.dtype)
        if is_allowed is not None:
            rows = rows.where(is_allowed[rows.values])
        listed, unlisted = np.flatnonzero(only.has_list), np.flatnonzero(~only.has_list)
        size = max(1, NUMBERS // max(1, int(rows.lengths.max(initial=1))))
        for start in range(0, len(listed), size):  # recall-R44
            cases = listed[start : start + size]
            part, listed_rows = self.take(cases), rows.take(cases)
            ids, mask = pad_histories(listed_rows, int(listed_rows.lengths.max(initial=1)))
            ids = unite_lists(np.where(mask, ids, -1), part.excluded, len(items))
            lists = rescore_candidates(
                part.interests, part.active, items, ids, n=self.n, score=self.score
            )
            write_cases(result, cases, lists)
        if len(unlisted):
            search = replace(self, item_filter=self.item_filter._replace(only=None)).take(unlisted)
            write_cases(result, unlisted, search.top_n())
        return result

    def limited_lists(self) -> TopN:
        """Return the lists with at most `per_interest` items of each interest.

        Lists are searched with growing lengths, until each has n items that stay, every active
        interest has all its items, or no item is left.
        """
        per_interest = self.item_filter.per_interest
        assert per_interest is not None
        unlimited = replace(self, item_filter=self.item_filter._replace(per_interest=None))
        n, items, num_items = self.n, self.index.items, len(self.index.items)
        result = empty_top_n(len(self.active), n, items.dtype)
        cases, length = np.arange(len(self.active)), min(2 * n, max(n, num_items))
        while len(cases):
            # a list of much of the catalogue: approximate search would take longer
            searched = self.index if length <= MIN_SHARE * num_items else ExactIndex(items)
            size, incomplete = max(1, NUMBERS // length), []
            for start in range(0, len(cases), size):
                part = cases[start : start + size]
                search = replace(unlimited.take(part), index=searched, n=length)
                candidates = search.top_n()
                lists = limit_per_interest(candidates, n, per_interest)
                write_cases(result, part, lists)
                counts = (lists.items >= 0).sum(axis=1)
                most = np.minimum(n, per_interest * search.active.sum(axis=1))
                incomplete.append(part[(counts < most) & (candidates.items[:, -1] >= 0)])
            cases = np.concatenate(incomplete) if length < num_items else cases[:0]
            length = min(GROWTH * length, num_items)
        return result


def best_columns(scores: Array, n: int) -> Ints:
    """Return the columns of the n largest of scores (C, M), best first; of equal ones the first."""
    columns: Ints = np.argsort(-scores, axis=1, kind="stable")[:, :n]  # recall-R1
    return columns


def entries_at(matrix: Any, items: Ints) -> Array:
    """Return the entries (C, M) of a sparse matrix by rows (C, N) at items; 0 for -1."""
    if matrix.nnz == 0:
        return np.zeros(items.shape, matrix.dtype)
    matrix.sort_indices()
    width = matrix.shape[1] + 1
    cases = np.arange(len(items))
    keys = np.repeat(cases, np.diff(matrix.indptr)) * width + matrix.indices
    item_keys = cases[:, None] * width + np.where(items < 0, width - 1, items)
    position = np.minimum(np.searchsorted(keys, item_keys), len(keys) - 1)
    return np.where(keys[position] == item_keys, matrix.data[position], 0)


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
    distinct = np.unique(rows.keys(n_items)) // n_items
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
