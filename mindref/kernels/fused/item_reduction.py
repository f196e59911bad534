"""Sums of gradients over all uses of an item, compiled.

The order of summation does not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

from mindref.kernels._jit import jit
from mindref.shapes import Array, Ints


class CapsuleTerms(NamedTuple):
    """Gradients that capsules contribute to a block of items: arguments of `sum_capsule_terms`."""

    order: Ints
    bounds: Ints
    user_index: Ints
    user_rows: Ints
    slots: Ints
    couplings: Array
    d_projected: Array


class TargetTerms(NamedTuple):
    """Gradients of targets and negatives, each in parts (P, T, D), and their item index (T,)."""

    d_target: Array
    target_index: Ints
    d_negatives: Array
    negative_index: Ints


@jit
def sum_item_gradients(
    capsule_terms: CapsuleTerms | None,
    target_terms: TargetTerms,
    num_history_items: int,
    first_item: int,
    sums: Array,
) -> None:
    """Write the gradients (M, D) of the items from index `first_item` on, over all uses: model-R10.

    The first `num_history_items` are items of histories. If capsule_terms is None, their rows of
    sums already hold the gradient from behaviours.
    """
    if capsule_terms is not None:
        order, bounds, user_index, user_rows, slots, couplings, d_projected = capsule_terms
        sum_capsule_terms(
            order,
            bounds,
            user_index,
            user_rows,
            slots,
            couplings,
            d_projected,
            sums[:num_history_items],
        )
    sums[num_history_items:] = 0
    add_partial_rows(target_terms.d_target, target_terms.target_index, first_item, sums)
    add_partial_rows(target_terms.d_negatives, target_terms.negative_index, first_item, sums)


@jit
def sum_vote_gradients(order: Ints, bounds: Ints, values: Array, sums: Array) -> None:
    """Write into sums (M, D) the values (N, D) of the uses from bounds[m] to bounds[m + 1]."""
    for m in range(sums.shape[0]):
        first = values[order[bounds[m]]]  # each item is used at least once
        for d in range(sums.shape[1]):
            sums[m, d] = first[d]
        for i in range(bounds[m] + 1, bounds[m + 1]):
            value = values[order[i]]
            for d in range(sums.shape[1]):
                sums[m, d] += value[d]


@jit
def add_partial_rows(parts: Array, item_index: Ints, first_item: int, sums: Array) -> None:
    """Add value t to the row of its item, if the row is in sums: item_index[t] - first_item.

    The values (T, D) are the sums of their parts (P, T, D).
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
def sum_capsule_terms(
    order: Ints,
    bounds: Ints,
    user_index: Ints,
    user_rows: Ints,
    slots: Ints,
    couplings: Array,
    d_projected: Array,
    sums: Array,
) -> None:
    """Write into sums (M, D) the gradient of the uses from bounds[m] to bounds[m + 1]: routing-R12.

    Behaviour n is a use by user b = user_index[n]. The capsules of user b have the rows
    user_rows[b] of d_projected (R, D). Row r belongs to the capsule in slot slots[r] of (B, K), and
    the gradient of behaviour n is couplings[n, k] times that row.
    """
    sums[:] = 0
    for m in range(sums.shape[0]):
        for i in range(bounds[m], bounds[m + 1]):
            n = order[i]
            b = user_index[n]
            for r in range(user_rows[b, 0], user_rows[b, 1]):
                w = couplings[n, slots[r] - b * couplings.shape[1]]
                for d in range(sums.shape[1]):
                    sums[m, d] += w * d_projected[r, d]
