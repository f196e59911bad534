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
# numbers held at once, 16 or 32 MB: large enough for the matrix product to be quick
BLOCK = 1 << 22
WIDTH = 1 << 13  # items in a block
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
    """Rank by counts (N,) for everyone: the baseline that knows no user. The score is the count.

    One order serves all; a case takes the first n of it that are not excluded.
    """
    scores = np.asarray(counts, dtype=np.float64)
    check_list(n, "popularity")
    check_exclude(exclude, cases, len(scores))
    order = np.lexsort((np.arange(len(scores)), -scores))  # metrics-R24
    longest = 0 if exclude is None else int(exclude.lengths.max(initial=0))
    width = min(n + longest, len(scores))  # no case can need more
    rows, parts = max(1, BLOCK // len(scores)), [np.zeros((0, n), np.int64)]
    for start in range(0, cases, rows):
        part = slice(start, min(start + rows, cases))
        columns = np.broadcast_to(order[:width], (part.stop - start, width))
        parts.append(first_of(columns, shown(part, len(scores), exclude, columns), n))
    ids = np.concatenate(parts)
    return unasked(ids, np.where(ids >= 0, scores[ids], -np.inf))


def random(
    rng: np.random.Generator, n_items: int, cases: int, *, n: int, exclude: Ragged | None = None
) -> Ranked:
    """Rank in a uniformly random order per case: the baseline that knows nothing.

    Items are drawn one after the other, and what came before or is excluded is passed over. A case
    that is still short gets an order of its own of the whole catalogue, after all have drawn: so
    no list depends on blocks. The scores fall from 0 by 1 a rank.
    """
    check_list(n, "random")
    check_exclude(exclude, cases, n_items)
    asked, n = n, min(n, n_items)
    width = n + n // 2 + SPARE
    rows, parts = max(1, BLOCK // max(n_items, width)), [np.zeros((0, n), np.int64)]
    for start in range(0, cases, rows):
        part = slice(start, min(start + rows, cases))
        drawn = rng.integers(0, n_items, (part.stop - start, width))  # metrics-R25
        fresh = shown(part, n_items, exclude, drawn) & first_seen(drawn)
        parts.append(first_of(drawn, fresh, n))
    ids = np.concatenate(parts)
    for case in np.flatnonzero(ids[:, -1] < 0).tolist():
        hidden = ids[:0] if exclude is None else exclude.row(case)
        order = rng.permutation(n_items)
        left = order[np.isin(order, hidden, invert=True)][:n]
        ids[case] = np.pad(left, (0, n - len(left)), constant_values=-1)
    ids = np.pad(ids, ((0, 0), (0, asked - n)), constant_values=-1)
    return unasked(ids, np.where(ids >= 0, -np.arange(asked, dtype=np.float64), -np.inf))


def shown(part: slice, n_items: int, exclude: Ragged | None, columns: Ints) -> Bools:
    """Return which of the ids `columns` (R, W) of a part of the cases are not excluded."""
    closed = np.zeros((len(columns), n_items), np.float32)
    hide(closed, None if exclude is None else rows_of(exclude, part.start, part.stop), 0)
    kept: Bools = np.take_along_axis(closed, columns, axis=1) == 0
    return kept


def first_seen(ids: Ints) -> Bools:
    """Return where an id (R, W) stands for the first time in its row."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.ones(ids.shape, np.bool_)
    np.put_along_axis(new, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return new


def first_of(ids: Ints, kept: Bools, n: int) -> Ints:
    """Return the first n kept ids of each row (R, W), -1 where there are fewer."""
    place = np.cumsum(kept, axis=1) - 1
    row, column = np.nonzero(kept & (place < n))
    out = np.full((len(ids), n), -1)
    out[row, place[row, column]] = ids[row, column]
    return out


def unasked(ids: Ints, scores: Array) -> Ranked:
    """Return lists that no interest brought: all stand under interest 0."""
    return Ranked(ids, scores, np.where(ids >= 0, 0, -1))


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
    """Return the scores (C, W) of a block of items, in a matrix product per interest."""
    if score == "sum":  # the sum of products is the product with the sum: inactive queries are 0
        scores: Array = queries.sum(axis=1) @ items.T
        scores[~active.any(axis=1)] = -np.inf
        return scores
    best = np.full((len(queries), len(items)), -np.inf, items.dtype)
    for k in range(queries.shape[1]):  # short histories have few of them: half the work and less
        rows = np.flatnonzero(active[:, k])  # recall-R2
        best[rows] = np.maximum(best[rows], queries[rows, k] @ items.T)
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
    found = np.flatnonzero(keep)  # much quicker than in two dimensions
    if len(found) > rows * m:
        crowded = np.count_nonzero(keep, axis=1) > m
        above = scores[crowded] > threshold[crowded]
        level = keep[crowded] & ~above
        room = m - np.count_nonzero(above, axis=1, keepdims=True)
        keep[crowded] = above | (level & (np.cumsum(level, axis=1) <= room))
        found = np.flatnonzero(keep)
    return found.reshape(rows, m) % width


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
