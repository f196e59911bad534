"""The rounds of routing over ragged histories, compiled: all rounds of some users, then the next.

Spec: specs/routing.md. The votes of a tile of users are copied side by side, where they stay in the
cache of a core for all rounds. Loops over votes go user by user and in fours: what is loaded serves
four. Softmax and squash go over the tile, in lanes: logits and weights are columns (K, N).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.exponential import raise_all
from mindref.kernels.squash import bend, shorten_one
from mindref.shapes import Array, Bools, Ints

TILE, MOST = 16, 1024  # users, and behaviours of more users than one


@jit
def route(
    first: int,
    stop: int,
    starts: Ints,
    rows: Ints,
    votes: Array,
    logits: Array,
    active: Bools,
    iterations: int,
    over_behaviours: bool,
    kind: int,
    kept: Any,
    factors: Array | None = None,
) -> None:
    """Make all rounds of the users from first to stop; logits (N, K) are those before the first.

    kept: the arrays of `routing.Rounds`. factors (N, K), exp of log weights, or None: compiled
    apart, without a trace of them.
    """
    couplings, capsules, unit, across, along = kept
    count, width, last = active.shape[1], votes.shape[1], couplings.shape[0] - 1
    longest = 0
    for b in range(first, stop):
        longest = max(longest, starts[b + 1] - starts[b])
    longest = max(longest, min(MOST, TILE * longest))  # of a tile
    own = aligned(longest, width, votes)
    sums = aligned(TILE * count, width, votes).reshape(TILE, count, width)
    columns = aligned(2, count * longest, votes)
    barred = np.empty((count, longest), np.bool_)
    lines = aligned(3, max(longest, TILE * count), votes)
    end = first
    while end < stop:
        b, end = end, end + 1
        while end < min(b + TILE, stop) and starts[end + 1] - starts[b] <= MOST:
            end += 1
        some, size = slice(starts[b], starts[end]), starts[end] - starts[b]
        borders, alive = starts[b : end + 1] - starts[b], active[b:end]
        leaning = columns[0, : count * size].reshape(count, size)  # the logits
        weights = columns[1, : count * size].reshape(count, size)
        gather(votes, rows[some], own)
        transpose(logits[some], leaning)
        for u in range(end - b):
            for k in range(count):
                barred[k, borders[u] : borders[u + 1]] = not alive[u, k]  # routing-R7
        for turn in range(iterations):  # routing-R5
            t = min(turn, last)
            if turn > 0:
                agree(own, borders, capsules[max(t - 1, 0), b:end], leaning)
            if over_behaviours:
                share_over_behaviours(leaning, borders, alive, weights)
            else:
                share(leaning, barred, weights, lines)
            counted = weights if factors is None else weights * factors[some].T  # routing-R32
            add_up(own, borders, counted, sums)
            found = (capsules[t, b:end], unit[t, b:end], across[t, b:end], along[t, b:end])
            shorten_all(sums, kind, found, lines)
            if turn == iterations - 1 or last > 0:
                transpose(weights, couplings[t, some])


@jit
def aligned(rows: int, width: int, like: Array) -> Array:
    """Return room (rows, width) that begins with a line of memory: else each load takes two."""
    lane = 64 // like.itemsize  # LINE, whose file what is kept does not depend on
    room = np.empty(rows * width + lane, like.dtype)
    start = -(room.ctypes.data // like.itemsize) % lane
    return room[start : start + rows * width].reshape(rows, width)


@jit
def gather(table: Any, rows: Ints, own: Any) -> None:
    """Copy some rows of a table, one after the other: votes of behaviours, targets, senders."""
    for n in range(rows.shape[0]):
        row = table[rows[n]]
        for d in range(own.shape[1]):
            own[n, d] = row[d]


@jit
def transpose(x: Array, out: Array) -> None:
    """Write rows as columns: x (R, C) to out (C, R)."""
    for c in range(out.shape[0]):
        for r in range(out.shape[1]):
            out[c, r] = x[r, c]


@jit
def agree(own: Array, borders: Ints, capsules: Array, logits: Array) -> None:
    """Add the inner products of votes with their user's capsules to logits (K, N): routing-R8."""
    zero, count, fours = own.dtype.type(0), capsules.shape[1], capsules.shape[1] // 4 * 4
    for u in range(capsules.shape[0]):
        for n in range(borders[u], borders[u + 1]):
            for k in range(0, fours, 4):
                p, q, r, s = zero, zero, zero, zero
                for d in range(own.shape[1]):
                    p += own[n, d] * capsules[u, k, d]
                    q += own[n, d] * capsules[u, k + 1, d]
                    r += own[n, d] * capsules[u, k + 2, d]
                    s += own[n, d] * capsules[u, k + 3, d]
                logits[k, n] += p
                logits[k + 1, n] += q
                logits[k + 2, n] += r
                logits[k + 3, n] += s
            for k in range(fours, count):
                p = zero
                for d in range(own.shape[1]):
                    p += own[n, d] * capsules[u, k, d]
                logits[k, n] += p


@jit
def add_up(own: Array, borders: Ints, weights: Array, sums: Array) -> None:
    """Write the sums (U, K, D) of the votes of each user, weighted by (K, N): routing-R3."""
    sums[:] = 0
    for u in range(len(borders) - 1):
        fours = borders[u] + (borders[u + 1] - borders[u]) // 4 * 4
        for n in range(borders[u], fours, 4):
            for k in range(sums.shape[1]):
                w, x, y, z = weights[k, n], weights[k, n + 1], weights[k, n + 2], weights[k, n + 3]
                for d in range(sums.shape[2]):
                    two = w * own[n, d] + x * own[n + 1, d]
                    sums[u, k, d] += two + y * own[n + 2, d] + z * own[n + 3, d]
        for n in range(fours, borders[u + 1]):
            for k in range(sums.shape[1]):
                for d in range(sums.shape[2]):
                    sums[u, k, d] += weights[k, n] * own[n, d]


@jit
def share(logits: Array, barred: Bools, weights: Array, lines: Array) -> None:
    """Write for each behaviour the softmax over the active interests (K, N), zero for the others.

    lines: room for the largest logit of each behaviour, and for its sum.
    """
    zero, least = logits.dtype.type(0), logits.dtype.type(-np.inf)
    tops, totals, (count, size) = lines[0], lines[1], logits.shape
    tops[:size], totals[:size] = least, zero
    for k in range(count):
        for n in range(size):
            weights[k, n] = least if barred[k, n] else logits[k, n]
            tops[n] = weights[k, n] if weights[k, n] > tops[n] else tops[n]
    for k in range(count):
        for n in range(size):
            weights[k, n] -= tops[n] if tops[n] != least else zero
    raise_all(weights.reshape(-1), zero)  # routing-R2
    for k in range(count):
        for n in range(size):
            totals[n] += weights[k, n]
    for n in range(size):
        totals[n] = logits.dtype.type(1) / totals[n] if totals[n] != 0 else zero
    for k in range(count):
        for n in range(size):
            weights[k, n] *= totals[n]


@jit
def share_over_behaviours(logits: Array, borders: Ints, active: Bools, weights: Array) -> None:
    """Write for each interest the softmax over the behaviours of a user (K, N): routing-R9."""
    zero = logits.dtype.type(0)
    for k in range(logits.shape[0]):
        for u in range(active.shape[0]):
            top = logits.dtype.type(-np.inf)
            for n in range(borders[u], borders[u + 1]):
                top = logits[k, n] if logits[k, n] > top else top
            top = zero if top == -np.inf else top
            for n in range(borders[u], borders[u + 1]):
                weights[k, n] = logits[k, n] - top if active[u, k] else zero
    raise_all(weights.reshape(-1), zero)
    for k in range(logits.shape[0]):
        for u in range(active.shape[0]):
            total = zero
            for n in range(borders[u], borders[u + 1]):
                total += weights[k, n]
            there = active[u, k] and total != 0
            for n in range(borders[u], borders[u + 1]):
                weights[k, n] = weights[k, n] / total if there else zero


@jit
def shorten_all(sums: Array, kind: int, found: Any, lines: Array) -> None:
    """Write squash, direction and slopes of sums (U, K, D); lines: room for three numbers each.

    Roots and quotients take long: all are done in lanes. A sum whose square leaves the type, or
    that is not squashed, goes alone.
    """
    capsules_of, unit_of, across_of, along_of = found
    zero, one, (users, count, width) = sums.dtype.type(0), sums.dtype.type(1), capsules_of.shape
    (squares, inverse, gain), safe = lines, np.sqrt(np.finfo(sums.dtype).tiny)
    rows = users * count  # one after the other: to find b and k takes as long as all else of a row
    x, across, along = sums.reshape(-1, width), across_of.reshape(-1), along_of.reshape(-1)
    capsules, unit = capsules_of.reshape(rows, width), unit_of.reshape(rows, width)
    for m in range(rows):
        square = zero
        for d in range(width):
            square += x[m, d] * x[m, d]
        squares[m] = square
    for m in range(rows):
        inverse[m] = one / np.sqrt(squares[m])
        gain[m], across[m], along[m] = bend(np.sqrt(squares[m]), one)
    for m in range(rows):
        scale = inverse[m] * gain[m]  # not by way of the direction: one rounding less
        if kind == 0 and safe < squares[m] < one / safe:
            for d in range(width):
                unit[m, d] = x[m, d] * inverse[m]
                capsules[m, d] = x[m, d] * scale
        else:
            across[m], along[m] = shorten_one(x[m], kind, capsules[m], unit[m])
