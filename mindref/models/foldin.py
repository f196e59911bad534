"""MaxMF at serving: up to K vectors of a user, fitted to the history. The user may be new.

Spec: specs/maxmf.md (serving). Source: Weston, Weiss and Yee, RecSys 2013: their parallel training
fits each user separately while the items are constant. Differs: the gradient is over all pairs of
a behaviour and a comparison item. The comparison items are the same for all users.

Users are computed in blocks. The shape of a user's matrices depends only on the number of the
user's items, because a matrix product of another shape may round differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.logits import mix_words
from mindref.models.parameters import Catalogue
from mindref.models.servable_items import ServableItems
from mindref.ops import REFERENCE, Operators, embedding
from mindref.shapes import Array, Bools, Ints

LONGEST = 1.5  # C, maximum length of a vector
STEPS = 20  # of gradient descent
RATE = 15.0  # learning rate of the first step; decreases linearly towards zero
COMPARED = 512  # M, maximum number of comparison items per step
TIE = 1e-9  # inner products and squared distances of directions this close are equal
NARROWEST = 8  # minimum P, the columns for a user's items; larger P are 2, 4, 8, ... times it
BLOCK = 1 << 15  # about the number of scores per interest in a block: fits the cache


class UserBlock(NamedTuple):
    """A block of users: their items and the comparison items."""

    items: Array  # (B, P, D) vectors of distinct items, zero for padding
    is_item: Bools  # (B, P) True for an item, False for padding
    negatives: Array  # (STEPS, M, D) comparison items of each step
    is_known: Bools  # (STEPS, B, M) comparison items of the user's history: ignored


def fit_interests(
    params: Any,
    histories: mind.Histories,
    catalogue: Catalogue,
    config: Config,
    ops: Operators = REFERENCE,
) -> tuple[Array, Bools, None]:
    """Map histories to interests (B, K, D), zero where inactive, and active (B, K).

    All behaviours of `histories` are used. A user has as many active interests as distinct items,
    at most K. A user without items has one active interest, a zero vector. Only the comparison
    items are random; they depend on the seed. The same set of items gives the same bytes in any
    order, with any padding and in any batch. Raises ShapeError for an item that is not in the
    catalogue.
    """
    # maxmf-R23
    embedding.check_row_indices("items", histories.items[histories.mask], len(catalogue.rows))

    def vectors_of(ids: Ints) -> Array:
        item_vectors, _ = mind.item_vectors(params, ids.reshape(-1), catalogue, ops)
        # float64: rounding can decide whether a margin is violated
        return item_vectors.reshape(*ids.shape, -1).astype(np.float64)

    servable = ServableItems.of(catalogue).ids
    ids = servable[comparison_items(config.seed, len(servable))]
    negatives = vectors_of(ids)  # 1 (STEPS, M, D)
    items, counts = distinct_items(histories, len(catalogue.rows))  # 2
    active = np.arange(config.interests) < np.maximum(counts, 1)[:, None]  # maxmf-R18
    out = np.zeros((*active.shape, negatives.shape[2]), params.items.dtype)
    for rows, width in user_blocks(counts, ids.shape[1]):
        is_item = np.arange(width) < counts[rows, None]
        user_items = np.where(is_item, items[rows, :width], 0)
        vectors = np.where(is_item[..., None], vectors_of(user_items), 0)
        is_known = np.stack([user_members(user_items, is_item, drawn) for drawn in ids])
        users = UserBlock(vectors, is_item, negatives, is_known)
        out[rows] = fit_user_vectors(users, config.interests)
    return out, active, None


@lru_cache(maxsize=4)  # serving uses the same items in every request
def comparison_items(seed: int, items: int) -> Ints:
    """Return the comparison items of each step (STEPS, M), ascending within a step.

    They are the same for all users. The seed orders the catalogue; step i takes the next M items
    of this order after step i - 1. After the last item, the first item follows.
    """
    with np.errstate(over="ignore"):  # 64-bit arithmetic wraps around, as it must
        keys = mix_words(mix_words(np.array(seed, np.uint64)) ^ np.arange(items, dtype=np.uint64))
    order = np.argsort(keys)  # no two keys are equal
    places = np.arange(STEPS * min(COMPARED, items)) % items  # maxmf-R24
    drawn = np.sort(order[places].reshape(STEPS, -1), axis=1)
    drawn.flags.writeable = False
    return drawn


def distinct_items(histories: mind.Histories, beyond: int) -> tuple[Ints, Ints]:
    """Return the distinct items of each user, ascending, then padding, and their counts (B,).

    The number of columns suffices for `user_blocks`. The padding is `beyond`, larger than any item.
    """
    # int64: a narrow type may not contain `beyond` (numerics-R15)
    items = np.sort(np.where(histories.mask, histories.items.astype(np.int64), beyond), axis=1)
    items[:, 1:][items[:, 1:] == items[:, :-1]] = beyond  # maxmf-R19: no order, no repeats
    items.sort(axis=1)
    # `user_blocks` uses fewer than 2 counts + NARROWEST columns
    num_padding = items.shape[1] + NARROWEST
    items = np.pad(items, ((0, 0), (0, num_padding)), constant_values=beyond)
    return items, (items < beyond).sum(axis=1)


def user_blocks(counts: Ints, num_negatives: int) -> Iterator[tuple[Ints, int]]:
    """Yield blocks of users that have a behaviour, and the number of columns P of each block.

    P is at least the user's count, and depends only on the count.
    """
    widths = NARROWEST << np.arange(int(counts.max(initial=1)).bit_length())
    places = widths[np.searchsorted(widths, counts)]
    for width in widths:
        users = np.flatnonzero((places == width) & (counts > 0))
        size = max(1, BLOCK // int(width + num_negatives))
        for start in range(0, len(users), size):
            yield users[start : start + size], int(width)


def user_members(user_items: Ints, is_item: Bools, ids: Ints) -> Bools:
    """Return which of the ascending ids (M,) are among a user's items, (B, M)."""
    index = np.searchsorted(ids, user_items).clip(max=len(ids) - 1)
    user, column = np.nonzero(is_item & (ids[index] == user_items))
    is_member = np.zeros((len(user_items), len(ids)), bool)
    is_member[user, index[user, column]] = True
    return is_member


def fit_user_vectors(users: UserBlock, most: int) -> Array:
    """Return vectors (B, most, D); vectors beyond the number of a user's items are zero."""
    seeds = farthest_first(unit_directions(users.items), users.is_item, most)  # 3
    active = np.arange(most) < users.is_item.sum(axis=1)[:, None]  # maxmf-R18
    chosen = users.items[np.arange(len(seeds))[:, None], seeds]
    vectors = limit_lengths(np.where(active[..., None], chosen, 0), LONGEST)  # 4
    for step in range(STEPS):  # maxmf-R22
        rate = RATE * (1 - step / STEPS)
        moved = vectors - rate * margin_gradient(vectors, active, users, step)  # 5
        vectors = limit_lengths(moved, LONGEST)  # 6
    return vectors


def margin_gradient(vectors: Array, active: Bools, users: UserBlock, step: int) -> Array:
    """Return the gradient (B, K, D) of the mean hinge max(0, 1 - f(d) + f(d')).

    d: an item of the user; d': a comparison item that the user does not have.
    """
    positives, is_item = users.items, users.is_item
    negatives, is_known = users.negatives[step], users.is_known[step]
    count = len(negatives)
    # (B, K, M); a transposed view would be much slower
    negative_scores = vectors @ np.ascontiguousarray(negatives.T)
    positive_scores = vectors @ np.ascontiguousarray(positives.transpose(0, 2, 1))  # (B, K, P)
    scores = np.concatenate([negative_scores, positive_scores], axis=2)
    scores[~active] = -np.inf
    best = scores.max(axis=1)  # (B, M + P)
    pair_counts = count_violations(
        np.where(is_known, -np.inf, best[:, :count]),  # items of the user are no negatives
        np.where(is_item, best[:, count:], np.inf),  # padding is no behaviour
    )
    pairs = np.maximum(is_item.sum(axis=1) * (count - is_known.sum(axis=1)), 1)
    spread = first_equal(scores, best) * (pair_counts / pairs[:, None])[:, None]
    return spread[..., :count] @ negatives + spread[..., count:] @ positives  # maxmf-R21


def first_equal(scores: Array, best: Array) -> Bools:
    """Return a mask (B, K, N) of the first interest whose score equals the best (B, N)."""
    chosen, free = scores == best[:, None], np.ones(best.shape, bool)
    for k in range(scores.shape[1]):  # many times faster than argmax over a middle axis
        chosen[:, k] &= free  # maxmf-R2
        free &= ~chosen[:, k]
    return chosen


def count_violations(negatives: Array, positives: Array) -> Ints:
    """Return for each score the number of violated pairs that contain it (B, M + P).

    negatives (B, M), positives (B, P): scores. A pair is violated if negative > positive - 1.
    The counts of positives are negative, because the hinge has -positive. The counts are computed
    from ranks, without the table of all pairs.
    """
    count = negatives.shape[1]
    order = np.argsort(np.concatenate([negatives, positives - 1], axis=1), axis=1)
    is_positive = order >= count
    positives_before = np.cumsum(is_positive, axis=1)  # positives up to this rank
    position = np.arange(1, order.shape[1] + 1)
    # -(negatives after it), or positives before it
    ordered = np.where(is_positive, position - positives_before - count, positives_before)
    counts = np.empty_like(ordered)
    np.put_along_axis(counts, order, ordered, axis=1)
    return counts


def limit_lengths(vectors: Array, longest: float) -> Array:
    """Return vectors (..., D); a vector longer than `longest` is scaled to that length."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    shorter = vectors * (longest / np.maximum(lengths, longest))
    return np.where(lengths > longest, shorter, vectors)  # maxmf-R17


def farthest_first(directions: Array, is_item: Bools, count: int) -> Ints:
    """Return `count` columns of each user, each farthest from all earlier ones (B, count).

    directions (B, P, D); only those with `is_item` are chosen. The first has the direction nearest
    the mean direction. Ties go to the lower column. For a user with fewer items, columns repeat.
    Without the tolerance TIE, rounding would choose the first of two directions.
    """
    share = is_item / is_item.sum(axis=1, keepdims=True)
    mean = share[:, None, :] @ directions  # (B, 1, D)
    near = (directions @ mean.transpose(0, 2, 1))[..., 0]
    chosen = [first_largest(np.where(is_item, near, -np.inf))]  # maxmf-R20
    nearest, user = np.where(is_item, np.inf, -2.0), np.arange(len(is_item))
    while len(chosen) < count:
        last = directions[user, chosen[-1]]
        apart = ((directions - last[:, None]) ** 2).sum(axis=2)
        nearest = np.minimum(nearest, apart)
        nearest[user, chosen[-1]] = -1.0  # not chosen again, even if all directions are equal
        chosen.append(first_largest(nearest))
    return np.stack(chosen, axis=1)


def first_largest(values: Array) -> Ints:
    """Return the first column of each row (B, P) whose value is within TIE of the largest (B,)."""
    columns: Ints = (values >= values.max(axis=1, keepdims=True) - TIE).argmax(axis=1)
    return columns  # maxmf-R25


def unit_directions(x: Array) -> Array:
    """Return vectors (..., D) of length one; a zero vector stays zero."""
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)
