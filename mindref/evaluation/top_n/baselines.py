"""The baselines that know no user: popularity, and chance.

Spec: specs/metrics.md, metrics-R24 and R25.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation.top_n.checks import check_exclude, check_list
from mindref.evaluation.top_n.lists import Ranked, rows_of
from mindref.shapes import Array, Bools, Ints

BLOCK = 1 << 22  # numbers held at once, 16 or 32 MB
SPARE = 16  # draws more than the list is long


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
    hide(closed, None if exclude is None else rows_of(exclude, part.start, part.stop))
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


def hide(scores: Array, hidden: Ragged | None) -> None:
    """Put -inf where an excluded item stands in scores (C, N)."""
    if hidden is not None:
        scores[np.repeat(np.arange(len(hidden)), hidden.lengths), hidden.values] = -np.inf


def unasked(ids: Ints, scores: Array) -> Ranked:
    """Return lists that no interest brought: all stand under interest 0."""
    return Ranked(ids, scores, np.where(ids >= 0, 0, -1))
