"""Exact top-n lists: by interests, with the same result for any block size, or by given scores.

Spec: specs/recall.md. Scores of interests are first computed by large matrix products, whose last
bits depend on the shape of the product. So SPARE additional candidates are kept. The scores of all
candidates are then recomputed, one product at a time, and sorted. All steps except the matrix
products are compiled (mindref/kernels/top_n.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import DataError, ShapeError, say
from mindref.evaluation.top_n.checks import (
    check_candidates,
    check_exclude,
    check_list_length,
    check_search_inputs,
)
from mindref.evaluation.top_n.result import TopN, empty_top_n, row_range
from mindref.shapes import Array, Bools, Ints

# a product of this size is fast and fits into the cache of a core: 512 kB in float32
QUERIES_PER_BLOCK = 512
ITEMS_PER_BLOCK = 256
SPARE = 16  # candidates beyond n, for items whose scores differ only in the last bits
CASES_PER_TASK = 64


def search_top_n(
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ragged | None = None,
    is_allowed: Bools | None = None,
    score: str = "max",
    block: int = QUERIES_PER_BLOCK * ITEMS_PER_BLOCK,
) -> TopN:
    """Return the top n items of the catalogue for each case.

    interests (C, K, D) and items (N, D), both float32 or both float64, finite. active (C, K).
    exclude: excluded items of each case. is_allowed (N,): items that may appear in any list. The
    score of an item is the maximum of its products with the active interests, or their sum. `block`
    limits the numbers in memory per thread. Uses MINDREF_THREADS threads (default 1).
    Spec: recall-R1 to recall-R8, recall-R42. Raises ShapeError, ConfigError or DataError.
    """
    check_search_inputs(interests, active, items, n=n, exclude=exclude, score=score)
    allowed = None if is_allowed is None else allowed_ids(is_allowed, len(items))
    search = TopNSearch(interests, active, items, n, exclude, score, allowed)
    if search.num_candidates > 0:
        search.run(block)
    return search.result


def rescore_candidates(
    interests: Array, active: Bools, items: Array, candidates: Ints, *, n: int, score: str = "max"
) -> TopN:
    """Return the top n of distinct candidates (C, M), -1 for none, by exact scores.

    Each product is a separate sum of D terms, so it does not depend on the other candidates. Uses
    MINDREF_THREADS threads (default 1). Raises ShapeError or DataError.
    """
    check_candidates(interests, active, items, candidates, n, score)
    result = empty_top_n(len(candidates), n, items.dtype)

    def rescore_part(part: slice) -> None:
        inputs = interests[part], active[part], items, candidates[part]
        for target, source in zip(result, rescore_checked(*inputs, n, score), strict=True):
            target[part] = source

    run_slices(rescore_part, len(candidates), CASES_PER_TASK)
    return result


def rescore_checked(
    interests: Array, active: Bools, items: Array, candidates: Ints, n: int, score: str
) -> TopN:
    """Return `rescore_candidates` of checked inputs, in the calling thread."""
    from mindref.kernels import top_n as kernels

    result = empty_top_n(len(candidates), n, items.dtype)
    kernels.sort_candidates(
        np.ascontiguousarray(interests),
        np.ascontiguousarray(active),
        np.ascontiguousarray(items),
        np.ascontiguousarray(candidates),
        score == "sum",
        *result,
    )
    return result


class TopNSearch:
    """A search of the whole catalogue, by independent slices of the cases."""

    def __init__(
        self,
        interests: Array,
        active: Bools,
        items: Array,
        n: int,
        exclude: Ragged | None,
        score: str,
        allowed: Ints | None,
    ) -> None:
        """Allocate the result. allowed (A,): ids of the searched items, ascending; None: all."""
        self.interests, self.active = interests, active
        self.items = np.ascontiguousarray(items)
        self.allowed, self.num_searched = allowed, len(items if allowed is None else allowed)
        self.exclude = exclude  # by column of the searched items
        if exclude is not None and allowed is not None:
            self.exclude = columns_of(exclude, allowed)
        self.score, self.n = score, n
        self.num_candidates = min(n + SPARE, self.num_searched)
        self.result = empty_top_n(len(interests), n, items.dtype)

    def run(self, block: int) -> None:
        """Compute all lists, on all threads."""
        from mindref.kernels import top_n as kernels
        from mindref.kernels.fused.workspace import KernelWorkspace, block_slices

        cases, count = self.active.shape
        numbers = max(count * ITEMS_PER_BLOCK, kernels.pool_capacity(self.num_candidates))
        length = max(1, min(QUERIES_PER_BLOCK // count, block // numbers))
        work = KernelWorkspace(1 if cases <= length else None)
        size = length * count * ITEMS_PER_BLOCK
        buffers = [np.zeros(size, self.items.dtype) for _ in range(work.threads)]

        def search(part: slice) -> None:
            buffer = buffers.pop()  # one per thread
            try:
                self.search_part(part, buffer)
            finally:
                buffers.append(buffer)

        work.run_blocks(search, block_slices(cases, length))

    def search_part(self, part: slice, products_buffer: Array) -> None:
        """Compute the lists of a slice of the cases. products_buffer: for one block of items."""
        candidates = self.candidates(part, products_buffer)
        inputs = self.interests[part], self.active[part], self.items, candidates
        part_result = rescore_checked(*inputs, self.n, self.score)
        for target, source in zip(self.result, part_result, strict=True):
            target[part] = source

    def candidates(self, part: slice, products_buffer: Array) -> Ints:
        """Return the `num_candidates` best items of each case, ascending by id, then -1."""
        from mindref.kernels import top_n as kernels

        queries, bounds = self.queries(part)
        pools = kernels.empty_pools(len(bounds) - 1, self.num_candidates, self.items.dtype)
        firsts = range(0, self.num_searched, ITEMS_PER_BLOCK)
        for first, hidden in zip(firsts, self.hidden(part), strict=True):
            items = self.item_block(first)
            products = products_buffer[: len(queries) * len(items)].reshape(
                len(queries), len(items)
            )
            np.matmul(queries, items.T, out=products)
            kernels.pool_block(products, bounds, first, hidden, self.num_candidates, *pools)
        kernels.finish_pools(pools.ids, pools.scores, pools.sizes, self.num_candidates)
        if self.allowed is None:
            return pools.ids
        return np.where(pools.ids >= 0, self.allowed[pools.ids], -1)  # recall-R42

    def item_block(self, first: int) -> Array:
        """Return the vectors of a block of the searched items, without a copy of all of them."""
        block = slice(first, first + ITEMS_PER_BLOCK)
        return self.items[block] if self.allowed is None else self.items[self.allowed[block]]

    def queries(self, part: slice) -> tuple[Array, Ints]:
        """Return the query vectors (R, D) of a slice, and the first row of each case."""
        interests, active = self.interests[part], self.active[part]
        rows = np.count_nonzero(active, axis=1)
        if self.score == "sum":  # the sum of products is the product with the sum
            sums = np.where(active[..., None], interests, interests.dtype.type(0)).sum(axis=1)
            queries, rows = sums[rows > 0], np.minimum(rows, 1)
        else:
            queries = interests[active]  # recall-R2; short histories have few active interests
        return queries, np.concatenate([[0], np.cumsum(rows)])

    def hidden(self, part: slice) -> Iterator[Ints]:
        """Yield the excluded pairs (H, 2) of case and column for each block of items."""
        blocks = -(-self.num_searched // ITEMS_PER_BLOCK)
        if self.exclude is None:
            yield from [np.zeros((0, 2), np.int64)] * blocks
            return
        rows = row_range(self.exclude, part.start, part.stop)
        block, columns = np.divmod(rows.values, ITEMS_PER_BLOCK)
        pairs = np.stack([np.repeat(np.arange(len(rows)), rows.lengths), columns], axis=1)
        ends = np.cumsum(np.bincount(block, minlength=blocks))
        yield from np.split(pairs[np.argsort(block)], ends[:-1])


def allowed_ids(is_allowed: Bools, n_items: int) -> Ints:
    """Return the ids of the allowed items, ascending. Raises ShapeError for another shape."""
    if is_allowed.shape != (n_items,) or is_allowed.dtype != np.bool_:
        got = f"{is_allowed.dtype} {is_allowed.shape}"
        raise ShapeError(say("top_n: is_allowed", f"bool ({n_items},)", got))
    return np.flatnonzero(is_allowed)


def columns_of(rows: Ragged, allowed: Ints) -> Ragged:
    """Return rows of item ids as positions among the allowed ids (A,), without other items."""
    columns = np.searchsorted(allowed, rows.values)
    is_member = np.append(allowed, -1)[columns] == rows.values
    kept_rows = rows.where(is_member)
    return Ragged(kept_rows.offsets, columns[is_member])


def top_n_by_score(scores: Array, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the top n items of each case by scores (C, N), ties in the order of ids.

    exclude: excluded items of each case. Raises ShapeError, ConfigError, and DataError for NaN.
    """
    check_list_length(n, "top_n_by_score")
    check_exclude(exclude, *scores.shape)
    if np.isnan(scores).any():
        raise DataError(say("top_n_by_score: scores", "numbers", "NaN"))
    masked = scores.astype(np.float64)  # a copy
    mask_excluded(masked, exclude)
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


def mask_excluded(scores: Array, hidden: Ragged | None) -> None:
    """Set the scores (C, N) of excluded items to -inf."""
    if hidden is not None:
        scores[np.repeat(np.arange(len(hidden)), hidden.lengths), hidden.values] = -np.inf


def without_interests(ids: Ints, scores: Array) -> TopN:
    """Return lists of a model without interests: the interest is 0."""
    return TopN(ids, scores, np.where(ids >= 0, 0, -1))


def unite_lists(lists: Ints, exclude: Ragged, n_items: int) -> Ints:
    """Return the distinct ids of each row of lists (C, M) that are not excluded: recall-R4, R18.

    The order is that of first appearance. -1 is no item and pads the rows. The result has as many
    columns as the longest row. Raises DataError for an id outside the catalogue.
    """
    from mindref.kernels import list_union as kernels

    check_exclude(exclude, len(lists), n_items)
    lists = np.ascontiguousarray(lists, np.int64)
    ids = np.empty_like(lists)
    widths = []

    def unite_part(part: slice) -> None:
        excluded = row_range(exclude, part.start, part.stop)
        is_used = np.zeros(n_items, np.int16)
        rows = np.ascontiguousarray(excluded.offsets), np.ascontiguousarray(excluded.values)
        widths.append(kernels.union_lists(lists[part], *rows, is_used, ids[part]))

    run_slices(unite_part, len(lists), CASES_PER_TASK * 8)
    if min(widths, default=0) < 0:
        got = f"{lists.min()} to {lists.max()}"
        raise DataError(say("top_n: lists", f"item ids from -1 to {n_items - 1}", got))
    return np.ascontiguousarray(ids[:, : max(widths, default=0)])


def run_slices(work: Callable[[slice], None], size: int, length: int) -> None:
    """Call `work` for slices of `length` that cover `size` rows.

    Uses MINDREF_THREADS threads (default 1). The slices do not depend on the number of threads.
    """
    from mindref.kernels.fused.workspace import KernelWorkspace, block_slices

    KernelWorkspace(1 if size <= length else None).run_blocks(work, block_slices(size, length))
