"""Batches laid out for few compilations: rows numbered, sizes rounded up to buckets.

XLA compiles a function anew for each set of shapes. Here the distinct rows that a batch reads are
found on the host and counted up to the next of few sizes, as are the places of a history. What is
filled up is masked or outside the table, so no result depends on it but in its last bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.models.parameters import Catalogue
from mindref.shapes import Ints
from mindref_jax.checks import rows_within
from mindref_jax.model import Batch, Histories, Items

MARKS = 50
"""Rows of a table for each that a batch names, up to which they are marked and not sorted. Beyond
it a mark for every row costs more than to sort the few: no step has the size of the table."""


class Rows(NamedTuple):
    """The distinct rows of a table that a batch reads, in the order of their numbers."""

    read: Ints  # (T,) ascending among those that count; a row outside the table for what fills up
    written: Ints  # (T,) the same, but outside the table for those with weight zero only
    named: int  # how many of them are written: the first ones (embedding-R6)


class Laid(NamedTuple):
    """A batch or histories whose items are numbers of rows, and which rows those are."""

    given: Any  # Batch or Histories with `Items`
    items: Rows
    profile: Rows


def bucket(size: int) -> int:
    """Return the next size that is compiled for: of each doubling four, so a quarter more at most.

    >>> [bucket(n) for n in (0, 3, 9, 10, 50, 1000)]
    [0, 3, 10, 10, 56, 1024]
    """
    step = 1 << max(size.bit_length() - 3, 0)
    return -(-size // step) * step


def lay_out(batch: Any, catalogue: Catalogue, sizes: tuple[int, int], window: int) -> Laid:
    """Return a batch as the step takes it; sizes: rows of the tables of items and of profiles."""
    histories = trimmed(batch.histories, window)
    mask = histories.mask
    ids = np.concatenate([histories.items[mask], batch.target, batch.negatives])
    items, looked = looked_up(ids, catalogue, sizes[0])
    behaviours, users = int(mask.sum()), len(batch.target)
    target = Items(*(x[behaviours : behaviours + users] for x in looked))
    negatives = Items(*(x[behaviours + users :] for x in looked))
    given, profile = of_users(histories, Items(*(x[:behaviours] for x in looked)), sizes[1])
    return Laid(Batch(given, target, negatives, *batch[3:]), items, profile)


def lay_out_histories(
    histories: Any, catalogue: Catalogue, sizes: tuple[int, int], window: int
) -> Laid:
    """Return histories as serving takes them, with empty ones to fill up the users."""
    histories = filled_up(trimmed(histories, window))
    ids = histories.items[histories.mask]
    items, looked = looked_up(ids, catalogue, sizes[0])
    given, profile = of_users(histories, looked, sizes[1])
    return Laid(given, items, profile)


def trimmed(histories: Any, window: int) -> Histories:
    """Return histories with as many places as the longest needs, rounded up to a bucket."""
    items, mask, logits, profile = (np.asarray(x) for x in histories)
    longest = int(np.flatnonzero(mask.any(0)).max(initial=-1)) + 1
    places = bucket(longest)
    places = min(places, window) if longest <= window else places
    items, mask, logits = (resized(x, places, axis=1) for x in (items, mask, logits))
    return Histories(items, mask, logits, profile)


def filled_up(histories: Histories) -> Histories:
    """Return histories of as many users as a bucket has, the last of them without behaviours."""
    users = bucket(len(histories.mask))
    return Histories(*(resized(x, users, axis=0) for x in histories))


def resized(x: npt.NDArray[Any], size: int, axis: int) -> npt.NDArray[Any]:
    """Return an array cut off, or filled up with zeros, to a size of one axis."""
    if x.shape[axis] >= size:
        return x[:size] if axis == 0 else x[:, :size]
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, size - x.shape[axis])
    return np.pad(x, widths)


def of_users(histories: Histories, behaviours: Items, profiles: int) -> tuple[Histories, Rows]:
    """Return histories with numbers for rows, and the rows of the profile table."""
    mask = histories.mask
    places = np.flatnonzero(mask)
    laid = []
    for known in behaviours:
        flat = np.zeros((mask.size, known.shape[1]), known.dtype)
        flat[places] = known  # model-R8: a padded place reads number 0 with weight 0
        laid.append(flat.reshape(*mask.shape, known.shape[1]))
    users = histories.profile
    profile, found = numbered("profile", users, np.ones(users.shape), profiles)
    return histories._replace(items=Items(*laid), profile=found.rows), profile


def looked_up(ids: Ints, catalogue: Catalogue, size: int) -> tuple[Rows, Items]:
    """Return the distinct rows of a table of a size that make up items, and these by numbers."""
    return numbered("catalogue", catalogue.rows[ids], catalogue.weights[ids], size)


def numbered(where: str, rows: Ints, weights: Any, size: int) -> tuple[Rows, Items]:
    """Return the distinct rows of a table of a size, and the same rows by their numbers."""
    rows_within(where, rows, size)
    distinct, places = told_apart(rows, size)
    counts = np.zeros(len(distinct), bool)
    counts[places[weights != 0]] = True
    order = np.argsort(~counts, kind="stable")  # those that count come first
    number = np.empty(len(distinct), np.int32)
    number[order] = np.arange(len(distinct))
    named = int(counts.sum())
    beyond = size + np.arange(bucket(len(distinct)))  # each once, as scatters are told
    read, written = beyond.copy(), beyond
    read[: len(distinct)] = distinct[order]
    written[:named] = read[:named]
    return Rows(read, written, named), Items(number[places], weights)


def told_apart(rows: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the distinct rows of a table of a size, ascending, and the place of each among them.

    Marks are the quicker way as long as they are not many more than the rows that are named.
    """
    if size > MARKS * rows.size:
        distinct, places = np.unique(rows, return_inverse=True)
        return distinct, places.reshape(rows.shape)
    marks = np.zeros(size, bool)
    marks[rows] = True
    distinct = np.flatnonzero(marks)
    places = np.empty(size, np.int32)
    places[distinct] = np.arange(len(distinct))
    return distinct, places[rows]
