"""Compiled selection, order and union of lists of items, for `mindref.recall.exact`.

Spec: specs/recall.md. `pool_block` reads the scores of a block of users and a block of items, and
keeps the best items of each user in a pool. `sort_candidates` computes the scores of the pooled
items again, one dot product at a time, and sorts them. `union_lists` joins lists of a user.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.kernels._jit import Number, jit
from mindref.shapes import Array, Bools, Ints

Cases = npt.NDArray[np.integer[Any]]
"""Numbers of cases, in the smallest integer type."""

STRIDE = 32  # scores that are compared with a threshold at once
HALVINGS = 24  # at most, of a range of scores, in the search for a separating score


class Pools(NamedTuple):
    """The best items so far of a block of users, each row ascending by id."""

    ids: Ints  # (U, P)
    scores: Array  # (U, P)
    sizes: Ints  # (U,) number of items
    floors: Array  # (U,) a later item must score more than this


def empty_pools(users: int, count: int, dtype: npt.DTypeLike) -> Pools:
    """Return empty pools. A full pool is pruned to the `count` best items."""
    shape = (users, pool_capacity(count))
    floors = np.full(users, -np.inf, dtype)
    return Pools(np.zeros(shape, np.int64), np.zeros(shape, dtype), np.zeros(users, int), floors)


def pool_capacity(count: int) -> int:
    """Return the capacity of a pool; a smaller pool would be pruned too often."""
    return 2 * count + 8 * STRIDE


@jit
def pool_block(
    products: Array,
    bounds: Ints,
    first: int,
    excluded: Ints,
    count: int,
    pools: Pools,
) -> None:
    """Add the items first .. first + W - 1 to the pools of users for whom they may be in the top n.

    products (R, W): rows bounds[u] to bounds[u + 1] belong to user u, whose score is their maximum.
    excluded (H, 2): user and column of an item that must not be in a pool.
    """
    ids, pooled, sizes, floors = pools
    width = products.shape[1]
    for h in range(len(excluded)):
        for r in range(bounds[excluded[h, 0]], bounds[excluded[h, 0] + 1]):
            products[r, excluded[h, 1]] = -np.inf  # recall-R4
    scores = np.empty(-(-width // STRIDE) * STRIDE, products.dtype)
    scores[width:] = -np.inf
    for u in range(len(sizes)):
        if bounds[u] == bounds[u + 1]:
            continue
        max_over_interests(products[bounds[u] : bounds[u + 1]], scores)
        size, floor = sizes[u], floors[u]
        for start in range(0, width, STRIDE):
            if not count_above(scores[start : start + STRIDE], floor):
                continue
            # no branch: the next item overwrites a score that is not above the floor
            for w in range(start, start + STRIDE):
                ids[u, size] = first + w
                pooled[u, size] = scores[w]
                size += scores[w] > floor
            if size + STRIDE > ids.shape[1]:
                floor = prune_pool(ids[u, :size], pooled[u, :size], count)
                size = count
        sizes[u], floors[u] = size, floor


@jit
def max_over_interests(products: Array, scores: Array) -> None:
    """Write the largest of each column of products (R, W) to the first W scores."""
    for w in range(products.shape[1]):
        scores[w] = products[0, w]
    for r in range(1, products.shape[0]):
        for w in range(products.shape[1]):
            scores[w] = max(scores[w], products[r, w])  # recall-R1


@jit
def prune_pool(ids: Ints, scores: Array, count: int) -> Number:
    """Move the `count` best items of a pool to its front, in the same order; return a lower floor.

    Among items of equal score the first stay; these have the lower ids.
    """
    floor = separating_score(scores, count)
    ties = count - count_above(scores, floor)  # items equal to the floor that stay
    if ties > 0:
        floor = nth_largest(scores.copy(), count)
        ties = count - count_above(scores, floor)
    size = 0
    for i in range(len(scores)):
        ids[size], scores[size] = ids[i], scores[i]
        tied = scores[i] == floor and ties > 0
        ties -= tied
        size += scores[size] > floor or tied
    return floor


@jit
def count_above(scores: Array | Bools, floor: Number | bool) -> int:
    """Return how many scores are larger than the floor."""
    count = 0
    for i in range(len(scores)):
        count += scores[i] > floor
    return count


@jit
def separating_score(scores: Array, count: int) -> Number:
    """Return a number that exactly `count` scores exceed, or fewer if the search is long.

    Bisection has no unpredictable branch; a mispredicted branch costs more than counting again.
    """
    low, high = scores[0], scores[0]
    for i in range(len(scores)):
        low, high = min(low, scores[i]), max(high, scores[i])
    half = scores.dtype.type(0.5)
    for _ in range(HALVINGS):
        middle = half * low + half * high
        above = count_above(scores, middle)
        if above == count:
            return middle
        if above > count:
            low = middle
        else:
            high = middle
    return high


@jit
def nth_largest(x: Array, m: int) -> Number:
    """Return the m-th largest number of x (N,), and reorder x. Hoare's selection."""
    low, high, index = 0, len(x) - 1, m - 1
    while low < high:
        pivot = x[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while x[i] > pivot:
                i += 1
            while x[j] < pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i, j = i + 1, j - 1
        if index <= j:
            high = j
        elif index >= i:
            low = i
        else:
            break
    return x[index]


@jit
def finish_pools(pools: Pools, count: int) -> None:
    """Prune each pool to the `count` best items, and write -1 after them."""
    ids, scores, sizes, _ = pools
    for u in range(len(sizes)):
        size = sizes[u]
        if size > count:
            prune_pool(ids[u, :size], scores[u, :size], count)
        ids[u, min(size, count) :] = -1


@jit
def sort_candidates(
    interests: Array,
    active: Bools,
    items: Array,
    ids: Ints,
    by_sum: bool,
    best: Ints,
    scores: Array,
    best_interest: Ints,
) -> None:
    """Write the top n of the candidates ids (C, M), each distinct or -1, to lists of length n.

    Lists are filled with -1, -inf and -1 before; best, scores and best_interest (C, n) are written
    as far as there are items. interests (C, K, D), active (C, K), items (N, D).
    """
    length = ids.shape[1]
    candidates, interest_of = np.empty(length, np.int64), np.empty(length, np.int64)
    values = np.empty(length, items.dtype)
    order, scratch = np.empty(length, np.int64), np.empty(length, np.int64)
    for c in range(ids.shape[0]):
        if count_above(active[c], False) == 0:  # none is active
            continue
        size = 0
        for m in range(length):
            if ids[c, m] >= 0:
                candidates[size] = ids[c, m]
                item = items[ids[c, m]]
                values[size], interest_of[size] = score_item(interests[c], active[c], item, by_sum)
                order[size] = size
                size += 1
        merge_sort(order[:size], scratch, values, candidates)
        for rank in range(min(size, best.shape[1])):
            index = order[rank]
            best[c, rank], best_interest[c, rank] = candidates[index], interest_of[index]
            scores[c, rank] = values[index]


@jit
def score_item(interests: Array, active: Bools, item: Array, by_sum: bool) -> tuple[Number, int]:
    """Return the score of an item and its best interest, the first among equals: recall-R5."""
    largest, total, best = item.dtype.type(-np.inf), item.dtype.type(0), -1
    for k in range(len(active)):
        if active[k]:
            value = dot_product(interests[k], item)
            total += value  # recall-R3
            if value > largest or best < 0:
                largest, best = value, k
    return (total if by_sum else largest), best


@jit
def dot_product(x: Array, y: Array) -> Number:
    """Return sum_d x[d] y[d], always in the same order: recall-R6."""
    total = x.dtype.type(0)
    for d in range(len(x)):
        total += x[d] * y[d]
    return total


@jit
def merge_sort(order: Ints, scratch: Ints, scores: Array, ids: Ints) -> None:
    """Sort indices by falling score, then rising id: recall-R7."""
    length = len(order)
    run = 1
    while run < length:
        for start in range(0, length, 2 * run):
            middle, end = min(start + run, length), min(start + 2 * run, length)
            i, j = start, middle
            for index in range(start, end):
                if j == end or (i < middle and comes_before(order[i], order[j], scores, ids)):
                    scratch[index] = order[i]
                    i += 1
                else:
                    scratch[index] = order[j]
                    j += 1
        for index in range(length):  # a slice would add a second of compilation
            order[index] = scratch[index]
        run *= 2


@jit
def comes_before(a: int, b: int, scores: Array, ids: Ints) -> bool:
    """Return whether index a comes before index b."""
    return scores[a] > scores[b] or (scores[a] == scores[b] and ids[a] < ids[b])


@jit
def union_lists(lists: Ints, offsets: Ints, excluded: Ints, seen: Cases, ids: Ints) -> int:
    """Write the distinct ids of each row of lists (C, M) to ids (C, M), then -1.

    Case c must not contain excluded[offsets[c] : offsets[c + 1]]. seen (N,) starts with zeros; it
    holds the number of the last case, from 1, that contained the item. Returns the largest number
    of ids of a row, or -1 for an id outside the catalogue.
    """
    widest = 0
    for c in range(lists.shape[0]):
        for h in range(offsets[c], offsets[c + 1]):
            seen[excluded[h]] = c + 1  # recall-R4
        size = 0
        for m in range(lists.shape[1]):
            item = lists[c, m]
            if item < -1 or item >= len(seen):
                return -1
            if item >= 0 and seen[item] != c + 1:  # recall-R18
                seen[item] = c + 1
                ids[c, size] = item
                size += 1
        ids[c, size:] = -1
        widest = max(widest, size)
    return widest
