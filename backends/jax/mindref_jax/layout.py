"""Batches in few shapes: rows are numbered, and sizes are rounded up to buckets.

XLA compiles a function for each set of shapes. Therefore the host computes the distinct rows that a
batch reads. It pads their number and the length of histories to the next bucket size. Padding is
masked or outside the table, so it changes at most the last bits of a result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.models.parameters import Catalogue
from mindref.shapes import Array, Ints
from mindref_jax.model import Batch, Histories, ItemRows
from mindref_jax.shapes import check_row_indices

MARKING_LIMIT = 50
"""Largest number of table rows per used row for which distinct rows are found by marking.

For larger tables, sorting the used rows is faster than marking, which takes time proportional to
the table.
"""


MIN_ROWS = 16
"""Least number of distinct rows, unless there are none: small batches share a shape.

A padded row is outside the table and has no number in the batch, so it changes no result.
"""


class Rows(NamedTuple):
    """The distinct rows of a table that a batch reads; the index of a row is its number."""

    read: Ints  # (T,) rows, the written rows first and ascending; padding is outside the table
    written: Ints  # (T,) as `read`, but outside the table for rows with weight zero only
    num_written: int  # number of written rows, which come first (embedding-R6)


class PreparedBatch(NamedTuple):
    """A batch or histories with numbered rows, and the rows of the numbers."""

    arrays: Batch | Histories  # of `ItemRows`
    items: Rows
    profile: Rows
    ids: tuple[Ints, ...] = ()  # of targets and negatives, for a batch


def bucket_size(size: int) -> int:
    """Return the next bucket size: four per doubling, at most a quarter larger.

    >>> [bucket_size(n) for n in (0, 3, 9, 10, 50, 1000)]
    [0, 3, 10, 10, 56, 1024]
    """
    step = 1 << max(size.bit_length() - 3, 0)
    return -(-size // step) * step


def prepare_batch(
    batch: Batch, catalogue: Catalogue, sizes: tuple[int, int], window: int
) -> PreparedBatch:
    """Return a batch for the training step; sizes: numbers of rows of items and profiles."""
    histories = trim_histories(batch.histories, window)
    mask = histories.mask
    ids = np.concatenate([histories.items[mask], batch.target, batch.negatives])
    items, item_rows = number_items(ids, catalogue, sizes[0])
    num_behaviours, num_users = int(mask.sum()), len(batch.target)
    target = ItemRows(*(x[num_behaviours : num_behaviours + num_users] for x in item_rows))
    negatives = ItemRows(*(x[num_behaviours + num_users :] for x in item_rows))
    numbered, profile = number_histories(
        histories, ItemRows(*(x[:num_behaviours] for x in item_rows)), sizes[1]
    )
    keep = None if batch.keep is None else resize_axis(batch.keep, mask.shape[1], axis=1)
    rows = batch._replace(histories=numbered, target=target, negatives=negatives, keep=keep)
    return PreparedBatch(rows, items, profile, (batch.target, batch.negatives))


def prepare_histories(
    histories: Histories, catalogue: Catalogue, sizes: tuple[int, int], window: int
) -> PreparedBatch:
    """Return histories for serving, padded with users without behaviours."""
    histories = pad_users(trim_histories(histories, window))
    ids = histories.items[histories.mask]
    items, item_rows = number_items(ids, catalogue, sizes[0])
    numbered, profile = number_histories(histories, item_rows, sizes[1])
    return PreparedBatch(numbered, items, profile)


def trim_histories(histories: Histories, window: int) -> Histories:
    """Return histories cut or padded to the bucket size of the longest history."""
    items, mask, logits, profile = (np.asarray(x) for x in histories)
    longest = int(np.flatnonzero(mask.any(0)).max(initial=-1)) + 1
    length = bucket_size(longest)
    length = min(length, window) if longest <= window else length
    items, mask, logits = (resize_axis(x, length, axis=1) for x in (items, mask, logits))
    return Histories(items, mask, logits, profile)


def pad_users(histories: Histories) -> Histories:
    """Return histories padded to a bucket size of users; added users have no behaviours."""
    users = bucket_size(len(histories.mask))
    return Histories(*(resize_axis(x, users, axis=0) for x in histories))


def resize_axis(x: npt.NDArray[Any], size: int, axis: int) -> npt.NDArray[Any]:
    """Return an array with one axis cut, or padded with zeros, to a size."""
    if x.shape[axis] >= size:
        return x[:size] if axis == 0 else x[:, :size]
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, size - x.shape[axis])
    return np.pad(x, widths)


def number_histories(
    histories: Histories, behaviours: ItemRows, profiles: int
) -> tuple[Histories, Rows]:
    """Return histories with numbered rows, and the rows of the profile table."""
    mask = histories.mask
    positions = np.flatnonzero(mask)
    padded = []
    for values in behaviours:
        flat = np.zeros((mask.size, values.shape[1]), values.dtype)
        flat[positions] = values  # model-R8: a padded position reads number 0 with weight 0
        padded.append(flat.reshape(*mask.shape, values.shape[1]))
    profile_rows = histories.profile
    profile, numbered = number_rows("profile", profile_rows, np.ones(profile_rows.shape), profiles)
    return histories._replace(items=ItemRows(*padded), profile=numbered.rows), profile


def number_items(ids: Ints, catalogue: Catalogue, table_size: int) -> tuple[Rows, ItemRows]:
    """Return the distinct rows of items in the item table, and the items with numbered rows."""
    return number_rows("catalogue", catalogue.rows[ids], catalogue.weights[ids], table_size)


def number_rows(subject: str, rows: Ints, weights: Array, table_size: int) -> tuple[Rows, ItemRows]:
    """Return the distinct rows, and the rows and weights with numbers in place of rows."""
    check_row_indices(subject, rows, table_size)
    distinct, index = distinct_rows(rows, table_size)
    num_used = len(distinct)
    if not weights.all():
        used = np.zeros(len(distinct), bool)
        used[index[weights != 0]] = True
        order = np.argsort(~used, kind="stable")  # rows with a nonzero weight first
        number = np.empty(len(distinct), np.int64)
        number[order] = np.arange(len(distinct))
        distinct, index, num_used = distinct[order], number[index], int(used.sum())
    # rows outside the table; distinct, because the scatter assumes unique indices
    num_read = bucket_size(max(len(distinct), MIN_ROWS)) if len(distinct) else 0
    outside = table_size + np.arange(num_read)
    read, written = outside.copy(), outside
    read[: len(distinct)] = distinct
    written[:num_used] = read[:num_used]
    return Rows(read, written, num_used), ItemRows(index.astype(np.int32, copy=False), weights)


def distinct_rows(rows: Ints, table_size: int) -> tuple[Ints, Ints]:
    """Return the distinct rows, ascending, and the index of each row among them.

    Marking is faster than sorting if the table is not much larger than the number of rows.
    """
    if table_size > MARKING_LIMIT * rows.size:
        distinct, index = np.unique(rows, return_inverse=True)
        return distinct, index.reshape(rows.shape)
    is_used = np.zeros(table_size, bool)
    is_used[rows] = True
    distinct = np.flatnonzero(is_used)
    index = np.empty(table_size, np.int32)
    index[distinct] = np.arange(len(distinct))
    return distinct, index[rows]
