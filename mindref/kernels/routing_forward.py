"""The iterations of routing over ragged histories, compiled.

Spec: specs/routing.md. Users are processed in tiles. The votes of a tile are copied side by side
and stay in the cache of a core for all iterations. Loops over votes are unrolled by four, so that a
loaded vote is used four times. Softmax and squash are vectorised over the tile; logits b and
weights w are stored as columns (K, N).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from mindref.kernels._jit import jit, jit_inline
from mindref.kernels.exponential import exp_inplace
from mindref.kernels.squash import squash_gain, squash_row
from mindref.ops.routing import GRADIENTS
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, Ints

TILE_USERS, TILE_BEHAVIOURS = 16, 1024  # limits of a tile of several users
OVER_INTERESTS, OVER_BEHAVIOURS = range(2)
"""Values of `RoutingOptions.axis`."""

Table = TypeVar("Table", Array, Bools)


class RoutingBatch(NamedTuple):
    """Behaviours of a batch of users without padding, and the other inputs of routing."""

    starts: Ints  # (B + 1,) user b has the behaviours from starts[b] to starts[b + 1]
    rows: Ints  # (N,) the vote of behaviour n is votes[rows[n]]
    votes: Array  # (V, D) of the behaviours, or of the distinct items
    logits: Array  # (N, K) initial logits
    active: Bools  # (B, K)
    # (N, K) exp of log weights, zero at inactive interests; (0, K) without log weights
    factors: Array


class RoutingOptions(NamedTuple):
    """The options of routing as numbers. Numba compiles the same code for all values."""

    iterations: int
    axis: int  # OVER_INTERESTS or OVER_BEHAVIOURS
    gradient: int  # index in GRADIENTS of ops/routing.py
    kind: int  # index in KINDS of ops/squash.py


class RoutingValues(NamedTuple):
    """Values of the T iterations that backward needs: all for gradient "all", one for "last"."""

    couplings: Array  # (T, N, K)
    capsules: Array  # (T, B, K, D)
    unit: Array  # (T, B, K, D) directions of z
    across: Array  # (T, B, K) slope of squash orthogonal to z
    along: Array  # (T, B, K) slope of squash along z


def routing_options(iterations: int, gradient: str, axis: str, kind: str) -> RoutingOptions:
    """Return options as numbers; the words are those of `mindref.ops.routing.forward`."""
    over = OVER_BEHAVIOURS if axis == "behaviours" else OVER_INTERESTS
    return RoutingOptions(iterations, over, GRADIENTS.index(gradient), KINDS.index(kind))


def allocate_values(
    iterations: int, batch_shape: tuple[int, int, int, int], allocate: Callable[..., Array]
) -> RoutingValues:
    """Return arrays for the values of T iterations. batch_shape: N, B, K and D.

    allocate: returns an array of a name and a shape.
    """
    behaviours, users, count, width = batch_shape
    return RoutingValues(
        couplings=allocate("couplings", iterations, behaviours, count),
        capsules=allocate("capsules", iterations, users, count, width),
        unit=allocate("unit", iterations, users, count, width),
        across=allocate("across", iterations, users, count),
        along=allocate("along", iterations, users, count),
    )


@jit
def route_users(
    first: int, stop: int, batch: RoutingBatch, options: RoutingOptions, values: RoutingValues
) -> None:
    """Write the values of routing for the users from `first` to `stop`."""
    starts, rows, votes, logits, active, factors = batch
    couplings, capsules, unit, across, along = values
    count, width, last = active.shape[1], votes.shape[1], couplings.shape[0] - 1
    longest = most_behaviours(first, stop, starts)
    longest = max(longest, min(TILE_BEHAVIOURS, TILE_USERS * longest))  # behaviours of a tile
    tile_votes = aligned_rows(longest, width, votes)
    z = aligned_rows(TILE_USERS * count, width, votes).reshape(TILE_USERS, count, width)
    tile_columns = aligned_rows(2, count * longest, votes)
    inactive = np.empty((count, longest), np.bool_)
    scratch = aligned_rows(3, max(longest, TILE_USERS * count), votes)
    end = first
    while end < stop:
        b, end = end, end + 1
        while end < min(b + TILE_USERS, stop) and starts[end + 1] - starts[b] <= TILE_BEHAVIOURS:
            end += 1
        tile, size = slice(starts[b], starts[end]), starts[end] - starts[b]
        bounds, tile_active = starts[b : end + 1] - starts[b], active[b:end]
        tile_logits = tile_columns[0, : count * size].reshape(count, size)
        weights = tile_columns[1, : count * size].reshape(count, size)
        gather_rows(votes, rows[tile], tile_votes)
        transpose_into(logits[tile], tile_logits)
        for u in range(end - b):
            for k in range(count):
                inactive[k, bounds[u] : bounds[u + 1]] = not tile_active[u, k]  # routing-R7
        for iteration in range(options.iterations):  # routing-R5
            t = min(iteration, last)
            if iteration > 0:
                add_agreement(tile_votes, bounds, capsules[max(t - 1, 0), b:end], tile_logits)
            if options.axis == OVER_BEHAVIOURS:
                softmax_over_behaviours(tile_logits, bounds, tile_active, weights)
            else:
                softmax_over_interests(tile_logits, inactive, weights, scratch)
            w = weights
            if factors.shape[0] > 0:
                w = weights * factors[tile].T  # routing-R32
            sum_weighted_votes(tile_votes, bounds, w, z)
            squash_tile(
                z,
                options.kind,
                capsules[t, b:end],
                unit[t, b:end],
                across[t, b:end],
                along[t, b:end],
                scratch,
            )
            if iteration == options.iterations - 1 or last > 0:
                transpose_into(weights, couplings[t, tile])


@jit_inline
def most_behaviours(first: int, stop: int, starts: Ints) -> int:
    """Return the largest number of behaviours of the users from `first` to `stop`."""
    longest = 0
    for b in range(first, stop):
        longest = max(longest, starts[b + 1] - starts[b])
    return longest


@jit
def aligned_rows(rows: int, width: int, like: Array) -> Array:
    """Return an array (rows, width) that starts at a cache line, so that a load needs one."""
    lane = 64 // like.itemsize  # CACHE_LINE; an import would not invalidate cached code
    memory = np.empty(rows * width + lane, like.dtype)
    start = -(memory.ctypes.data // like.itemsize) % lane
    return memory[start : start + rows * width].reshape(rows, width)


@jit
def gather_rows(table: Table, rows: Ints, out: Table) -> None:
    """Copy rows of a table to out, in order."""
    for n in range(rows.shape[0]):
        row = table[rows[n]]
        for d in range(out.shape[1]):
            out[n, d] = row[d]


@jit
def transpose_into(x: Array, out: Array) -> None:
    """Write the transpose of x (R, C) to out (C, R)."""
    for c in range(out.shape[0]):
        for r in range(out.shape[1]):
            out[c, r] = x[r, c]


@jit
def add_agreement(votes: Array, bounds: Ints, capsules: Array, logits: Array) -> None:
    """Add the inner products of votes and capsules of a user to logits (K, N): routing-R8."""
    zero, count, fours = votes.dtype.type(0), capsules.shape[1], capsules.shape[1] // 4 * 4
    for u in range(capsules.shape[0]):
        for n in range(bounds[u], bounds[u + 1]):
            for k in range(0, fours, 4):
                p, q, r, s = zero, zero, zero, zero
                for d in range(votes.shape[1]):
                    p += votes[n, d] * capsules[u, k, d]
                    q += votes[n, d] * capsules[u, k + 1, d]
                    r += votes[n, d] * capsules[u, k + 2, d]
                    s += votes[n, d] * capsules[u, k + 3, d]
                logits[k, n] += p
                logits[k + 1, n] += q
                logits[k + 2, n] += r
                logits[k + 3, n] += s
            for k in range(fours, count):
                p = zero
                for d in range(votes.shape[1]):
                    p += votes[n, d] * capsules[u, k, d]
                logits[k, n] += p


@jit
def sum_weighted_votes(votes: Array, bounds: Ints, weights: Array, z: Array) -> None:
    """Write z (U, K, D): the votes of each user weighted by (K, N), summed: routing-R3."""
    z[:] = 0
    for u in range(len(bounds) - 1):
        fours = bounds[u] + (bounds[u + 1] - bounds[u]) // 4 * 4
        for n in range(bounds[u], fours, 4):
            for k in range(z.shape[1]):
                w0, w1 = weights[k, n], weights[k, n + 1]
                w2, w3 = weights[k, n + 2], weights[k, n + 3]
                for d in range(z.shape[2]):
                    two = w0 * votes[n, d] + w1 * votes[n + 1, d]
                    z[u, k, d] += two + w2 * votes[n + 2, d] + w3 * votes[n + 3, d]
        for n in range(fours, bounds[u + 1]):
            for k in range(z.shape[1]):
                for d in range(z.shape[2]):
                    z[u, k, d] += weights[k, n] * votes[n, d]


@jit
def softmax_over_interests(logits: Array, inactive: Bools, weights: Array, scratch: Array) -> None:
    """Write the softmax over the active interests of each behaviour (K, N), zero where inactive.

    scratch: one row for the largest logit of each behaviour, and one for the sum.
    """
    zero, minus_infinity = logits.dtype.type(0), logits.dtype.type(-np.inf)
    tops, totals, (count, size) = scratch[0], scratch[1], logits.shape
    tops[:size], totals[:size] = minus_infinity, zero
    for k in range(count):
        for n in range(size):
            weights[k, n] = minus_infinity if inactive[k, n] else logits[k, n]
            tops[n] = weights[k, n] if weights[k, n] > tops[n] else tops[n]
    for k in range(count):
        for n in range(size):
            weights[k, n] -= tops[n] if tops[n] != minus_infinity else zero
    exp_inplace(weights.reshape(-1), zero)  # routing-R2
    for k in range(count):
        for n in range(size):
            totals[n] += weights[k, n]
    for n in range(size):
        totals[n] = logits.dtype.type(1) / totals[n] if totals[n] != 0 else zero
    for k in range(count):
        for n in range(size):
            weights[k, n] *= totals[n]


@jit
def softmax_over_behaviours(logits: Array, bounds: Ints, active: Bools, weights: Array) -> None:
    """Write the softmax over the behaviours of a user for each interest (K, N): routing-R9."""
    zero = logits.dtype.type(0)
    for k in range(logits.shape[0]):
        for u in range(active.shape[0]):
            top = logits.dtype.type(-np.inf)
            for n in range(bounds[u], bounds[u + 1]):
                top = logits[k, n] if logits[k, n] > top else top
            top = zero if top == -np.inf else top
            for n in range(bounds[u], bounds[u + 1]):
                weights[k, n] = logits[k, n] - top if active[u, k] else zero
    exp_inplace(weights.reshape(-1), zero)
    for k in range(logits.shape[0]):
        for u in range(active.shape[0]):
            total = zero
            for n in range(bounds[u], bounds[u + 1]):
                total += weights[k, n]
            defined = active[u, k] and total != 0
            for n in range(bounds[u], bounds[u + 1]):
                weights[k, n] = weights[k, n] / total if defined else zero


@jit
def squash_tile(
    z: Array,
    kind: int,
    capsules_3d: Array,
    unit_3d: Array,
    across_2d: Array,
    along_2d: Array,
    scratch: Array,
) -> None:
    """Write capsules, directions and slopes of z (U, K, D); scratch: three rows of numbers.

    Square roots and divisions are slow, so they are vectorised over all rows. A row whose square
    leaves the range of the dtype, or that is not squashed, is computed separately.
    """
    zero, one, (users, count, width) = z.dtype.type(0), z.dtype.type(1), capsules_3d.shape
    (squares, inverse, gain), safe = scratch, np.sqrt(np.finfo(z.dtype).tiny)
    rows = users * count  # flat: computing b and k would take as long as the rest
    x, across, along = z.reshape(-1, width), across_2d.reshape(-1), along_2d.reshape(-1)
    capsules, unit = capsules_3d.reshape(rows, width), unit_3d.reshape(rows, width)
    for m in range(rows):
        square = zero
        for d in range(width):
            square += x[m, d] * x[m, d]
        squares[m] = square
    for m in range(rows):
        inverse[m] = one / np.sqrt(squares[m])
        gain[m], across[m], along[m] = squash_gain(np.sqrt(squares[m]), one)
    for m in range(rows):
        scale = inverse[m] * gain[m]  # not through the direction: one rounding less
        if kind == 0 and safe < squares[m] < one / safe:
            for d in range(width):
                unit[m, d] = x[m, d] * inverse[m]
                capsules[m, d] = x[m, d] * scale
        else:
            across[m], along[m] = squash_row(x[m], kind, capsules[m], unit[m])
