"""Top-n lists: the result of a search, and the lists by given scores of all items.

`search_top_n` in exact.py is the search of the catalogue. Spec: specs/recall.md, recall-R40. Of
sparse scores, only the positive ones are sorted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import DataError, say
from mindref.recall.checks import check_exclude, check_list_length
from mindref.shapes import Array, Ints


class TopN(NamedTuple):
    """The top n items of each case, best first. Padding is item -1, score -inf, interest -1."""

    items: Ints  # (C, n) dense item ids
    scores: Array  # (C, n) non-increasing along a list
    interests: Ints  # (C, n) interest with the largest score of the item, from 0

    def take_columns(self, columns: Ints) -> TopN:
        """Return the entries of each list at columns (C, M), in their order."""
        return TopN(
            np.take_along_axis(self.items, columns, axis=1),
            np.take_along_axis(self.scores, columns, axis=1),
            np.take_along_axis(self.interests, columns, axis=1),
        )


def empty_top_n(cases: int, n: int, dtype: Any) -> TopN:
    """Return lists of padding only: recall-R8."""
    shape = (cases, n)
    return TopN(np.full(shape, -1), np.full(shape, -np.inf, dtype), np.full(shape, -1))


def row_range(rows: Ragged, start: int, stop: int) -> Ragged:
    """Return rows start .. stop - 1 as views."""
    offsets = rows.offsets[start : stop + 1]
    return Ragged(offsets - offsets[0], rows.values[offsets[0] : offsets[-1]])


def write_cases(result: TopN, cases: Ints | slice, lists: TopN) -> None:
    """Write the lists of some cases into the result of all cases."""
    for target, source in zip(result, lists, strict=True):
        target[cases] = source


def top_n_by_score(scores: Array, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the top n items of each case by scores (C, N), ties in the order of ids.

    exclude: excluded items of each case. Raises ShapeError, ConfigError, and DataError for NaN.
    """
    check_list_length(n, "top_n_by_score")
    check_exclude(exclude, *scores.shape)
    if np.isnan(scores).any():
        raise DataError(say("top_n_by_score: scores", "numbers", "NaN"))
    masked = scores.astype(np.float64)  # a copy
    if exclude is not None:
        masked[np.repeat(np.arange(len(exclude)), exclude.lengths), exclude.values] = -np.inf
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


def top_n_by_sparse_score(
    entries: Any, *, base_scores: Array, order: Ints, n: int, exclude: Ragged | None = None
) -> TopN:
    """Return the top n items of each case by scores (C, N), as `top_n_by_score` does.

    entries: a sparse matrix by rows (CSR). base_scores (N,): the scores of items without an entry;
    no entry may be below their maximum. order (N,): items by falling base score, ties by the lower
    id. exclude: excluded items of each case. Raises ShapeError, DataError or ConfigError.
    """
    check_list_length(n, "top_n_by_sparse_score")
    check_exclude(exclude, *entries.shape)
    result = empty_top_n(entries.shape[0], n, np.float64)
    highest = base_scores.max(initial=-np.inf)
    is_listed = np.zeros(len(base_scores), np.bool_)  # excluded, or with an entry
    starts, none = entries.indptr, result.items[:0, 0]
    for case in range(entries.shape[0]):
        row = slice(starts[case], starts[case + 1])
        hidden = none if exclude is None else exclude.row(case)
        is_listed[hidden] = True
        # an entry that equals the highest base score is sorted with the items without an entry
        is_used = ~is_listed[entries.indices[row]] & (entries.data[row] > highest)
        ids, values = largest_entries(entries.indices[row][is_used], entries.data[row][is_used], n)
        if len(ids) < n:
            is_listed[ids] = True
            candidates = order[: n + len(hidden)]  # fewer than n of them have an entry
            unlisted = candidates[~is_listed[candidates]][: n - len(ids)]
            is_listed[ids] = False
            ids, values = np.append(ids, unlisted), np.append(values, base_scores[unlisted])
        is_listed[hidden] = False
        result.items[case, : len(ids)], result.scores[case, : len(ids)] = ids, values
    return without_interests(result.items, result.scores)


def largest_entries(ids: Ints, values: Array, n: int) -> tuple[Ints, Array]:
    """Return the top n items and the scores."""
    if len(ids) > n:
        candidates = values >= np.partition(values, -n)[-n]
        ids, values = ids[candidates], values[candidates]
    order = np.lexsort((ids, -values))[:n]  # recall-R40: ids ascend
    return ids[order], values[order]


def without_interests(ids: Ints, scores: Array) -> TopN:
    """Return lists of a model without interests: the interest is 0."""
    return TopN(ids, scores, np.where(ids >= 0, 0, -1))
