"""A batch without padding: behaviours in one row, and each distinct item once.

Behaviours of user b stand from starts[b] to starts[b + 1]. Items are numbered as they come:
behaviours first, then targets, then negatives, so that those with votes are the first `voting`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.fused.workspace import Workspace
from mindref.models.mind import Histories
from mindref.ops.embedding import check_rows
from mindref.shapes import Array, Bools, Ints


class Layout(NamedTuple):
    """Where everything stands."""

    starts: Ints  # (B + 1,)
    logits: Array  # (N, K) initial logits, to be changed in place
    place: Ints  # (N + B + S,) number of the distinct item of each use
    items: Ints  # (M,) distinct items in the order of their first use
    voting: int  # so many of them are behaviours
    order: Ints  # (N,) behaviours by the number of their item
    bounds: Ints  # (voting + 1,) where the behaviours of an item stand in order


def lay(work: Workspace, histories: Histories, others: Ints, count: int) -> Layout:
    """Lay out histories and other uses (T,) of the items of a catalogue of `count`."""
    items, mask, init_logits, _ = histories
    starts = work.array("starts", len(mask) + 1, dtype=np.int64)
    total, k = count_behaviours(mask, starts), init_logits.shape[2]
    logits = work.array("logits", total, k, dtype=init_logits.dtype)
    ids = work.array("ids", total + len(others), dtype=np.int64)
    squeeze(items, mask, init_logits, ids, logits)
    ids[total:] = others
    check_rows("items", ids, count)  # model-R18
    number = work.array("number", count, dtype=np.int32)
    place = work.array("place", len(ids), dtype=np.int64)
    distinct = work.array("distinct", len(ids), dtype=np.int64)
    voting, found = enumerate_items(ids, total, number, place, distinct)
    order = work.array("order", total, dtype=np.int64)
    bounds = work.array("bounds", voting + 1, dtype=np.int64)
    sort_by_item(place[:total], order, bounds)
    return Layout(starts, logits, place, distinct[:found], voting, order, bounds)


@jit
def count_behaviours(mask: Bools, starts: Ints) -> int:
    """Write where the behaviours of each user start (B + 1,); return how many there are."""
    n = 0
    for b in range(mask.shape[0]):
        starts[b] = n
        for l in range(mask.shape[1]):  # noqa: E741  # the axis letter of the pages
            n += mask[b, l]
    starts[mask.shape[0]] = n
    return n


@jit
def squeeze(items: Ints, mask: Bools, init_logits: Array, ids: Ints, logits: Array) -> None:
    """Write items and logits of the places where the mask is true, one after the other."""
    n = 0
    for b in range(mask.shape[0]):
        for l in range(mask.shape[1]):  # noqa: E741  # the axis letter of the pages
            if mask[b, l]:
                ids[n] = items[b, l]
                for k in range(logits.shape[1]):
                    logits[n, k] = init_logits[b, l, k]
                n += 1


@jit
def enumerate_items(
    ids: Ints, first: int, number: Any, place: Ints, distinct: Ints
) -> tuple[int, int]:
    """Number the distinct ids; return how many are among the `first`, and how many there are.

    `number` has a place for each item of the catalogue, all zero before and after.
    """
    found, voting = 0, 0
    for i in range(len(ids)):
        if i == first:
            voting = found
        if number[ids[i]] == 0:
            distinct[found] = ids[i]
            found += 1
            number[ids[i]] = found
        place[i] = number[ids[i]] - 1
    for i in range(found):
        number[distinct[i]] = 0
    return (voting if first < len(ids) else found), found


@jit
def sort_by_item(place: Ints, order: Ints, bounds: Ints) -> None:
    """Write the uses of each item, in their order, by counting."""
    bounds[:] = 0
    for i in range(len(place)):
        bounds[place[i] + 1] += 1
    for m in range(1, len(bounds)):
        bounds[m] += bounds[m - 1]
    for i in range(len(place)):
        order[bounds[place[i]]] = i
        bounds[place[i]] += 1
    for m in range(len(bounds) - 1, 0, -1):
        bounds[m] = bounds[m - 1]
    bounds[0] = 0
