"""Compiled sums of the gradient of an item over all its uses: behaviour, target or negative.

The order of summation does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.shapes import Array, Ints


class BehaviourOrder(NamedTuple):
    """The behaviours of a block of items."""

    order: Ints  # (N,) behaviours sorted by item
    bounds: Ints  # (M + 1,) item m has the behaviours order[bounds[m]:bounds[m + 1]]
    user_index: Ints  # (N,) user of each behaviour
    padded_rows: Ints  # (N,) the row b L + l of each behaviour in the factors of dropout


class CapsuleTerms(NamedTuple):
    """Gradients of the capsules of interests or of contexts, a row for each capsule."""

    user_rows: Ints  # (B, 2) start and stop of each user's rows
    slots: Ints  # (R,) b K + k for interest k of user b
    weights: Array  # (N, K) coupling weights times factors
    d_projected: Array  # (R, D) d_z S


class TargetTerms(NamedTuple):
    """Gradients (P, T, D) and item index (T,) of targets and negatives; see `add_partial_rows`."""

    d_target: Array
    target_index: Ints
    d_negatives: Array
    negative_index: Ints


class ItemTerms(NamedTuple):
    """All terms of the gradients of a block of M items, which start at item `first_item`."""

    behaviours: BehaviourOrder
    interests: CapsuleTerms
    contexts: CapsuleTerms
    targets: TargetTerms
    num_history_items: int  # the first of these items, which occur in histories
    first_item: int


def no_capsule_terms(dtype: np.dtype[Any]) -> CapsuleTerms:
    """Return terms without capsules, for gradients that other arrays contain, or for no contexts.

    With None instead, Numba would compile the sums again.
    """
    empty = np.empty((0, 0), dtype)
    return CapsuleTerms(np.empty((0, 2), np.int64), np.empty(0, np.int64), empty, empty)


@jit
def sum_item_gradients(terms: ItemTerms, factors: Array | None, sums: Array) -> None:
    """Write to sums (M, D) the gradients of the items of a block: model-R10.

    Before, the rows of history items in sums contain the gradients through votes, or zero.
    factors (B L, D): of dropout, or None. For None, Numba compiles a version without dropout.
    """
    history_sums = sums[: terms.num_history_items]
    if len(terms.interests.slots) > 0:
        add_capsule_terms(terms.behaviours, terms.interests, factors, history_sums)
    if len(terms.contexts.slots) > 0:
        add_capsule_terms(terms.behaviours, terms.contexts, factors, history_sums)
    sums[terms.num_history_items :] = 0
    targets, first_item = terms.targets, terms.first_item
    add_partial_rows(targets.d_target, targets.target_index, first_item, sums)
    add_partial_rows(targets.d_negatives, targets.negative_index, first_item, sums)


@jit
def sum_vote_gradients(order: Ints, bounds: Ints, values: Array, sums: Array) -> None:
    """Write to each sums[m] the sum of values[n] over n in order[bounds[m]:bounds[m + 1]].

    values (N, D): the vote gradient of each behaviour n. sums (M, D): one sum for each item m.
    """
    for m in range(sums.shape[0]):
        first = values[order[bounds[m]]]  # each item has at least one behaviour
        for d in range(sums.shape[1]):
            sums[m, d] = first[d]
        for i in range(bounds[m] + 1, bounds[m + 1]):
            value = values[order[i]]
            for d in range(sums.shape[1]):
                sums[m, d] += value[d]


@jit
def add_partial_rows(parts: Array, item_index: Ints, first_item: int, sums: Array) -> None:
    """For each t, add the sum of parts[p, t] over p to row item_index[t] - first_item of sums.

    If sums (M, D) has no such row, t is skipped. parts (P, T, D): P parts of each gradient t.
    """
    for t in range(parts.shape[1]):
        m = item_index[t] - first_item
        if 0 <= m < sums.shape[0]:
            item_sum = sums[m]
            for p in range(parts.shape[0]):
                value = parts[p, t]
                for d in range(item_sum.shape[0]):
                    item_sum[d] += value[d]


@jit
def add_capsule_terms(
    behaviours: BehaviourOrder, terms: CapsuleTerms, factors: Array | None, sums: Array
) -> None:
    """Add to sums (M, D) the gradients of M items from their behaviours, through the capsules.

    Row r of d_projected adds weights[n, k] * d_projected[r] to the gradient of behaviour n
    (routing-R12), times the behaviour's factors of dropout (mind_plus-R18).
    """
    order, bounds, user_index, padded_rows = behaviours
    user_rows, slots, weights, d_projected = terms
    for m in range(sums.shape[0]):
        item_sum = sums[m]
        for i in range(bounds[m], bounds[m + 1]):
            n = order[i]
            b = user_index[n]
            factor = None if factors is None else factors[padded_rows[n]]
            if factors is not None and i + DISTANCE < len(order):
                prefetch_row(factors, padded_rows[order[i + DISTANCE]])
            first, stop, offset = user_rows[b, 0], user_rows[b, 1], b * weights.shape[1]
            fours = first + (stop - first) // 4 * 4
            for r in range(first, fours, 4):  # reads and writes item_sum once for four rows
                w0, w1 = weights[n, slots[r] - offset], weights[n, slots[r + 1] - offset]
                w2, w3 = weights[n, slots[r + 2] - offset], weights[n, slots[r + 3] - offset]
                d0, d1 = d_projected[r], d_projected[r + 1]
                d2, d3 = d_projected[r + 2], d_projected[r + 3]
                for d in range(item_sum.shape[0]):
                    four = w0 * d0[d] + w1 * d1[d] + (w2 * d2[d] + w3 * d3[d])
                    item_sum[d] += four if factor is None else four * factor[d]
            for r in range(fours, stop):
                w, d_row = weights[n, slots[r] - offset], d_projected[r]
                for d in range(item_sum.shape[0]):
                    item_sum[d] += w * d_row[d] if factor is None else w * d_row[d] * factor[d]
