"""Compiled selection and order of the top-n items, for `mindref.evaluation.top_n`.

Spec: specs/recall.md. `keep` meets the products of a block of users with block after block of the
catalogue, and holds the best items of each user in a pool; `best_first` scores what is left in the
pools again, one product at a time, and puts it in order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import jit
from mindref.shapes import Array, Ints

STRIDE = 32  # places that are compared with a threshold at once
HALVINGS = 24  # of a range, until a number is found that parts the best from the rest


class Pools(NamedTuple):
    """The best items so far of a block of users, each row ascending by id."""

    ids: Ints  # (U, P)
    scores: Array  # (U, P)
    sizes: Ints  # (U,) places in use
    floors: Array  # (U,) a later item must score more than this


def pools(users: int, kept: int, dtype: Any) -> Pools:
    """Return empty pools: what comes above the `kept` best is cleared out once a pool is full."""
    shape = (users, room(kept))
    floors = np.full(users, -np.inf, dtype)
    return Pools(np.zeros(shape, np.int64), np.zeros(shape, dtype), np.zeros(users, int), floors)


def room(kept: int) -> int:
    """Return the places of a pool; with too few it is cleared out too often."""
    return 2 * kept + 8 * STRIDE


@jit
def keep(
    products: Array,
    bounds: Ints,
    first: int,
    hidden: Ints,
    kept: int,
    ids: Ints,
    pooled: Array,
    sizes: Ints,
    floors: Array,
) -> None:
    """Let the items first .. first + W - 1 into the pools of those users whose best they may be.

    products (R, W): the rows from bounds[u] to bounds[u + 1] are of user u, whose score is their
    maximum; hidden (H, 2): user and column of what must not appear.
    """
    width = products.shape[1]
    for h in range(len(hidden)):
        for r in range(bounds[hidden[h, 0]], bounds[hidden[h, 0] + 1]):
            products[r, hidden[h, 1]] = -np.inf  # recall-R4
    scores = np.empty(-(-width // STRIDE) * STRIDE, products.dtype)
    scores[width:] = -np.inf
    for u in range(len(sizes)):
        if bounds[u] == bounds[u + 1]:
            continue
        highest(products[bounds[u] : bounds[u + 1]], scores)
        size, floor = sizes[u], floors[u]
        for start in range(0, width, STRIDE):
            if not count_above(scores[start : start + STRIDE], floor):
                continue
            for w in range(start, start + STRIDE):  # no branch: what is not above is overwritten
                ids[u, size] = first + w
                pooled[u, size] = scores[w]
                size += scores[w] > floor
            if size + STRIDE > ids.shape[1]:
                floor = clear(ids[u, :size], pooled[u, :size], kept)
                size = kept
        sizes[u], floors[u] = size, floor


@jit
def highest(products: Array, scores: Array) -> None:
    """Write the largest of each column of products (R, W) to the first W scores."""
    for w in range(products.shape[1]):
        scores[w] = products[0, w]
    for r in range(1, products.shape[0]):
        for w in range(products.shape[1]):
            scores[w] = max(scores[w], products[r, w])  # recall-R1


@jit
def clear(ids: Ints, scores: Array, kept: int) -> Any:
    """Move the `kept` best of a pool to its front, their order unchanged; return a floor below.

    Among equals the first stay, which are the lower ids.
    """
    floor = between(scores, kept)
    room = kept - count_above(scores, floor)  # for those that are equal to the floor
    if room > 0:
        floor = largest(scores.copy(), kept)
        room = kept - count_above(scores, floor)
    size = 0
    for i in range(len(scores)):
        ids[size], scores[size] = ids[i], scores[i]
        level = scores[i] == floor and room > 0
        room -= level
        size += scores[size] > floor or level
    return floor


@jit
def count_above(scores: Array, floor: Any) -> int:
    """Return how many of the scores are larger than the floor."""
    count = 0
    for i in range(len(scores)):
        count += scores[i] > floor
    return count


@jit
def between(scores: Array, kept: int) -> Any:
    """Return a number that `kept` of more scores are larger than, or fewer if none is soon found.

    Halving the range guesses no branch wrong, which costs more than to count again.
    """
    low, high = scores[0], scores[0]
    for i in range(len(scores)):
        low, high = min(low, scores[i]), max(high, scores[i])
    half = scores.dtype.type(0.5)
    for _ in range(HALVINGS):
        middle = half * low + half * high
        count = count_above(scores, middle)
        if count == kept:
            return middle
        if count > kept:
            low = middle
        else:
            high = middle
    return high


@jit
def largest(x: Array, m: int) -> Any:
    """Return the m-th largest number of x (N,), whose order is lost. Hoare's selection."""
    low, high, place = 0, len(x) - 1, m - 1
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
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return x[place]


@jit
def settle(ids: Ints, scores: Array, sizes: Ints, kept: int) -> None:
    """Leave the `kept` best in each pool, and -1 in the places after them."""
    for u in range(len(sizes)):
        size = sizes[u]
        if size > kept:
            clear(ids[u, :size], scores[u, :size], kept)
        ids[u, min(size, kept) :] = -1


@jit
def best_first(
    interests: Array,
    active: Any,
    items: Array,
    ids: Ints,
    by_sum: bool,
    best: Ints,
    scores: Array,
    brought: Ints,
) -> None:
    """Write the best of the candidates ids (C, M), each once or -1, to lists of length n.

    Lists come filled with -1, -inf and -1; best, scores and brought (C, n) are written as far as
    there are items. interests (C, K, D), active (C, K), items (N, D).
    """
    length = ids.shape[1]
    some, which = np.empty(length, np.int64), np.empty(length, np.int64)
    values = np.empty(length, items.dtype)
    order, spare = np.empty(length, np.int64), np.empty(length, np.int64)
    for c in range(ids.shape[0]):
        if count_above(active[c], False) == 0:  # none is active
            continue
        size = 0
        for m in range(length):
            if ids[c, m] >= 0:
                some[size] = ids[c, m]
                item = items[ids[c, m]]
                values[size], which[size] = score(interests[c], active[c], item, by_sum)
                order[size] = size
                size += 1
        sort(order[:size], spare, values, some)
        for place in range(min(size, best.shape[1])):
            chosen = order[place]
            best[c, place], brought[c, place] = some[chosen], which[chosen]
            scores[c, place] = values[chosen]


@jit
def score(interests: Array, active: Any, item: Array, by_sum: bool) -> Any:
    """Return the score of an item and which interest brings it: the first of equals, recall-R5."""
    top, total, which = item.dtype.type(-np.inf), item.dtype.type(0), -1
    for k in range(len(active)):
        if active[k]:
            value = product(interests[k], item)
            total += value  # recall-R3
            if value > top or which < 0:
                top, which = value, k
    return (total if by_sum else top), which


@jit
def product(x: Array, y: Array) -> Any:
    """Return the sum over d of x[d] y[d]; its order is the compiler's, one for all: recall-R6."""
    total = x.dtype.type(0)
    for d in range(len(x)):
        total += x[d] * y[d]
    return total


@jit
def sort(order: Ints, spare: Ints, scores: Array, ids: Ints) -> None:
    """Order places by falling score, then rising id: recall-R7. Sorted runs are merged."""
    length = len(order)
    run = 1
    while run < length:
        for start in range(0, length, 2 * run):
            middle, end = min(start + run, length), min(start + 2 * run, length)
            i, j = start, middle
            for place in range(start, end):
                if j == end or (i < middle and comes_before(order[i], order[j], scores, ids)):
                    spare[place] = order[i]
                    i += 1
                else:
                    spare[place] = order[j]
                    j += 1
        for place in range(length):  # a slice would be compiled for a second: with its error's text
            order[place] = spare[place]
        run *= 2


@jit
def comes_before(a: int, b: int, scores: Array, ids: Ints) -> bool:
    """Return whether place a stands before place b."""
    return scores[a] > scores[b] or (scores[a] == scores[b] and ids[a] < ids[b])
