"""What cannot be ranked, said before anything is computed."""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, ShapeError, say
from mindref.shapes import Array, Bools, Ints, bind, same_float

SCORES = ("max", "sum")


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


def check_candidates(
    interests: Array, active: Bools, items: Array, candidates: Ints, n: int, score: str
) -> None:
    """Raise on what cannot be put in order: shapes, types, and ids outside the catalogue."""
    where = "ranking"
    bind(
        where,
        interests=(interests, "CKD"),
        active=(active, "CK"),
        items=(items, "ND"),
        candidates=(candidates, "CM"),
    )
    same_float(where, interests=interests, items=items)
    check_list(n, where)
    if score not in SCORES:
        raise ConfigError(say(f"{where}: score", " or ".join(SCORES), repr(score)))
    if candidates.dtype.kind != "i" or candidates.max(initial=-1) >= len(items):
        expected = f"item ids from 0 to {len(items) - 1}, -1 for none"
        got = f"{candidates.dtype} up to {candidates.max(initial=-1)}"
        raise DataError(say(f"{where}: candidates", expected, got))


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
