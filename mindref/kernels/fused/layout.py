"""A batch without padding: behaviours in one row, and each distinct item once.

Behaviours of user b stand from starts[b] to starts[b + 1]. Items are numbered as they come:
behaviours first, then targets, then negatives, so that those with votes are the first `voting`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.ahead import fetch
from mindref.kernels.fused.workspace import Workspace
from mindref.models.mind import Batch, Histories
from mindref.ops.embedding import check_rows
from mindref.ops.sampled_softmax import finite
from mindref.shapes import Array, Bools, Ints


class Layout(NamedTuple):
    """Where everything stands; the last two are written by `sort_by_item`."""

    starts: Ints  # (B + 1,)
    place: Ints  # (N + B + S,) number of the distinct item of each use
    items: Ints  # (M,) distinct items in the order of their first use
    voting: int  # so many of them are behaviours
    number: Any  # (items of the catalogue,) all zero
    order: Ints  # (N,) behaviours by the number of their item
    bounds: Ints  # (voting + 1,) where the behaviours of an item stand in order


def lay(work: Workspace, histories: Histories, others: tuple[Ints, ...], count: int) -> Layout:
    """Lay out histories and other uses of the items of a catalogue of `count`."""
    items, mask, *_ = histories

    def integers(name: str, size: int) -> Ints:
        room: Ints = work.array(name, size, dtype=np.int64)
        return room

    more = integers("more", sum(map(len, others)))
    np.concatenate(others or ([],), out=more, casting="unsafe")
    starts, most = integers("starts", len(mask) + 1), mask.size + len(more)
    place, distinct = integers("place", most), integers("distinct", most)
    number = work.array("number", count, dtype=np.int32)
    voting, found = enumerate_items(items, mask, more, number, starts, place, distinct)
    if found < 0:
        for ids in (items[mask], *others):
            check_rows("items", ids, count)  # model-R18
    total = int(starts[-1])
    return Layout(
        starts=starts,
        place=place[: total + len(more)],
        items=distinct[:found],
        voting=voting,
        number=number,
        order=integers("order", total),
        bounds=integers("bounds", voting + 1),
    )


@jit
def enumerate_items(
    items: Ints,
    mask: Bools,
    others: Ints,
    number: Any,
    starts: Ints,
    place: Ints,
    distinct: Ints,
) -> tuple[int, int]:
    """Number the distinct items, first where the mask is true, row by row, then the others.

    Returns how many there are among the first, and in all; -1 for both if one is no item.
    `number` has a place for each item of the catalogue, all zero before and after.
    """
    n, found, fits = 0, 0, True
    spots = number.reshape(-1, 1)  # asked for as soon as an id is known, be it one or not
    for b in range(mask.shape[0]):
        starts[b] = n
        for l in range(mask.shape[1]):  # noqa: E741  # the axis letter of the pages
            if mask[b, l]:
                fits = fits and 0 <= items[b, l] < len(number)
                fetch(spots, items[b, l])
                place[n] = items[b, l]
                n += 1
    starts[mask.shape[0]] = n
    for t in range(len(others)):
        fits = fits and 0 <= others[t] < len(number)
        fetch(spots, others[t])
        place[n + t] = others[t]
    if not fits:
        return -1, -1
    found = number_all(place[:n], number, distinct, 0)
    voting, found = found, number_all(place[n : n + len(others)], number, distinct, found)
    for m in range(found):
        number[distinct[m]] = 0
    return voting, found


@jit
def find_active(
    mask: Bools, by_length: Bools, length: int, active: Bools, alive: Ints, borders: Ints
) -> int:
    """Write which interests are active (B, K), their places (B K,), and where blocks begin in them.

    by_length (L + 1, K): those of a user with so many behaviours; length: users of a block. Returns
    how many behaviours there are.
    """
    behaviours, rows = 0, 0
    for b in range(mask.shape[0]):
        if b % length == 0:
            borders[b // length] = rows
        own = 0
        for l in range(mask.shape[1]):  # noqa: E741  # the axis letter of the pages
            own += mask[b, l]
        behaviours += own
        for k in range(active.shape[1]):
            active[b, k] = by_length[own, k]
            if active[b, k]:
                alive[rows] = b * active.shape[1] + k
                rows += 1
    borders[len(borders) - 1] = rows
    return behaviours


@jit
def number_all(ids: Ints, number: Any, distinct: Ints, found: int) -> int:
    """Replace ids by their numbers from 0; `found` are known, and return how many are now."""
    for i in range(len(ids)):
        item = ids[i]
        known = number[item]
        distinct[found] = item  # written in any case, kept if new: guessing which costs more
        found += known == 0
        known = found if known == 0 else known
        number[item] = known
        ids[i] = known - 1
    return found


@jit
def arrange(mask: Bools, init_logits: Array, logits: Array, owner: Ints) -> None:
    """Write logits and users of the places where the mask is true, one after the other."""
    n = 0
    for b in range(mask.shape[0]):
        for l in range(mask.shape[1]):  # noqa: E741  # the axis letter of the pages
            if mask[b, l]:
                owner[n] = b
                for k in range(logits.shape[1]):
                    logits[n, k] = init_logits[b, l, k]
                n += 1


class Negatives(NamedTuple):
    """Each once: one that was drawn m times counts as one whose log is less by log m."""

    ids: Ints  # (S',)
    place: Ints  # (S',) numbers of their distinct items
    log_expected: Array  # (S',)


LARGE = 32
"""Logs beyond it are left alone: beside them, log m is rounded too much."""


def merged(work: Workspace, batch: Batch, layout: Layout) -> Negatives:
    """Return the negatives of a batch, each once: exp(a) + exp(a) = exp(a + log 2).

    Raises ShapeError for a log, of theirs or of a target, that is infinite or NaN.
    """
    logs, of_targets = batch.negative_log_expected, batch.target_log_expected
    ids, place = (work.array(name, len(logs), dtype=np.int64) for name in ("merged", "merged_at"))
    log_expected = work.array("merged_logs", len(logs), dtype=logs.dtype)
    times = work.array("times", len(logs), dtype=np.int64)
    drawn = layout.place[len(layout.place) - len(logs) :]
    given = (batch.negatives, drawn, logs, of_targets, layout.number)
    count = merge(*given, ids, place, log_expected, times)
    if count < 0:
        logs_of = {"target_log_expected": of_targets, "negative_log_expected": logs}
        finite("sampled_softmax", **logs_of)
    return Negatives(ids[:count], place[:count], log_expected[:count])


@jit
def merge(
    drawn: Ints,
    at: Ints,
    logs: Array,
    of_targets: Array,
    number: Any,
    ids: Ints,
    place: Ints,
    log_expected: Array,
    times: Ints,
) -> int:
    """Write each of the drawn negatives once, unless its logs differ; return how many there are.

    Or -1 if a log is not finite. `number` has a place for each item of the catalogue, all zero
    before and after.
    """
    count, known = 0, True
    for log in of_targets:
        known = known and abs(log) < np.inf
    for log in logs:
        known = known and abs(log) < np.inf
    if not known:
        return -1
    for s in range(len(drawn)):
        same = number[drawn[s]] - 1
        if same >= 0 and log_expected[same] == logs[s] and abs(logs[s]) <= LARGE:
            times[same] += 1  # sampled_softmax-R4
        else:
            ids[count], place[count] = drawn[s], at[s]
            log_expected[count], times[count] = logs[s], 1
            count += 1
            number[drawn[s]] = count
    for c in range(count):
        number[ids[c]] = 0
        log_expected[c] -= logs.dtype.type(np.log(times[c]))
    return count


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
