"""Top-n lists of the baselines popularity and random.

Spec: specs/metrics.md, metrics-R24 and R25.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.by_score import mask_excluded, without_interests
from mindref.recall.checks import check_exclude, check_list_length
from mindref.recall.top_n import TopN, row_range
from mindref.shapes import Bools, Ints

BLOCK = 1 << 22  # numbers in memory at once, 16 or 32 MB
SPARE = 16  # additional draws per list


def popularity_top_n(counts: Ints, cases: int, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the n most frequent items of counts (N,) that are not excluded, for each case.

    The score is the count.
    """
    scores = np.asarray(counts, dtype=np.float64)
    check_list_length(n, "popularity")
    check_exclude(exclude, cases, len(scores))
    order = np.lexsort((np.arange(len(scores)), -scores))  # metrics-R24
    max_excluded = 0 if exclude is None else int(exclude.lengths.max(initial=0))
    width = min(n + max_excluded, len(scores))  # enough for every case
    rows, blocks = max(1, BLOCK // len(scores)), [np.zeros((0, n), np.int64)]
    for start in range(0, cases, rows):
        cases_of_block = slice(start, min(start + rows, cases))
        columns = np.broadcast_to(order[:width], (cases_of_block.stop - start, width))
        blocks.append(
            first_allowed(columns, not_excluded(cases_of_block, len(scores), exclude, columns), n)
        )
    ids = np.concatenate(blocks)
    return without_interests(ids, np.where(ids >= 0, scores[ids], -np.inf))


def random_top_n(
    rng: np.random.Generator, n_items: int, cases: int, *, n: int, exclude: Ragged | None = None
) -> TopN:
    """Return n random items per case, in a uniformly random order. The scores are 0, -1, -2, ...

    Items are drawn with replacement; repeated and excluded items are skipped. A case that has too
    few items then gets a permutation of the whole catalogue. This happens after the draws of all
    cases, so that no list depends on the blocks.
    """
    check_list_length(n, "random")
    check_exclude(exclude, cases, n_items)
    requested, n = n, min(n, n_items)
    width = n + n // 2 + SPARE
    rows, blocks = max(1, BLOCK // max(n_items, width)), [np.zeros((0, n), np.int64)]
    for start in range(0, cases, rows):
        part = slice(start, min(start + rows, cases))
        draws = rng.integers(0, n_items, (part.stop - start, width))  # metrics-R25
        allowed_draws = not_excluded(part, n_items, exclude, draws) & first_occurrence_mask(draws)
        blocks.append(first_allowed(draws, allowed_draws, n))
    ids = np.concatenate(blocks)
    for case in np.flatnonzero(ids[:, -1] < 0).tolist():
        hidden = ids[:0] if exclude is None else exclude.row(case)
        order = rng.permutation(n_items)
        allowed = order[np.isin(order, hidden, invert=True)][:n]
        ids[case] = np.pad(allowed, (0, n - len(allowed)), constant_values=-1)
    ids = np.pad(ids, ((0, 0), (0, requested - n)), constant_values=-1)
    return without_interests(
        ids, np.where(ids >= 0, -np.arange(requested, dtype=np.float64), -np.inf)
    )


def not_excluded(part: slice, n_items: int, exclude: Ragged | None, columns: Ints) -> Bools:
    """Return which of the ids `columns` (R, W) of a block of cases are not excluded."""
    masked = np.zeros((len(columns), n_items), np.float32)
    mask_excluded(masked, None if exclude is None else row_range(exclude, part.start, part.stop))
    allowed: Bools = np.take_along_axis(masked, columns, axis=1) == 0
    return allowed


def first_occurrence_mask(ids: Ints) -> Bools:
    """Return which ids (R, W) are the first occurrence in their row."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.ones(ids.shape, np.bool_)
    np.put_along_axis(new, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return new


def first_allowed(ids: Ints, allowed: Bools, n: int) -> Ints:
    """Return the first n allowed ids of each row (R, W), padded with -1."""
    rank = np.cumsum(allowed, axis=1) - 1
    row, column = np.nonzero(allowed & (rank < n))
    first_ids = np.full((len(ids), n), -1)
    first_ids[row, rank[row, column]] = ids[row, column]
    return first_ids
