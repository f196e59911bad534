"""The n best items of each user: exact, in bounded memory, the same for any size of block.

Spec: specs/recall.md. Scores are first computed as large matrix products, whose last bits depend
on the shape of the product; so a few more items than asked are kept, and their scores are computed
again, one product at a time, before they are put in order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, ShapeError, say
from mindref.shapes import Array, Bools, Ints, bind, same_float

SCORES = ("max", "sum")
BLOCK = (
    1 << 22
)  # numbers held at once, 16 or 32 MB: large enough for the matrix product to be quick
WIDTH = 1 << 14  # items in a block
SPARE = 16  # kept beyond n, for items whose scores differ in the last bits only


class Ranked(NamedTuple):
    """A list of n items per case, best first; a place that nothing fills is -1, -inf, -1."""

    items: Ints  # (C, n) dense item ids
    scores: Array  # (C, n) never rising along a list
    interests: Ints  # (C, n) which interest brought the item, from 0


def top_n(
    interests: Array,
    active: Bools,
    items: Array,
    *,
    n: int,
    exclude: Ragged | None = None,
    score: str = "max",
    block: int = BLOCK,
) -> Ranked:
    """Rank the catalogue for each case and return its n best items.

    interests (C, K, D) and items (N, D), both float32 or both float64 and finite; active (C, K);
    exclude: per case the items that must not appear. The score of an item is the maximum of its
    products with the active interests, or their sum. `block` bounds the numbers held at once.
    Spec: recall-R1 to recall-R8. Raises ShapeError, ConfigError or DataError.
    """
    check(interests, active, items, n=n, exclude=exclude, score=score)
    queries = np.where(active[..., None], interests, interests.dtype.type(0))
    cases, width = len(queries), min(WIDTH, len(items))
    kept = min(n + SPARE, len(items))
    rows = max(1, block // (queries.shape[1] * width + kept * items.shape[1]))
    parts = []
    for start in range(0, max(cases, 1), rows):
        part = slice(start, start + rows)
        hidden = None if exclude is None else rows_of(exclude, start, min(start + rows, cases))
        found = candidates(queries[part], active[part], items, kept, hidden, score)
        parts.append(rerank(queries[part], active[part], items, found, n=n, score=score))
    return Ranked(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def popularity(counts: Ints, cases: int, *, n: int, exclude: Ragged | None = None) -> Ranked:
    """Rank by counts (N,) for everyone: the baseline that knows no user. The score is the count."""
    one = np.ones((cases, 1, 1))
    items = np.asarray(counts, dtype=np.float64)[:, None]
    return top_n(one, one[..., 0] > 0, items, n=n, exclude=exclude)  # metrics-R24


def random(
    rng: np.random.Generator, n_items: int, cases: int, *, n: int, exclude: Ragged | None = None
) -> Ranked:
    """Rank by a uniform number per case and item: the baseline that knows nothing.

    Numbers are drawn case by case, so that the lists do not depend on blocks.
    """
    check_list(n, "random")
    rows, parts = max(1, BLOCK // n_items), []
    for start in range(0, max(cases, 1), rows):
        stop = min(start + rows, cases)
        scores = rng.random((stop - start, n_items))  # metrics-R25
        hide(scores, None if exclude is None else rows_of(exclude, start, stop), 0)
        parts.append(in_order(highest(scores, min(n, n_items)), scores, n))
    return Ranked(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def in_order(columns: Ints, scores: Array, n: int) -> Ranked:
    """Put the chosen columns (C, M) of scores (C, N) in order, for lists without interests."""
    chosen = np.take_along_axis(scores, columns, axis=1)
    return fill(columns, chosen, np.zeros_like(columns), n)


def candidates(
    queries: Array, active: Bools, items: Array, kept: int, hidden: Ragged | None, score: str
) -> Ints:
    """Return the `kept` best items of each case, ascending by id, -1 for a place left empty."""
    best_ids = np.zeros((len(queries), 0), np.int64)
    best = np.zeros((len(queries), 0), items.dtype)
    for first in range(0, len(items), WIDTH):
        scores = block_scores(queries, active, items[first : first + WIDTH], score)
        hide(scores, hidden, first)
        columns = highest(scores, kept)
        # both halves ascend by id, the second after the first: a lower column is a lower id
        best = np.hstack([best, np.take_along_axis(scores, columns, axis=1)])
        best_ids = np.hstack([best_ids, columns + first])
        columns = highest(best, kept)
        best = np.take_along_axis(best, columns, axis=1)
        best_ids = np.take_along_axis(best_ids, columns, axis=1)
    return np.where(best > -np.inf, best_ids, -1)


def block_scores(queries: Array, active: Bools, items: Array, score: str) -> Array:
    """Return the scores (C, W) of a block of items, in one matrix product."""
    cases, interests, width = queries.shape
    if score == "sum":  # the sum of products is the product with the sum: inactive queries are 0
        scores: Array = queries.sum(axis=1) @ items.T
        scores[~active.any(axis=1)] = -np.inf
        return scores
    products = (queries.reshape(-1, width) @ items.T).reshape(cases, interests, len(items))
    products[~active] = -np.inf  # recall-R2
    best: Array = products.max(axis=1)
    return best


def hide(scores: Array, hidden: Ragged | None, first: int) -> None:
    """Put -inf where an excluded item stands in a block of scores that starts at item `first`."""
    if hidden is not None:
        cases = np.repeat(np.arange(len(hidden)), hidden.lengths)
        columns = hidden.values - first
        here = (columns >= 0) & (columns < scores.shape[1])
        scores[cases[here], columns[here]] = -np.inf  # recall-R4


def highest(scores: Array, m: int) -> Ints:
    """Return the columns of the m largest of each row, ascending; among equals the lower column."""
    rows, width = scores.shape
    if width <= m:
        return np.broadcast_to(np.arange(width), (rows, width))
    threshold = np.partition(scores, width - m, axis=1)[:, width - m, None]
    keep = scores >= threshold
    crowded = np.count_nonzero(keep, axis=1) > m
    if crowded.any():
        above = scores[crowded] > threshold[crowded]
        level = keep[crowded] & ~above
        room = m - np.count_nonzero(above, axis=1, keepdims=True)
        keep[crowded] = above | (level & (np.cumsum(level, axis=1) <= room))
    return np.nonzero(keep)[1].reshape(rows, m)


def rerank(
    interests: Array, active: Bools, items: Array, candidates: Ints, *, n: int, score: str = "max"
) -> Ranked:
    """Put distinct candidates (C, M), -1 for none, in order of their exact scores; n best of each.

    Each product is summed over its D terms by itself: it does not depend on what else is asked.
    """
    products = np.einsum("ckd,cmd->ckm", interests, items[candidates])  # recall-R6
    shown = active[:, :, None] & (candidates >= 0)[:, None, :]
    ranked = np.where(shown, products, -np.inf)
    brought = ranked.argmax(axis=1)  # recall-R5: the first of equals
    if score == "sum":
        scores = np.where(shown, products, 0).sum(axis=1)  # recall-R3
        scores = np.where(shown.any(axis=1), scores, -np.inf)
    else:
        scores = ranked.max(axis=1)  # recall-R1
    return fill(candidates, scores.astype(items.dtype, copy=False), brought, n)


def fill(ids: Ints, scores: Array, interests: Ints, n: int) -> Ranked:
    """Order by falling score, then rising id, cut at n; -1, -inf, -1 where nothing is left."""
    order = np.lexsort((ids, -scores), axis=1)[:, :n]  # recall-R7
    shape = (len(ids), n)
    out = Ranked(np.full(shape, -1), np.full(shape, -np.inf, scores.dtype), np.full(shape, -1))
    for target, source in zip(out, (ids, scores, interests), strict=True):
        target[:, : order.shape[1]] = np.take_along_axis(source, order, axis=1)
    empty = np.isneginf(out.scores)  # recall-R8
    out.items[empty] = out.interests[empty] = -1
    return out


def rows_of(rows: Ragged, start: int, stop: int) -> Ragged:
    """Return rows start .. stop - 1 as views."""
    offsets = rows.offsets[start : stop + 1]
    return Ragged(offsets - offsets[0], rows.values[offsets[0] : offsets[-1]])


def check(
    interests: Array, active: Bools, items: Array, *, n: int, exclude: Ragged | None, score: str
) -> None:
    """Raise on shapes, types and values that cannot be ranked."""
    where = "ranking"
    bind(where, interests=(interests, "CKD"), active=(active, "CK"), items=(items, "ND"))
    same_float(where, interests=interests, items=items)
    check_list(n, where)
    if score not in SCORES:
        raise ConfigError(say(f"{where}: score", " or ".join(SCORES), repr(score)))
    if 0 in (*interests.shape[1:], len(items)):
        raise ShapeError(say(where, "at least one interest, item and dimension", interests.shape))
    check_exclude(exclude, len(interests), len(items))
    check_values(where, interests[active], items)


def check_list(n: int, where: str) -> None:
    """Raise ConfigError unless a list of n items can be asked for."""
    if n < 1:
        raise ConfigError(say(f"{where}: n", "an integer of at least 1", n))


def check_exclude(exclude: Ragged | None, cases: int, n_items: int) -> None:
    """Raise unless there is a row of known items for each case."""
    if exclude is None:
        return
    if len(exclude) != cases:
        raise ShapeError(say("ranking: exclude", f"{cases} rows, one a case", len(exclude)))
    if len(exclude.values) and not 0 <= exclude.values.min() <= exclude.values.max() < n_items:
        span = f"{exclude.values.min()} to {exclude.values.max()}"
        raise DataError(say("ranking: exclude", f"item ids from 0 to {n_items - 1}", span))


def check_values(where: str, queries: Array, items: Array) -> None:
    """Raise DataError on NaN, infinity, or lengths whose square or product leaves the type.

    One pass over the vectors decides; which of them is to blame is looked up only on an error.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = [np.einsum("nd,nd->n", rows, rows).max(initial=0) for rows in (queries, items)]
        bound = np.prod(np.sqrt(squares))
    if bound < np.finfo(items.dtype).max and np.isfinite(squares).all():  # recall-R9
        return
    todo = "a model that diverged wants a lower learning rate"
    for name, rows in (("interests", queries), ("items", items)):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            got = f"NaN or infinity in row {bad[0]}"
            raise DataError(say(f"{where}: {name}", "finite numbers", got, todo))
    raise DataError(say(where, f"products within {items.dtype}", f"up to {bound:.3g}", todo))
