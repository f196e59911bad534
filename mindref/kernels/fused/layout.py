"""Layout of a batch without padding: one array of behaviours, and each distinct item once.

The behaviours of user b have the indices from starts[b] to starts[b + 1]. Distinct items are
numbered by first use, in the order behaviours, targets, negatives. The first `num_history_items`
distinct items are the items of histories, the only items that need votes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.kernels._jit import jit
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.prefetch import prefetch_row
from mindref.models.mind import Batch, Histories
from mindref.ops.embedding import check_row_indices
from mindref.ops.sampled_softmax import require_finite_logs
from mindref.shapes import Array, Bools, Ints

Numbers = npt.NDArray[np.int32]
"""Scratch with one entry for each item of the catalogue; zero between calls."""


class Layout(NamedTuple):
    """The layout of a batch. Later, `sort_uses_by_item` writes order and bounds."""

    starts: Ints  # (B + 1,) index of the first behaviour of each user; last entry N
    item_index: Ints  # (N + B + S,) index of the distinct item of each use
    items: Ints  # (M,) distinct items in the order of first use
    num_history_items: int
    item_numbers: Numbers
    order: Ints  # (N,) behaviours sorted by the index of their item
    bounds: Ints  # (num_history_items + 1,) start of each item's behaviours in `order`


def lay_out_batch(
    work: KernelWorkspace, histories: Histories, other_items: tuple[Ints, ...], catalogue_size: int
) -> Layout:
    """Return the layout of a batch. other_items: further ids, such as targets and negatives."""

    def integers(name: str, size: int) -> Ints:
        return work.array(name, size, dtype=np.int64)

    items, mask = histories.items, histories.mask
    other_ids = integers("other_items", sum(map(len, other_items)))
    np.concatenate(other_items or ([],), out=other_ids, casting="unsafe")
    most_uses = mask.size + len(other_ids)  # padding is not used, but only a loop can count it
    starts, item_index = integers("starts", len(mask) + 1), integers("item_index", most_uses)
    distinct = integers("distinct", most_uses)
    numbers = work.array("item_numbers", catalogue_size, dtype=np.int32)
    num_history_items, num_items = enumerate_items(
        items, mask, other_ids, numbers, starts, item_index, distinct
    )
    if num_items < 0:
        for ids in (items[mask], *other_items):
            check_row_indices("items", ids, catalogue_size)  # model-R18
    behaviours = int(starts[-1])
    return Layout(
        starts=starts,
        item_index=item_index[: behaviours + len(other_ids)],
        items=distinct[:num_items],
        num_history_items=num_history_items,
        item_numbers=numbers,
        order=integers("order", behaviours),
        bounds=integers("bounds", num_history_items + 1),
    )


NO_ITEMS: Any = np.int64(0)
"""The number of items before the first. For the constant 0, Numba would compile a callee again."""


@jit
def enumerate_items(
    items: Ints,
    mask: Bools,
    other_ids: Ints,
    numbers: Numbers,
    starts: Ints,
    item_index: Ints,
    distinct: Ints,
) -> tuple[int, int]:
    """Number each distinct item: those of items (B, L) where the mask is true, then other_ids.

    Returns the number of distinct items in histories, and the number of all distinct items. If an
    id is outside the catalogue, both numbers are -1. `numbers` has one entry for each item of the
    catalogue. Before and after the call, all entries are zero.
    """
    n, count, valid = 0, 0, True
    entries = numbers.reshape(-1, 1)  # prefetch_row needs two axes; invalid ids do no harm
    for b in range(mask.shape[0]):
        starts[b] = n
        for l in range(mask.shape[1]):  # noqa: E741  # the pages call the axis L
            if mask[b, l]:
                valid = valid and 0 <= items[b, l] < len(numbers)
                prefetch_row(entries, items[b, l])
                item_index[n] = items[b, l]
                n += 1
    starts[mask.shape[0]] = n
    for t in range(len(other_ids)):
        valid = valid and 0 <= other_ids[t] < len(numbers)
        prefetch_row(entries, other_ids[t])
        item_index[n + t] = other_ids[t]
    if not valid:
        return -1, -1
    history_count = number_items(item_index[:n], numbers, distinct, NO_ITEMS)
    count = number_items(item_index[n : n + len(other_ids)], numbers, distinct, history_count)
    for m in range(count):
        numbers[distinct[m]] = 0
    return history_count, count


@jit
def find_active_interests(
    mask: Bools,
    active_by_length: Bools,
    block_users: int,
    active: Bools,
    active_slots: Ints,
    block_rows: Ints,
) -> int:
    """Write active (B, K), the slot b K + k of each active interest, and where each block starts.

    active_by_length (L + 1, K): row n marks the active interests of a user with n behaviours.
    block_users: number of users per block. Returns the number of behaviours.
    """
    behaviours, row = 0, 0
    for b in range(mask.shape[0]):
        if b % block_users == 0:
            block_rows[b // block_users] = row
        length = 0
        for l in range(mask.shape[1]):  # noqa: E741  # the pages call the axis L
            length += mask[b, l]
        behaviours += length
        for k in range(active.shape[1]):
            active[b, k] = active_by_length[length, k]
            if active[b, k]:
                active_slots[row] = b * active.shape[1] + k
                row += 1
    block_rows[len(block_rows) - 1] = row
    return behaviours


@jit
def number_items(ids: Ints, numbers: Numbers, distinct: Ints, count: int) -> int:
    """Replace each id by the index of its distinct item; return the number of distinct items.

    count: their number before this call. numbers: index + 1 of each item seen so far, 0 of all
    others. New items are appended to `distinct` and numbered in `numbers`.
    """
    for i in range(len(ids)):
        item = ids[i]
        number = numbers[item]
        distinct[count] = item  # kept only if the item is new; a branch would be slower
        count += number == 0
        number = count if number == 0 else number  # index + 1
        numbers[item] = number
        ids[i] = number - 1
    return count


@jit
def copy_initial_logits(
    mask: Bools, init_logits: Array, logits: Array, user_index: Ints, padded_rows: Ints
) -> None:
    """Write the initial logits (N, K), the user b and the row b L + l (N,) of behaviours."""
    n = 0
    for b in range(mask.shape[0]):
        for l in range(mask.shape[1]):  # noqa: E741  # the pages call the axis L
            if mask[b, l]:
                user_index[n], padded_rows[n] = b, b * mask.shape[1] + l
                for k in range(logits.shape[1]):
                    logits[n, k] = init_logits[b, l, k]
                n += 1


class DistinctNegatives(NamedTuple):
    """Merged negatives. For an entry merged from m draws, log_expected is reduced by log m."""

    ids: Ints  # (S',)
    item_index: Ints  # (S',) index of each negative in `Layout.items`
    log_expected: Array  # (S',) log expected counts
    times: Ints  # (S',) m


LARGE_LOG = 32
"""Negatives with a larger |log expected count| are not merged, to prevent rounding errors."""


def merge_negatives(work: KernelWorkspace, batch: Batch, layout: Layout) -> DistinctNegatives:
    """Merge repeated negatives: two equal terms exp(a) become one term exp(a + log 2).

    Raises ShapeError if the log expected count of a negative or a target is infinite or NaN.
    """
    logs = batch.negative_log_expected
    require_finite_logs(
        "sampled_softmax",
        target_log_expected=batch.target_log_expected,
        negative_log_expected=logs,
    )
    merged = DistinctNegatives(
        ids=work.array("negative_ids", len(logs), dtype=np.int64),
        item_index=work.array("negative_index", len(logs), dtype=np.int64),
        log_expected=work.array("negative_logs", len(logs), dtype=logs.dtype),
        times=work.array("times", len(logs), dtype=np.int64),
    )
    drawn_index = layout.item_index[len(layout.item_index) - len(logs) :]  # the last uses
    count = merge_duplicates(batch.negatives, drawn_index, logs, layout.item_numbers, merged)
    ids, item_index, log_expected, times = merged
    return DistinctNegatives(ids[:count], item_index[:count], log_expected[:count], times[:count])


@jit
def merge_duplicates(
    drawn: Ints, drawn_index: Ints, logs: Array, numbers: Numbers, merged: DistinctNegatives
) -> int:
    """Merge equal negatives with equal log expected counts; return the number that remains.

    drawn, drawn_index, logs (S,): id, index of the item and log expected count of each negative.
    If |log| > LARGE_LOG, a negative is not merged. `numbers` has one entry for each item of the
    catalogue. Before and after the call, all entries are zero.
    """
    ids, item_index, log_expected, times = merged
    count = 0
    for s in range(len(drawn)):
        last = numbers[drawn[s]] - 1  # the last entry of the same item; -1 if there is none
        if last >= 0 and log_expected[last] == logs[s] and abs(logs[s]) <= LARGE_LOG:
            times[last] += 1  # sampled_softmax-R4
        else:
            ids[count], item_index[count] = drawn[s], drawn_index[s]
            log_expected[count], times[count] = logs[s], 1
            count += 1
            numbers[drawn[s]] = count
    for c in range(count):
        numbers[ids[c]] = 0
        log_expected[c] -= logs.dtype.type(np.log(times[c]))
    return count


@jit
def sort_uses_by_item(item_index: Ints, order: Ints, bounds: Ints) -> None:
    """Sort behaviours by item (stable) into `order`; write each item's start to `bounds`."""
    bounds[:] = 0
    for i in range(len(item_index)):
        bounds[item_index[i] + 1] += 1
    for m in range(1, len(bounds)):
        bounds[m] += bounds[m - 1]
    for i in range(len(item_index)):
        order[bounds[item_index[i]]] = i
        bounds[item_index[i]] += 1
    for m in range(len(bounds) - 1, 0, -1):
        bounds[m] = bounds[m - 1]
    bounds[0] = 0
