"""Filters of top-n lists: allow lists for all cases and per case, and a limit per interest.

Spec: specs/recall.md, recall-R42 to recall-R46.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.checks import check_search_inputs
from mindref.recall.exact import ExactIndex, rescore_candidates, unite_lists
from mindref.recall.index import Index
from mindref.recall.retrieval import MIN_SHARE, retrieve_top_n
from mindref.recall.top_n import TopN, empty_top_n, row_range, write_cases
from mindref.shapes import Array, Bools, Ints

NUMBERS = 1 << 22  # ids or scores of lists in memory at once, 32 MB
GROWTH = 4  # of the length of lists in which more items of other interests are sought

Search = Callable[[Ints, int], TopN]
"""(cases, n) -> the exact top n of these cases."""


class ItemFilter(NamedTuple):
    """The items that may appear in the lists of C cases. None: every item."""

    is_allowed: Bools | None = None  # (N,) in the lists of all cases
    only: Ragged | None = None  # C rows: the allow list of each case
    has_only: Bools | None = None  # (C,) whether a case has an allow list

    def take(self, cases: Ints) -> ItemFilter:
        """Return the filter of some cases, in their order."""
        if self.only is None or self.has_only is None:
            return self
        return self._replace(only=self.only.take(cases), has_only=self.has_only[cases])

    def mask_scores(self, scores: Array, start: int) -> Array:
        """Return scores (R, N) of the cases from `start`, -inf for items that are not allowed."""
        if self.is_allowed is not None:
            scores = np.where(self.is_allowed, scores, -np.inf)
        if self.only is None or self.has_only is None:
            return scores
        rows = row_range(self.only, start, start + len(scores))
        is_listed = np.zeros(scores.shape, np.bool_)
        is_listed[np.repeat(np.arange(len(rows)), rows.lengths), rows.values] = True
        is_listed[~self.has_only[start : start + len(scores)]] = True
        return np.where(is_listed, scores, -np.inf)


def retrieve_filtered(
    index: Index,
    interests: Array,
    active: Bools,
    *,
    n: int,
    exclude: Ragged | None = None,
    item_filter: ItemFilter | None = None,
    per_interest: int | None = None,
    score: str = "max",
) -> TopN:
    """Return the top n items of each case that the filter allows.

    Arguments as `retrieve_top_n`. per_interest: at most this many items of a list have the same
    interest (recall-R45). Errors as `search_top_n`.
    """
    limits = item_filter or ItemFilter()
    if per_interest is None:
        return search_with_lists(index, interests, active, n, exclude, limits, score)
    items = index.items

    def search(cases: Ints, length: int) -> TopN:
        # a list of much of the catalogue: approximate search would take longer
        part_index = index if length <= MIN_SHARE * len(items) else ExactIndex(items)
        hidden = None if exclude is None else exclude.take(cases)
        inputs = part_index, interests[cases], active[cases]
        return search_with_lists(*inputs, length, hidden, limits.take(cases), score)

    return retrieve_limited(search, active, n, per_interest, items)


def search_with_lists(
    index: Index,
    interests: Array,
    active: Bools,
    n: int,
    exclude: Ragged | None,
    item_filter: ItemFilter,
    score: str,
) -> TopN:
    """Return the top n items of each case: with an allow list, exactly among its items."""
    is_allowed, only, has_only = item_filter
    if only is None or has_only is None:
        return retrieve_top_n(
            index, interests, active, n=n, exclude=exclude, is_allowed=is_allowed, score=score
        )
    items = index.items
    check_search_inputs(interests, active, items, n=n, exclude=exclude, score=score)
    result = empty_top_n(len(interests), n, items.dtype)
    if is_allowed is not None:
        only = only.where(is_allowed[only.values])
    excluded = Ragged.of([[]] * len(interests)) if exclude is None else exclude
    listed = np.flatnonzero(has_only)
    size = max(1, NUMBERS // max(1, int(only.lengths.max(initial=1))))
    for start in range(0, len(listed), size):  # recall-R44
        cases = listed[start : start + size]
        ids = unite_lists(pad_candidates(only.take(cases)), excluded.take(cases), len(items))
        inputs = interests[cases], active[cases], items, ids
        write_cases(result, cases, rescore_candidates(*inputs, n=n, score=score))
    unlisted = np.flatnonzero(~has_only)
    if len(unlisted):
        users, used, hidden = interests[unlisted], active[unlisted], excluded.take(unlisted)
        lists = retrieve_top_n(
            index, users, used, n=n, exclude=hidden, is_allowed=is_allowed, score=score
        )
        write_cases(result, unlisted, lists)
    return result


def pad_candidates(rows: Ragged) -> Ints:
    """Return ragged rows as one array (R, M), padded with -1."""
    padded = np.full((len(rows), int(rows.lengths.max(initial=0))), -1)
    padded[np.arange(padded.shape[1]) < rows.lengths[:, None]] = rows.values
    return padded


def retrieve_limited(
    search: Search, active: Bools, n: int, per_interest: int, items: Array
) -> TopN:
    """Return the top n of each case with at most `per_interest` items of each interest.

    active (C, K), items (N, D). Lists are searched with growing lengths, until each has n items
    that stay, every active interest has all its items, or no item is left.
    """
    num_items, result = len(items), empty_top_n(len(active), n, items.dtype)
    cases, length = np.arange(len(active)), min(2 * n, max(n, num_items))
    while len(cases):
        size, incomplete = max(1, NUMBERS // length), []
        for start in range(0, len(cases), size):
            part = cases[start : start + size]
            candidates = search(part, length)
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
        is_kept |= is_of_interest & (
            np.cumsum(is_of_interest, axis=1) <= per_interest
        )  # recall-R45
    position = np.cumsum(is_kept, axis=1) - 1
    case, column = np.nonzero(is_kept & (position < n))
    result = empty_top_n(len(is_kept), n, ranked.scores.dtype)
    for target, source in zip(result, ranked, strict=True):
        target[case, position[case, column]] = source[case, column]
    return result
