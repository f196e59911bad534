"""The n best items of each user: exact, in bounded memory, the same for any size of block.

Spec: specs/recall.md. Scores are first computed as large matrix products, whose last bits depend
on the shape of the product; so a few more items than asked are kept, and their scores are computed
again, one product at a time, before they are put in order. Between the products all is compiled
(mindref/kernels/ranking.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation.top_n.checks import check, check_candidates
from mindref.evaluation.top_n.lists import Ranked, empty_lists, rows_of
from mindref.evaluation.top_n.unite import CASES, in_parts
from mindref.shapes import Array, Bools, Ints

# of a matrix product that is quick and stays in the cache of a core: 512 kB in float32
QUERIES = 512
WIDTH = 256  # items
SPARE = 16  # kept beyond n, for items whose scores differ in the last bits only


def top_n(
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ragged | None = None,
    score: str = "max",
    block: int = QUERIES * WIDTH,
) -> Ranked:
    """Rank the catalogue for each case and return its n best items.

    interests (C, K, D) and items (N, D), both float32 or both float64 and finite; active (C, K);
    exclude: per case the items that must not appear. The score of an item is the maximum of its
    products with the active interests, or their sum. `block` bounds the numbers that a thread
    holds at once; the threads are as many as MINDREF_THREADS says, or one.
    Spec: recall-R1 to recall-R8. Raises ShapeError, ConfigError or DataError.
    """
    check(interests, active, items, n=n, exclude=exclude, score=score)
    search = Search(interests, active, items, n, exclude, score)
    search.run(block)
    return search.ranked


def rerank(
    interests: Array, active: Bools, items: Array, candidates: Ints, *, n: int, score: str = "max"
) -> Ranked:
    """Put distinct candidates (C, M), -1 for none, in order of their exact scores; n best of each.

    Each product is summed over its D terms by itself: it does not depend on what else is asked.
    The threads are as many as MINDREF_THREADS says, or one. Raises ShapeError or DataError.
    """
    check_candidates(interests, active, items, candidates, n, score)
    ranked = empty_lists(len(candidates), n, items.dtype)

    def order_some(part: slice) -> None:
        some = interests[part], active[part], items, candidates[part]
        for target, source in zip(ranked, put_in_order(*some, n, score), strict=True):
            target[part] = source

    in_parts(order_some, len(candidates), CASES)
    return ranked


def put_in_order(
    interests: Array, active: Bools, items: Array, candidates: Ints, n: int, score: str
) -> Ranked:
    """Do what `rerank` does with what has been checked."""
    from mindref.kernels import ranking as kernels

    ranked = empty_lists(len(candidates), n, items.dtype)
    kernels.best_first(
        np.ascontiguousarray(interests),
        np.ascontiguousarray(active),
        np.ascontiguousarray(items),
        np.ascontiguousarray(candidates),
        score == "sum",
        *ranked,
    )
    return ranked


class Search:
    """A search through the whole catalogue, by parts of the cases that know nothing of others."""

    def __init__(
        self,
        interests: Array,
        active: Bools,
        items: Array,
        n: int,
        exclude: Ragged | None,
        score: str,
    ) -> None:
        """Find room for the lists."""
        self.interests, self.active = interests, active
        self.items = np.ascontiguousarray(items)
        self.exclude, self.score = exclude, score
        self.n, self.kept = n, min(n + SPARE, len(items))
        self.ranked = empty_lists(len(interests), n, items.dtype)

    def run(self, block: int) -> None:
        """Write all lists, on all threads."""
        from mindref.kernels import ranking as kernels
        from mindref.kernels.fused.workspace import Workspace, slices

        cases, count = self.active.shape
        numbers = max(count * WIDTH, kernels.room(self.kept))
        length = max(1, min(QUERIES // count, block // numbers))
        work = Workspace(1 if cases <= length else None)
        rooms = [np.zeros(length * count * WIDTH, self.items.dtype) for _ in range(work.threads)]

        def rank(part: slice) -> None:
            room = rooms.pop()  # there are as many as threads
            try:
                self.rank(part, room)
            finally:
                rooms.append(room)

        work.each(rank, slices(cases, length))

    def rank(self, part: slice, room: Array) -> None:
        """Write the lists of a part of the cases; room: for the products with a block of items."""
        found = self.candidates(part, room)
        some = self.interests[part], self.active[part], self.items, found
        ranked = put_in_order(*some, self.n, self.score)
        for target, source in zip(self.ranked, ranked, strict=True):
            target[part] = source

    def candidates(self, part: slice, room: Array) -> Ints:
        """Return the `kept` best items of each case, ascending by id, then -1."""
        from mindref.kernels import ranking as kernels

        queries, bounds = self.queries(part)
        pools = kernels.pools(len(bounds) - 1, self.kept, self.items.dtype)
        firsts = range(0, len(self.items), WIDTH)
        for first, hidden in zip(firsts, self.hidden(part), strict=True):
            items = self.items[first : first + WIDTH]
            products = room[: len(queries) * len(items)].reshape(len(queries), len(items))
            np.matmul(queries, items.T, out=products)
            kernels.keep(products, bounds, first, hidden, self.kept, *pools)
        kernels.settle(pools.ids, pools.scores, pools.sizes, self.kept)
        return pools.ids

    def queries(self, part: slice) -> tuple[Array, Ints]:
        """Return what the items are multiplied with (R, D), and where the rows of a case begin."""
        interests, active = self.interests[part], self.active[part]
        rows = np.count_nonzero(active, axis=1)
        if self.score == "sum":  # the sum of products is the product with the sum
            sums = np.where(active[..., None], interests, interests.dtype.type(0)).sum(axis=1)
            queries, rows = sums[rows > 0], np.minimum(rows, 1)
        else:
            queries = interests[active]  # recall-R2; short histories have few: half the work
        return queries, np.concatenate([[0], np.cumsum(rows)])

    def hidden(self, part: slice) -> Iterator[Ints]:
        """Yield for each block of items who must not see what: pairs (H, 2) of case and column."""
        blocks = -(-len(self.items) // WIDTH)
        if self.exclude is None:
            yield from [np.zeros((0, 2), np.int64)] * blocks
            return
        rows = rows_of(self.exclude, part.start, part.stop)
        block, columns = np.divmod(rows.values, WIDTH)
        pairs = np.stack([np.repeat(np.arange(len(rows)), rows.lengths), columns], axis=1)
        ends = np.cumsum(np.bincount(block, minlength=blocks))
        yield from np.split(pairs[np.argsort(block)], ends[:-1])
