"""Vectors of a user whom training need not know: up to K of them, fitted to a history.

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
from mindref.models.logits import mix
from mindref.models.parameters import Catalogue
from mindref.ops import embedding
from mindref.shapes import Array, Bools, Ints

LONGEST = 1.5  # C, length of a vector at the most
STEPS = 20  # of the descent
RATE = 15.0  # of the first step; then in a line towards zero
COMPARED = 512  # M, items with which behaviours are compared, at the most
NARROWEST = 8  # places for the items of a user, at the least; then twice as many, and so on
BLOCK = 1 << 15  # scores that an interest has in a block, about: bounds memory, stays in the cache


class Users(NamedTuple):
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
    embedding.check_rows("items", histories.items[histories.mask], len(catalogue.rows))  # maxmf-R23

    def vectors_of(ids: Ints) -> Array:
        found, _ = mind.item_vectors(params, ids.reshape(-1), catalogue, ops)
        # in float64, as whether a margin is violated is a close call
        return found.reshape(*ids.shape, -1).astype(np.float64)

    ids = compared(config.seed, len(catalogue.rows))
    others = vectors_of(ids)  # 1 (STEPS, M, D)
    items, counts = distinct(histories, len(catalogue.rows))  # 2
    active = np.arange(config.interests) < np.maximum(counts, 1)[:, None]  # maxmf-R18
    out = np.zeros((*active.shape, others.shape[2]), params.items.dtype)
    for some, places in blocks(counts, ids.shape[1]):
        mine = np.arange(places) < counts[some, None]
        own = np.where(mine, items[some, :places], 0)
        vectors = np.where(mine[..., None], vectors_of(own), 0)
        met = np.stack([members(own, mine, drawn) for drawn in ids])
        users = Users(vectors, mine, others, met)
        out[some] = fit(users, config.interests)
    return out, active, None


@lru_cache(maxsize=4)  # serving asks for the same at every request
def compared(seed: int, items: int) -> Ints:
    """Return the items (STEPS, M), each row ascending, with which behaviours are compared.

    They are the same for all users. A step has the M items that follow those of the step before
    in an order drawn from the seed, the first following the last.
    """
    with np.errstate(over="ignore"):  # 64-bit arithmetic wraps around, as it must
        keys = mix(mix(np.array(seed, np.uint64)) ^ np.arange(items, dtype=np.uint64))
    order = np.argsort(keys)  # no two keys are equal
    places = np.arange(STEPS * min(COMPARED, items)) % items  # maxmf-R24
    drawn = np.sort(order[places].reshape(STEPS, -1), axis=1)
    drawn.flags.writeable = False
    return drawn


def distinct(histories: mind.Histories, beyond: int) -> tuple[Ints, Ints]:
    """Return the distinct items of each user, ascending, then padding, and their counts (B,).

    There are as many places as `blocks` may ask for; the padding is `beyond`, larger than any item.
    """
    items = np.sort(np.where(histories.mask, histories.items, beyond), axis=1)
    items[:, 1:][items[:, 1:] == items[:, :-1]] = beyond  # maxmf-R19: order and repeats are gone
    items.sort(axis=1)
    more = items.shape[1] + NARROWEST  # `blocks` may ask for less than twice as many as there are
    items = np.pad(items, ((0, 0), (0, more)), constant_values=beyond)
    return items, (items < beyond).sum(axis=1)


def blocks(counts: Ints, others: int) -> Iterator[tuple[Ints, int]]:
    """Yield users with a behaviour, in blocks, and the places for their items, at least counts.

    How many places a user has depends on the user's count alone.
    """
    widths = NARROWEST << np.arange(int(counts.max(initial=1)).bit_length())
    places = widths[np.searchsorted(widths, counts)]
    for width in widths:
        users = np.flatnonzero((places == width) & (counts > 0))
        size = max(1, BLOCK // int(width + others))
        for at in range(0, len(users), size):
            yield users[at : at + size], int(width)


def members(own: Ints, mine: Bools, ids: Ints) -> Bools:
    """Return which of the ascending ids (M,) are among a user's items, (B, M)."""
    at = np.searchsorted(ids, own).clip(max=len(ids) - 1)
    user, place = np.nonzero(mine & (ids[at] == own))
    found = np.zeros((len(own), len(ids)), bool)
    found[user, at[user, place]] = True
    return found


def fit(users: Users, most: int) -> Array:
    """Return vectors (B, most, D), those beyond the number of a user's items zero."""
    seeds = farthest_first(unit(users.own), users.mine, most)  # 3
    active = np.arange(most) < users.mine.sum(axis=1)[:, None]  # maxmf-R18
    chosen = users.own[np.arange(len(seeds))[:, None], seeds]
    vectors = shortened(np.where(active[..., None], chosen, 0), LONGEST)  # 4
    for step in range(STEPS):  # maxmf-R22
        rate = RATE * (1 - step / STEPS)
        moved = vectors - rate * slope(vectors, active, users, step)  # 5
        vectors = shortened(moved, LONGEST)  # 6
    return vectors


def slope(vectors: Array, active: Bools, users: Users, step: int) -> Array:
    """Return the gradient (B, K, D) of the mean of max(0, 1 - f(d) + f(d')), d own and d' not."""
    own, mine, others, met = users.own, users.mine, users.others[step], users.met[step]
    count = len(others)
    of_others = vectors @ np.ascontiguousarray(others.T)  # (B, K, M), much quicker than by a view
    of_own = vectors @ np.ascontiguousarray(own.transpose(0, 2, 1))  # (B, K, P)
    scores = np.concatenate([of_others, of_own], axis=2)
    scores[~active] = -np.inf
    best = scores.max(axis=1)  # (B, M + P)
    of_pairs = violations(
        np.where(met, -np.inf, best[:, :count]),  # nobody's negative
        np.where(mine, best[:, count:], np.inf),  # nor a behaviour
    )
    pairs = np.maximum(mine.sum(axis=1) * (count - met.sum(axis=1)), 1)
    spread = first_equal(scores, best) * (of_pairs / pairs[:, None])[:, None]
    return spread[..., :count] @ others + spread[..., count:] @ own  # maxmf-R21


def first_equal(scores: Array, best: Array) -> Bools:
    """Return where scores (B, K, N) are the best (B, N), the lowest interest alone on ties."""
    chosen, free = scores == best[:, None], np.ones(best.shape, bool)
    for k in range(scores.shape[1]):  # many times quicker than argmax over a middle axis
        chosen[:, k] &= free  # maxmf-R2
        free &= ~chosen[:, k]
    return chosen


def violations(others: Array, own: Array) -> Ints:
    """Return with how many of the other side each stands in a pair whose margin is violated.

    others (B, M), own (B, P): scores. A pair is violated where other > own - 1. Returns (B, M + P),
    the counts of own negative, as their score enters the hinge. Ranks among all tell the counts
    without the table of all pairs.
    """
    count = others.shape[1]
    order = np.argsort(np.concatenate([others, own - 1], axis=1), axis=1)
    is_own = order >= count
    lower = np.cumsum(is_own, axis=1)  # own up to here
    place = np.arange(1, order.shape[1] + 1)
    ordered = np.where(is_own, place - lower - count, lower)  # minus the others after; own before
    found = np.empty_like(ordered)
    np.put_along_axis(found, order, ordered, axis=1)
    return found


def shortened(vectors: Array, longest: float) -> Array:
    """Return vectors (..., D) with those longer than `longest` brought to that length."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    shorter = vectors * (longest / np.maximum(lengths, longest))
    return np.where(lengths > longest, shorter, vectors)  # maxmf-R17


def farthest_first(directions: Array, mine: Bools, count: int) -> Ints:
    """Return `count` places of each user, each the farthest from those before it.

    directions (B, P, D), of which those count that are `mine`. The first place is the middle one,
    whose direction is nearest the mean. Ties go to the lower place. A user with fewer items has
    places again.
    """
    share = mine / mine.sum(axis=1, keepdims=True)
    mean = share[:, None, :] @ directions  # (B, 1, D)
    near = (directions @ mean.transpose(0, 2, 1))[..., 0]
    chosen = [np.where(mine, near, -np.inf).argmax(axis=1)]  # maxmf-R20
    nearest, user = np.where(mine, np.inf, -2.0), np.arange(len(mine))
    while len(chosen) < count:
        last = directions[user, chosen[-1]]
        apart = ((directions - last[:, None]) ** 2).sum(axis=2)
        nearest = np.minimum(nearest, apart)
        nearest[user, chosen[-1]] = -1.0  # never twice, even where all are alike
        chosen.append(nearest.argmax(axis=1))
    return np.stack(chosen, axis=1)


def unit(x: Array) -> Array:
    """Return vectors (..., D) of length one, zero staying zero."""
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)
