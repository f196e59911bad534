"""Top-n lists of the baselines popularity and random.

Spec: specs/metrics.md, metrics-R24 and R25.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.checks import check_exclude, check_list_length
from mindref.recall.exact import unite_lists
from mindref.recall.top_n import TopN, row_range, top_n_by_sparse_score, without_interests
from mindref.shapes import Ints

BLOCK = 1 << 22  # numbers in memory at once, 16 or 32 MB
SPARE = 16  # additional draws per list


def popularity_top_n(counts: Ints, cases: int, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the n most frequent items of counts (N,) that are not excluded, for each case.

    The score is the count.
    """
    from scipy.sparse import csr_array  # slow to import

    scores = np.asarray(counts, dtype=np.float64)
    no_entries = csr_array((cases, len(scores)))  # metrics-R24
    order = np.argsort(-scores, kind="stable")
    return top_n_by_sparse_score(no_entries, base_scores=scores, order=order, n=n, exclude=exclude)


def random_top_n(
    rng: np.random.Generator, n_items: int, cases: int, *, n: int, exclude: Ragged | None = None
) -> TopN:
    """Return n random items per case, in a uniformly random order. The scores are 0, -1, -2, ...

    Items are drawn with replacement; repeated and excluded items are skipped. A case that has too
    few items then gets a permutation of the whole catalogue. This happens after the draws of all
    cases, so that no list depends on the blocks.
    """
    check_list_length(n, "random")
    exclude = Ragged.of([[]] * cases) if exclude is None else exclude
    check_exclude(exclude, cases, n_items)
    length = min(n, n_items)
    width = length + length // 2 + SPARE
    ids = np.full((cases, n), -1)
    for part in blocks_of_cases(cases, max(n_items, width)):
        draws = rng.integers(0, n_items, (part.stop - part.start, width))  # metrics-R25
        write_distinct(ids[:, :length], part, draws, exclude, n_items)
    for case in np.flatnonzero(ids[:, length - 1] < 0).tolist():
        order = rng.permutation(n_items)
        write_distinct(ids, slice(case, case + 1), order[None], exclude, n_items)
    scores = -np.arange(n, dtype=np.float64)
    return without_interests(ids, np.where(ids >= 0, scores, -np.inf))


def blocks_of_cases(cases: int, numbers: int) -> Iterator[slice]:
    """Yield blocks of cases with at most BLOCK numbers in memory, `numbers` of each case."""
    rows = max(1, BLOCK // numbers)
    for start in range(0, cases, rows):
        yield slice(start, min(start + rows, cases))


def write_distinct(ids: Ints, part: slice, lists: Ints, exclude: Ragged, n_items: int) -> None:
    """Write to the rows `part` of ids the first distinct ids of lists (R, W), none excluded."""
    distinct = unite_lists(lists, row_range(exclude, part.start, part.stop), n_items)
    distinct = distinct[:, : ids.shape[1]]
    ids[part, : distinct.shape[1]] = distinct
