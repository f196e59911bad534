"""Up to K vectors of a user, fitted to the history at serving; the user need not be in training.

Spec: specs/maxmf.md (serving). Source: Weston, Weiss and Yee, RecSys 2013, whose parallel training
fits the users one by one while the items stand still. Differs: by the gradient over all pairs of
a behaviour and one of the items compared, which are the same for all users.

Users of a block are computed side by side, yet each by products of matrices of their own, whose
shapes depend on the user alone: a product of other shape may round otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as reference
from mindref.config import Config
from mindref.models import mind
from mindref.models.logits import mix_words
from mindref.models.parameters import Catalogue
from mindref.ops import embedding
from mindref.shapes import Array, Bools, Ints

LONGEST = 1.5  # C, length of a vector at the most
STEPS = 20  # of the descent
RATE = 15.0  # of the first step; then in a line towards zero
COMPARED = 512  # M, items with which behaviours are compared, at the most
NARROWEST = 8  # places for the items of a user, at the least; then twice as many, and so on
BLOCK = 1 << 15  # scores that an interest has in a block, about: bounds memory, stays in the cache


class UserBlock(NamedTuple):
    """Users of a block: their items and those with which they are compared."""

    own: Array  # (B, P, D) distinct items, zero in places beyond
    mine: Bools  # (B, P) True where an item stands
    others: Array  # (STEPS, M, D) items compared at each step, the same for all users
    met: Bools  # (STEPS, B, M) those that the user has, which are compared with nothing


def interests(
    params: Any,
    histories: mind.Histories,
    catalogue: Catalogue,
    config: Config,
    ops: Any = reference,
) -> tuple[Array, Bools, None]:
    """Map histories to interests (B, K, D), zero where inactive, and active (B, K).

    Every behaviour that is given counts, however many. A user has as many interests as distinct
    items, K at the most; without any, one, which is zero. Nothing is drawn but the items compared,
    from the seed, and each user is fitted alone: the same items give the same bytes in any order,
    padding and company.
    Raises ShapeError for an item that the catalogue does not have.
    """
    embedding.check_row_indices(
        "items", histories.items[histories.mask], len(catalogue.rows)
    )  # maxmf-R23

    def vectors_of(ids: Ints) -> Array:
        item_vectors, _ = mind.item_vectors(params, ids.reshape(-1), catalogue, ops)
        # in float64, as whether a margin is violated is a close call
        return item_vectors.reshape(*ids.shape, -1).astype(np.float64)

    ids = comparison_items(config.seed, len(catalogue.rows))
    negatives = vectors_of(ids)  # 1 (STEPS, M, D)
    items, counts = distinct_items(histories, len(catalogue.rows))  # 2
    active = np.arange(config.interests) < np.maximum(counts, 1)[:, None]  # maxmf-R18
    out = np.zeros((*active.shape, negatives.shape[2]), params.items.dtype)
    for some, places in user_blocks(counts, ids.shape[1]):
        is_item = np.arange(places) < counts[some, None]
        user_items = np.where(is_item, items[some, :places], 0)
        vectors = np.where(is_item[..., None], vectors_of(user_items), 0)
        met = np.stack([user_members(user_items, is_item, drawn) for drawn in ids])
        users = UserBlock(vectors, is_item, negatives, met)
        out[some] = fit_user_vectors(users, config.interests)
    return out, active, None


@lru_cache(maxsize=4)  # serving asks for the same at every request
def comparison_items(seed: int, items: int) -> Ints:
    """Return the items (STEPS, M), each row ascending, with which behaviours are compared.

    They are the same for all users. A step has the M items that follow those of the step before
    in an order drawn from the seed, the first following the last.
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

    There are as many columns as `user_blocks` may need; the padding is `beyond`, larger than any
    item.
    """
    items = np.sort(np.where(histories.mask, histories.items, beyond), axis=1)
    items[:, 1:][items[:, 1:] == items[:, :-1]] = beyond  # maxmf-R19: order and repeats are gone
    items.sort(axis=1)
    num_padding = (
        items.shape[1] + NARROWEST
    )  # `user_blocks` may ask for less than twice as many as there are
    items = np.pad(items, ((0, 0), (0, num_padding)), constant_values=beyond)
    return items, (items < beyond).sum(axis=1)


def user_blocks(counts: Ints, num_negatives: int) -> Iterator[tuple[Ints, int]]:
    """Yield users with a behaviour, in blocks, and the places for their items, at least counts.

    How many places a user has depends on the user's count alone.
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
    """Return vectors (B, most, D), those beyond the number of a user's items zero."""
    seeds = farthest_first(unit_vectors(users.own), users.mine, most)  # 3
    active = np.arange(most) < users.mine.sum(axis=1)[:, None]  # maxmf-R18
    chosen = users.own[np.arange(len(seeds))[:, None], seeds]
    vectors = limit_lengths(np.where(active[..., None], chosen, 0), LONGEST)  # 4
    for step in range(STEPS):  # maxmf-R22
        rate = RATE * (1 - step / STEPS)
        moved = vectors - rate * margin_gradient(vectors, active, users, step)  # 5
        vectors = limit_lengths(moved, LONGEST)  # 6
    return vectors


def margin_gradient(vectors: Array, active: Bools, users: UserBlock, step: int) -> Array:
    """Return the gradient (B, K, D) of the mean of max(0, 1 - f(d) + f(d')), d own and d' not."""
    positives, is_item, negatives, met = users.own, users.mine, users.others[step], users.met[step]
    count = len(negatives)
    of_others = vectors @ np.ascontiguousarray(
        negatives.T
    )  # (B, K, M), much quicker than by a view
    of_own = vectors @ np.ascontiguousarray(positives.transpose(0, 2, 1))  # (B, K, P)
    scores = np.concatenate([of_others, of_own], axis=2)
    scores[~active] = -np.inf
    best = scores.max(axis=1)  # (B, M + P)
    of_pairs = count_violations(
        np.where(met, -np.inf, best[:, :count]),  # nobody's negative
        np.where(is_item, best[:, count:], np.inf),  # nor a behaviour
    )
    pairs = np.maximum(is_item.sum(axis=1) * (count - met.sum(axis=1)), 1)
    spread = first_equal(scores, best) * (of_pairs / pairs[:, None])[:, None]
    return spread[..., :count] @ negatives + spread[..., count:] @ positives  # maxmf-R21


def first_equal(scores: Array, best: Array) -> Bools:
    """Return where scores (B, K, N) are the best (B, N), the lowest interest alone on ties."""
    chosen, free = scores == best[:, None], np.ones(best.shape, bool)
    for k in range(scores.shape[1]):  # many times quicker than argmax over a middle axis
        chosen[:, k] &= free  # maxmf-R2
        free &= ~chosen[:, k]
    return chosen


def count_violations(negatives: Array, positives: Array) -> Ints:
    """Return with how many of the other side each stands in a pair whose margin is violated.

    negatives (B, M), positives (B, P): scores. A pair is violated if negative > positive - 1.
    Returns (B, M + P), negated for positives, as their score enters the hinge. Ranks among all
    scores give the counts without the table of all pairs.
    """
    count = negatives.shape[1]
    order = np.argsort(np.concatenate([negatives, positives - 1], axis=1), axis=1)
    is_own = order >= count
    lower = np.cumsum(is_own, axis=1)  # own up to here
    position = np.arange(1, order.shape[1] + 1)
    ordered = np.where(
        is_own, position - lower - count, lower
    )  # minus the others after; own before
    counts = np.empty_like(ordered)
    np.put_along_axis(counts, order, ordered, axis=1)
    return counts


def limit_lengths(vectors: Array, longest: float) -> Array:
    """Return vectors (..., D) with those longer than `longest` brought to that length."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    shorter = vectors * (longest / np.maximum(lengths, longest))
    return np.where(lengths > longest, shorter, vectors)  # maxmf-R17


def farthest_first(directions: Array, is_item: Bools, count: int) -> Ints:
    """Return `count` places of each user, each the farthest from those before it.

    directions (B, P, D), of which those count that are `mine`. The first place is the middle one,
    whose direction is nearest the mean. Ties go to the lower place. A user with fewer items has
    places again.
    """
    share = is_item / is_item.sum(axis=1, keepdims=True)
    mean = share[:, None, :] @ directions  # (B, 1, D)
    near = (directions @ mean.transpose(0, 2, 1))[..., 0]
    chosen = [np.where(is_item, near, -np.inf).argmax(axis=1)]  # maxmf-R20
    nearest, user = np.where(is_item, np.inf, -2.0), np.arange(len(is_item))
    while len(chosen) < count:
        last = directions[user, chosen[-1]]
        apart = ((directions - last[:, None]) ** 2).sum(axis=2)
        nearest = np.minimum(nearest, apart)
        nearest[user, chosen[-1]] = -1.0  # never twice, even where all are alike
        chosen.append(nearest.argmax(axis=1))
    return np.stack(chosen, axis=1)


def unit_vectors(x: Array) -> Array:
    """Return vectors (..., D) of length one, zero staying zero."""
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)
