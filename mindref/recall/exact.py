"""Exact search: the top-n items of the whole catalogue for each case, and the index kind `exact`.

Spec: specs/recall.md. Scores of interests are first computed by large matrix products, whose last
bits depend on the shape of the product. So SPARE additional candidates are kept. The scores of all
candidates are then recomputed, one product at a time, and sorted. So the result is the same for any
block size. All steps except the matrix products are compiled (mindref/kernels/top_n.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from mindref.data.log import Ragged
from mindref.errors import DataError, ShapeError, say
from mindref.process import background
from mindref.process.threads import pool_threads
from mindref.recall.checks import check_candidates, check_exclude, check_search_inputs
from mindref.recall.top_n import TopN, empty_top_n, row_range, write_cases
from mindref.shapes import Array, Bools, Ints

# a product of this size is fast and fits into the cache of a core: 512 kB in float32
QUERIES_PER_BLOCK = 512
ITEMS_PER_BLOCK = 256
SPARE = 16  # candidates beyond n, for items whose scores differ only in the last bits
CASES_PER_TASK = 64


class ExactIndex:
    """Index kind `exact`: the item vectors (N, D), searched by `search_top_n`."""

    kind = "exact"
    recall: float | None = 1.0

    def __init__(self, items: Array, warning: str | None = None, why: str | None = None) -> None:
        self.items = items
        self.warning = warning  # why exact search replaces a plugin, or None
        self.choice_reason = why  # what `auto` went by, or None

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return the n items with the largest products for each query (Q, D), ties by lower id."""
        active = np.ones((len(queries), 1), np.bool_)
        return search_top_n(queries[:, None], active, self.items, n=n).items  # recall-R10


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
    from mindref.kernels import top_n as kernels

    check_search_inputs(interests, active, items, n=n, exclude=exclude, score=score)
    items = np.ascontiguousarray(items)
    catalogue = SearchedItems.of(items, is_allowed)
    if exclude is not None and is_allowed is not None:
        rows = exclude.where(is_allowed[exclude.values])
        # positions among the searched items
        exclude = Ragged(rows.offsets, np.searchsorted(np.flatnonzero(is_allowed), rows.values))
    result = empty_top_n(len(interests), n, items.dtype)
    num_candidates = min(n + SPARE, len(catalogue))
    if num_candidates == 0:
        return result
    cases, count = active.shape
    numbers = max(count * ITEMS_PER_BLOCK, kernels.pool_capacity(num_candidates))
    length = max(1, min(QUERIES_PER_BLOCK // count, block // numbers))
    products_size = length * count * ITEMS_PER_BLOCK
    # for products: one of each thread
    buffers = [np.zeros(products_size, items.dtype) for _ in range(pool_threads())]

    def search_cases(part: slice) -> None:
        queries, bounds = queries_of(interests[part], active[part], score)
        hidden = hidden_pairs(exclude, part, len(catalogue))
        products = buffers.pop()
        try:
            candidates = catalogue.candidates(queries, bounds, hidden, num_candidates, products)
        finally:
            buffers.append(products)
        lists = rescore_checked(interests[part], active[part], items, candidates, n, score)
        write_cases(result, part, lists)

    run_slices(search_cases, cases, length)
    return result


def request_compilation(dtype: npt.DTypeLike) -> None:
    """Compile the functions of `search_top_n` in the background (mindref/process/background.py)."""
    from mindref.kernels import top_n as kernels

    ids, scores = np.zeros((1, 1), np.int64), np.zeros((1, 1), dtype)
    pools, active = kernels.empty_pools(1, 1, dtype), np.zeros((1, 1), np.bool_)
    background.request(kernels.pool_block, lambda: (scores, ids[0], 0, ids, 1, pools))
    background.request(kernels.finish_pools, lambda: (pools, 1))
    background.request(
        kernels.sort_candidates,
        lambda: (scores[None], active, scores, ids, False, ids, scores, ids),
    )


class SearchedItems:
    """The items of a catalogue that are searched, in blocks."""

    def __init__(self, vectors: Array, allowed: Ints | None) -> None:
        self.vectors = vectors  # (N, D)
        self.allowed = allowed  # (A,) ids of the searched items, ascending; None: all

    @classmethod
    def of(cls, vectors: Array, is_allowed: Bools | None) -> SearchedItems:
        """Return the allowed items. Raises ShapeError for a mask of another shape."""
        if is_allowed is None:
            return cls(vectors, None)
        if is_allowed.shape != vectors.shape[:1] or is_allowed.dtype != np.bool_:
            got = f"{is_allowed.dtype} {is_allowed.shape}"
            raise ShapeError(say("top_n: is_allowed", f"bool ({len(vectors)},)", got))
        return cls(vectors, np.flatnonzero(is_allowed))

    def __len__(self) -> int:
        return len(self.vectors if self.allowed is None else self.allowed)

    def candidates(
        self, queries: Array, bounds: Ints, hidden: Iterator[Ints], count: int, buffer: Array
    ) -> Ints:
        """Return the `count` best items of each case, ascending by id, then -1.

        queries (R, D): rows bounds[c] to bounds[c + 1] belong to case c. hidden: excluded pairs of
        each block of items. buffer: for the products with one block of items.
        """
        from mindref.kernels import top_n as kernels

        pools = kernels.empty_pools(len(bounds) - 1, count, self.vectors.dtype)
        for first, pairs in zip(range(0, len(self), ITEMS_PER_BLOCK), hidden, strict=True):
            items = self.block(first)
            products = buffer[: len(queries) * len(items)].reshape(len(queries), len(items))
            np.matmul(queries, items.T, out=products)
            kernels.pool_block(products, bounds, first, pairs, count, pools)
        kernels.finish_pools(pools, count)
        if self.allowed is None:
            return pools.ids
        return np.where(pools.ids >= 0, self.allowed[pools.ids], -1)  # recall-R42

    def block(self, first: int) -> Array:
        """Return the vectors of a block of the searched items, without a copy of all of them."""
        block = slice(first, first + ITEMS_PER_BLOCK)
        return self.vectors[block] if self.allowed is None else self.vectors[self.allowed[block]]


def queries_of(interests: Array, active: Bools, score: str) -> tuple[Array, Ints]:
    """Return the query vectors (R, D) of some cases, and the first row of each case."""
    rows = np.count_nonzero(active, axis=1)
    if score == "sum":  # the sum of products is the product with the sum
        sums = np.where(active[..., None], interests, interests.dtype.type(0)).sum(axis=1)
        queries, rows = sums[rows > 0], np.minimum(rows, 1)
    else:
        queries = interests[active]  # recall-R2; short histories have few active interests
    return queries, np.concatenate([[0], np.cumsum(rows)])


def hidden_pairs(exclude: Ragged | None, part: slice, num_items: int) -> Iterator[Ints]:
    """Yield the excluded pairs (H, 2) of case and column for each block of the searched items."""
    blocks = -(-num_items // ITEMS_PER_BLOCK)
    if exclude is None:
        yield from [np.zeros((0, 2), np.int64)] * blocks
        return
    rows = row_range(exclude, part.start, part.stop)
    block, columns = np.divmod(rows.values, ITEMS_PER_BLOCK)
    pairs = np.stack([np.repeat(np.arange(len(rows)), rows.lengths), columns], axis=1)
    ends = np.cumsum(np.bincount(block, minlength=blocks))
    yield from np.split(pairs[np.argsort(block)], ends[:-1])


def rescore_candidates(
    interests: Array, active: Bools, items: Array, candidates: Ints, *, n: int, score: str = "max"
) -> TopN:
    """Return the top n of distinct candidates (C, M), -1 for none, by exact scores.

    Each product is a separate sum of D terms, so it does not depend on the other candidates. Uses
    MINDREF_THREADS threads (default 1). Raises ShapeError or DataError.
    """
    check_candidates(interests, active, items, candidates, n, score)
    result = empty_top_n(len(candidates), n, items.dtype)

    def rescore_cases(part: slice) -> None:
        lists = rescore_checked(interests[part], active[part], items, candidates[part], n, score)
        write_cases(result, part, lists)

    run_slices(rescore_cases, len(candidates), CASES_PER_TASK)
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
        result.items,
        result.scores,
        result.interests,
    )
    return result


def unite_lists(lists: Ints, exclude: Ragged, n_items: int) -> Ints:
    """Return the distinct ids of each row of lists (C, M) that are not excluded: recall-R4, R18.

    The order is that of first appearance. -1 is no item and pads the rows. The result has as many
    columns as the longest row. Raises DataError for an id outside the catalogue.
    """
    from mindref.kernels import top_n as kernels

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
    """Call `work` for slices of `length` that cover `size` rows. Raises the first error.

    Uses MINDREF_THREADS threads (default 1). The slices do not depend on the number of threads.
    Overflow in `work` gives no warning of NumPy.
    """
    parts = [slice(start, min(start + length, size)) for start in range(0, size, length)]
    threads = min(pool_threads(), len(parts)) if len(parts) > 1 else 1

    def run_part(part: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # error settings are per thread
            work(part)

    if threads == 1:
        for part in parts:
            run_part(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(run_part, parts):
            pass
