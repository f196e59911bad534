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
from mindref.shapes import Array, Bools, Ints


class TopN(NamedTuple):
    """The top n items of each case, best first. Padding is item -1, score -inf, interest -1."""

    items: Ints  # (C, n) dense item ids
    scores: Array  # (C, n) non-increasing along a list
    interests: Ints  # (C, n) interest with the largest score of the item, from 0


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


def without_interests(ids: Ints, scores: Array) -> TopN:
    """Return lists of a model without interests: the interest is 0."""
    return TopN(ids, scores, np.where(ids >= 0, 0, -1))
