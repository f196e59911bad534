"""Checks of the inputs of the top-n search."""

from __future__ import annotations

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, ShapeError, say, value_text
from mindref.shapes import Array, Bools, Ints, bind_axes, common_float_dtype

SCORES = ("max", "sum")


def check_search_inputs(
    interests: Array, active: Bools, items: Array, *, n: int, exclude: Ragged | None, score: str
) -> None:
    """Raise ShapeError, ConfigError or DataError on invalid inputs of the search."""
    caller = "top_n"
    bind_axes(caller, interests=(interests, "CKD"), active=(active, "CK"), items=(items, "ND"))
    check_search_options(interests, items, n, score)
    if 0 in (*interests.shape[1:], len(items)):
        raise ShapeError(say(caller, "at least one interest, item and dimension", interests.shape))
    check_exclude(exclude, len(interests), len(items))
    check_values(caller, interests[active], items)


def check_candidates(
    interests: Array, active: Bools, items: Array, candidates: Ints, n: int, score: str
) -> None:
    """Raise on invalid shapes or dtypes, and on candidate ids outside the catalogue."""
    caller = "top_n"
    bind_axes(
        caller,
        interests=(interests, "CKD"),
        active=(active, "CK"),
        items=(items, "ND"),
        candidates=(candidates, "CM"),
    )
    check_search_options(interests, items, n, score)
    if candidates.dtype.kind != "i" or candidates.max(initial=-1) >= len(items):
        expected = f"item ids from 0 to {len(items) - 1}, -1 for none"
        got = f"{candidates.dtype} up to {candidates.max(initial=-1)}"
        raise DataError(say(f"{caller}: candidates", expected, got))


def check_search_options(interests: Array, items: Array, n: int, score: str) -> None:
    """Raise ShapeError or ConfigError for wrong dtypes, list length or score."""
    common_float_dtype("top_n", interests=interests, items=items)
    check_list_length(n, "top_n")
    if score not in SCORES:
        raise ConfigError(say("top_n: score", " or ".join(SCORES), repr(score)))


def check_list_length(n: object, caller: str) -> None:
    """Raise ConfigError unless n is an integer of Python or NumPy, and at least 1."""
    is_integer = isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not is_integer or not n >= 1:  # type: ignore[operator]
        got = value_text(n, quoted=isinstance(n, str))
        raise ConfigError(say(f"{caller}: n", "an integer of at least 1", got))


def check_exclude(exclude: Ragged | None, cases: int, n_items: int) -> None:
    """Raise unless `exclude` has a row of item ids for each case."""
    if exclude is None:
        return
    if len(exclude) != cases:
        raise ShapeError(say("top_n: exclude", f"{cases} rows, one per case", len(exclude)))
    if len(exclude.values) and not 0 <= exclude.values.min() <= exclude.values.max() < n_items:
        span = f"{exclude.values.min()} to {exclude.values.max()}"
        raise DataError(say("top_n: exclude", f"item ids from 0 to {n_items - 1}", span))


def check_values(caller: str, queries: Array, items: Array) -> None:
    """Raise DataError on NaN, infinity, or norms whose square or product overflows in the dtype.

    One pass over the vectors decides. The invalid vector is searched only for the error message.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = [np.einsum("nd,nd->n", rows, rows).max(initial=0) for rows in (queries, items)]
        bound = np.prod(np.sqrt(squares))
    if bound < np.finfo(items.dtype).max and np.isfinite(squares).all():  # recall-R9
        return
    todo = "if the model has diverged, lower the learning rate"
    for name, rows in (("interests", queries), ("items", items)):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            got = f"NaN or infinity in row {bad[0]}"
            raise DataError(say(f"{caller}: {name}", "finite numbers", got, todo))
    raise DataError(say(caller, f"products within {items.dtype}", f"up to {bound:.3g}", todo))
