"""Sums over all uses of an item, in one order whatever the number of threads."""

from __future__ import annotations

from typing import NamedTuple

from mindref.kernels._jit import jit
from mindref.shapes import Array, Ints


class Shares(NamedTuple):
    """What capsules send to a block of items: the arguments of `sum_by_capsule`, but for sums."""

    order: Ints
    bounds: Ints
    owner: Ints
    spans: Ints
    places: Ints
    weights: Array
    sent: Array


class Uses(NamedTuple):
    """What targets and negatives send, each in parts (P, T, D), and to which items (T,)."""

    d_target: Array
    at_target: Ints
    d_negatives: Array
    at_negatives: Ints


@jit
def unite(shares: Shares | None, uses: Uses, voting: int, first: int, sums: Array) -> None:
    """Write what all uses send to the items (M, D) from number `first` on: model-R10.

    The first `voting` of them are behaviours; what those get is there already if shares is None.
    """
    if shares is not None:
        order, bounds, owner, spans, places, weights, sent = shares
        sum_by_capsule(order, bounds, owner, spans, places, weights, sent, sums[:voting])
    sums[voting:] = 0
    add_rows(uses.d_target, uses.at_target, first, sums)
    add_rows(uses.d_negatives, uses.at_negatives, first, sums)


@jit
def sum_by_item(order: Ints, bounds: Ints, values: Array, sums: Array) -> None:
    """Write into sums (M, D) the values (N, D) of the uses from bounds[m] to bounds[m + 1]."""
    for m in range(sums.shape[0]):
        first = values[order[bounds[m]]]  # each item is some behaviour
        for d in range(sums.shape[1]):
            sums[m, d] = first[d]
        for i in range(bounds[m] + 1, bounds[m + 1]):
            value = values[order[i]]
            for d in range(sums.shape[1]):
                sums[m, d] += value[d]


@jit
def add_rows(parts: Array, place: Ints, first: int, sums: Array) -> None:
    """Add those values (T, D) whose place (T,) is a row of sums, which begin with row `first`.

    The values are the sums of their parts (P, T, D).
    """
    for t in range(parts.shape[1]):
        m = place[t] - first
        if 0 <= m < sums.shape[0]:
            own = sums[m]
            for p in range(parts.shape[0]):
                value = parts[p, t]
                for d in range(own.shape[0]):
                    own[d] += value[d]


@jit
def sum_by_capsule(
    order: Ints,
    bounds: Ints,
    owner: Ints,
    spans: Ints,
    places: Ints,
    weights: Array,
    sent: Array,
    sums: Array,
) -> None:
    """Write into sums (M, D) what the uses from bounds[m] to bounds[m + 1] get: routing-R12.

    Use n is one of user b = owner[n], whose capsules have the rows spans[b] of sent (R, D). Row r
    is that of the capsule k at places[r] of (B, K), in which behaviour n weighs weights[n, k].
    """
    sums[:] = 0
    for m in range(sums.shape[0]):
        for i in range(bounds[m], bounds[m + 1]):
            n = order[i]
            b = owner[n]
            for r in range(spans[b, 0], spans[b, 1]):
                w = weights[n, places[r] - b * weights.shape[1]]
                for d in range(sums.shape[1]):
                    sums[m, d] += w * sent[r, d]
