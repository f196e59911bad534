"""Compiled routing on ragged histories: all iterations of some users, then the next users.

Spec: specs/routing.md. The behaviours of all users are one array; those of user b have the indices
from starts[b] to starts[b + 1]. Padding is never read. votes[rows[n]] is the vote of behaviour n:
users that share an item share its vote. There is one matrix S for all behaviours and interests
(routing-R25 and R26 are not claimed).

Users are processed in tiles. The votes of a tile are copied side by side and stay in the cache of a
core for all iterations. Loops over votes and interests are unrolled by four, so that a loaded vote
is used four times. Softmax and squash are vectorised over the tile; logits b and weights w are
stored as columns (K, N).

`route_users_backward` serves the operator with either gradient, and the model with "all". With
"last" it has one iteration, whose coupling weights are constant. The model with "last" uses
`squash_capsules_backward` and `sum_weighted_vectors`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from mindref.errors import ShapeError, say
from mindref.kernels._jit import jit, jit_inline
from mindref.kernels.contiguous import writable_contiguous
from mindref.kernels.exponential import exp_inplace
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.kernels.squash import squash_gain, squash_row, squash_row_backward
from mindref.ops.routing import GRADIENTS, check_inputs, check_routing_options
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, Ints, require_gradient_shape

TILE_USERS, TILE_BEHAVIOURS = 16, 1024  # limits of a tile of several users
OVER_INTERESTS, OVER_BEHAVIOURS = range(2)
"""Values of `RoutingOptions.axis`."""
ALL_ITERATIONS = 0
"""Index of "all" in GRADIENTS of ops/routing.py; an import would not invalidate cached code."""

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


class RoutingGradients(NamedTuple):
    """The gradients of the inputs of routing, for each behaviour."""

    d_votes: Array  # (N, D)
    d_logits: Array  # (N, K) zero with gradient "last"
    d_log_weights: Array  # (N, K); (0, K) without log weights


class CapsuleBehaviours(NamedTuple):
    """M capsules, and the behaviours of their users with the constant weights of routing-R12."""

    slots: Ints  # (M,) b K + k for interest k of user b
    starts: Ints  # (B + 1,) as in `RoutingBatch`
    rows: Ints  # (N,) the item vector of behaviour n is vectors[rows[n]]
    vectors: Array
    weights: Array  # (N, K) coupling weights of the last iteration, times factors


class Saved(NamedTuple):
    """Saved by `forward` for `backward`."""

    behaviours: Array  # (N, D) where the mask is true
    bilinear: Array  # (D, D)
    batch: RoutingBatch
    options: RoutingOptions
    values: RoutingValues
    mask: Bools  # (B, L)
    has_log_weights: bool

    @property
    def couplings(self) -> Array:
        """Coupling weights of the last iteration (B, L, K), zero at padding."""
        return pad_rows(self.values.couplings[-1], self.mask)


def forward(
    history: Array,
    mask: Bools,
    bilinear: Array,
    init_logits: Array,
    active: Bools,
    log_weights: Array | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Array, Saved]:
    """Return capsules (B, K, D) of behaviours (B, L, D); see `mindref.ops.routing.forward`."""
    check_inputs(history, mask, bilinear, init_logits, active, log_weights)
    check_routing_options(iterations, gradient, axis)
    check_one_matrix(bilinear)
    if kind not in KINDS:
        raise ShapeError(say("squash: kind", " or ".join(KINDS), kind))  # squash-R8
    behaviours = history[mask]  # routing-R6 (N, D)
    factors = np.empty((0, active.shape[1]), history.dtype)
    if log_weights is not None:
        factors = exp_log_weights(log_weights, mask, active)
    batch = RoutingBatch(
        starts=np.concatenate([[0], np.cumsum(mask.sum(axis=1))]),
        rows=np.arange(len(behaviours)),
        votes=behaviours @ bilinear.T,  # routing-R1
        logits=np.ascontiguousarray(init_logits[mask]),
        active=writable_contiguous(active),
        factors=factors,
    )
    options = routing_options(iterations, gradient, axis, kind)
    values = allocate_values(
        iterations if gradient == "all" else 1,
        (len(behaviours), *active.shape, history.shape[2]),
        lambda name, *shape: np.empty(shape, history.dtype),
    )
    route_users(0, len(active), batch, options, values)
    has_log_weights = log_weights is not None
    saved = Saved(behaviours, bilinear, batch, options, values, mask, has_log_weights)
    return values.capsules[-1].copy(), saved


def exp_log_weights(log_weights: Array, mask: Bools, active: Bools) -> Array:
    """Return exp(log_weights) (N, K), zero at inactive interests: routing-R34."""
    active_rows = np.repeat(active, mask.sum(axis=1), axis=0)
    factors = np.zeros(active_rows.shape, log_weights.dtype)
    with np.errstate(over="ignore"):
        np.exp(log_weights[mask], out=factors, where=active_rows)
    return factors


def check_one_matrix(bilinear: Array) -> None:
    """Raise ShapeError if S differs between pairs of behaviour and interest."""
    if bilinear.ndim != 2:
        todo = "the reference, --backend numpy, has a matrix for each pair"
        raise ShapeError(say("routing: bilinear", "one matrix (D, D)", bilinear.shape, todo))


def backward(d_capsules: Array, saved: Saved) -> tuple[Array, ...]:
    """Return d_history (B, L, D), d_bilinear (D, D), d_init_logits (B, L, K).

    With log_weights, a fourth result is d_log_weights (B, L, K).
    """
    batch = saved.batch
    require_gradient_shape("routing", d_capsules, saved.values.capsules.shape[1:])
    gradients = RoutingGradients(
        d_votes=np.empty_like(batch.votes),
        d_logits=np.empty_like(batch.logits),
        d_log_weights=np.zeros_like(batch.factors),
    )
    route_users_backward(
        0,
        len(d_capsules),
        batch,
        saved.options,
        saved.values,
        writable_contiguous(d_capsules),
        gradients,
    )
    d_history = pad_rows(gradients.d_votes @ saved.bilinear, saved.mask)
    d_bilinear = gradients.d_votes.T @ saved.behaviours
    d_logits = pad_rows(gradients.d_logits, saved.mask)
    if not saved.has_log_weights:
        return d_history, d_bilinear, d_logits
    return d_history, d_bilinear, d_logits, pad_rows(gradients.d_log_weights, saved.mask)


def pad_rows(rows: Array, mask: Bools) -> Array:
    """Return rows (N, ...) where the mask (B, L) is true, zero elsewhere."""
    out = np.zeros((*mask.shape, rows.shape[1]), rows.dtype)
    out[mask] = rows
    return out


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
    # the products are of type int64: Numba would compile `aligned_numbers` again for constants
    tile_votes = aligned_numbers(longest * width, votes).reshape(longest, width)
    z = aligned_numbers(TILE_USERS * count * width, votes).reshape(TILE_USERS, count, width)
    tile_columns = aligned_numbers(2 * count * longest, votes).reshape(2, count * longest)
    inactive = np.empty((count, longest), np.bool_)
    tile_rows = max(longest, TILE_USERS * count)
    scratch = aligned_numbers(3 * tile_rows, votes).reshape(3, tile_rows)
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
def aligned_numbers(size: int, like: Array) -> Array:
    """Return an array (size,) that starts at a cache line, so that a load needs one."""
    lane = 64 // like.itemsize  # CACHE_LINE; an import would not invalidate cached code
    memory = np.empty(size + lane, like.dtype)
    start = -(memory.ctypes.data // like.itemsize) % lane
    return memory[start : start + size]


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


@jit
def route_users_backward(
    first: int,
    stop: int,
    batch: RoutingBatch,
    options: RoutingOptions,
    values: RoutingValues,
    d_capsules: Array,
    gradients: RoutingGradients,
) -> None:
    """Write the gradients of users from `first` to `stop`, from d_capsules (B, K, D).

    d_log_weights must be zero before.
    """
    starts, rows, votes, _, active, factors = batch
    couplings, capsules, unit, across, along = values
    d_votes, d_logits, d_log_weights = gradients
    exact, has_factors = options.gradient == ALL_ITERATIONS, factors.shape[0] > 0
    count, width, last = active.shape[1], votes.shape[1], couplings.shape[0] - 1
    longest = most_behaviours(first, stop, starts)
    d_u = np.empty((count, width), votes.dtype)  # of the capsules of an iteration
    d_z, d_weights = np.empty_like(d_u), np.empty((longest, count), votes.dtype)
    scaled = np.empty((longest if has_factors else 0, count), votes.dtype)
    for b in range(first, stop):
        user, size = slice(starts[b], starts[b + 1]), starts[b + 1] - starts[b]
        d_u[:] = d_capsules[b]
        d_votes[user] = 0
        d_logits[user] = 0
        for t in range(last, -1, -1):
            if t < last:  # logits' = logits + votes . capsules, routing-R8
                add_weighted_capsules(d_logits[user], capsules[t, b], d_votes[user])
                sum_gathered_votes(votes, rows[user], d_logits[user], d_u)
            for k in range(count):
                squash_row_backward(unit[t, b, k], across[t, b, k], along[t, b, k], d_u[k], d_z[k])
                if not active[b, k]:
                    d_z[k] = 0  # routing-R28: an inactive interest sends nothing
            if has_factors:
                scale_couplings(couplings[t, user], factors[user], scaled)
                add_weighted_capsules(scaled[:size], d_z, d_votes[user])
                multiply_votes(votes, rows[user], d_z, d_weights)
                log_weights_backward(d_weights[:size], scaled, factors[user], d_log_weights[user])
            else:
                add_weighted_capsules(couplings[t, user], d_z, d_votes[user])
                if exact:
                    multiply_votes(votes, rows[user], d_z, d_weights)
            if exact and options.axis == OVER_BEHAVIOURS:
                softmax_over_behaviours_backward(
                    d_weights[:size], couplings[t, user], d_logits[user]
                )
            elif exact:
                softmax_over_interests_backward(
                    d_weights[:size], couplings[t, user], d_logits[user]
                )


@jit
def scale_couplings(weights: Array, factors: Array, scaled: Array) -> None:
    """Write weights times factors (N, K) into the first rows of scaled."""
    for n in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            scaled[n, k] = weights[n, k] * factors[n, k]


@jit
def log_weights_backward(
    d_weights: Array, scaled: Array, factors: Array, d_log_weights: Array
) -> None:
    """Add scaled times d_weights to d_log_weights (N, K), then multiply d_weights by factors."""
    for n in range(factors.shape[0]):
        for k in range(factors.shape[1]):
            if factors[n, k] == 0:  # routing-R34: also at inactive interests
                d_weights[n, k] = 0
            else:
                d_log_weights[n, k] += scaled[n, k] * d_weights[n, k]  # routing-R35, R36
                d_weights[n, k] *= factors[n, k]


@jit
def add_weighted_capsules(weights: Array, capsules: Array, d_votes: Array) -> None:
    """Add sum_k weights_nk capsules_kd to d_votes (N, D)."""
    count = capsules.shape[0]
    fours = count // 4 * 4
    for n in range(d_votes.shape[0]):
        for k in range(0, fours, 4):
            w0, w1, w2, w3 = weights[n, k], weights[n, k + 1], weights[n, k + 2], weights[n, k + 3]
            for d in range(d_votes.shape[1]):
                two = w0 * capsules[k, d] + w1 * capsules[k + 1, d]
                d_votes[n, d] += two + w2 * capsules[k + 2, d] + w3 * capsules[k + 3, d]
        for k in range(fours, count):
            w0 = weights[n, k]
            for d in range(d_votes.shape[1]):
                d_votes[n, d] += w0 * capsules[k, d]


@jit
def sum_gathered_votes(votes: Array, rows: Ints, weights: Array, sums: Array) -> None:
    """Write sum_n weights_nk votes_nd into sums (K, D)."""
    sums[:] = 0
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for k in range(sums.shape[0]):
            w = weights[n, k]
            for d in range(sums.shape[1]):
                sums[k, d] += w * vote[d]


@jit
def multiply_votes(votes: Array, rows: Ints, d_z: Array, d_weights: Array) -> None:
    """Write the inner products of votes with d_z (K, D) into d_weights (N, K)."""
    zero, count = votes.dtype.type(0), d_z.shape[0]
    fours = count // 4 * 4
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for k in range(0, fours, 4):
            p, q, r, s = zero, zero, zero, zero
            for d in range(d_z.shape[1]):
                p += vote[d] * d_z[k, d]
                q += vote[d] * d_z[k + 1, d]
                r += vote[d] * d_z[k + 2, d]
                s += vote[d] * d_z[k + 3, d]
            d_weights[n, k], d_weights[n, k + 1] = p, q
            d_weights[n, k + 2], d_weights[n, k + 3] = r, s
        for k in range(fours, count):
            p = zero
            for d in range(d_z.shape[1]):
                p += vote[d] * d_z[k, d]
            d_weights[n, k] = p


@jit
def softmax_over_interests_backward(d_weights: Array, weights: Array, d_logits: Array) -> None:
    """Add w_nk (d_w_nk - sum_j w_nj d_w_nj) to d_logits (N, K): routing-R11."""
    for n in range(weights.shape[0]):
        inner = weights.dtype.type(0)
        for k in range(weights.shape[1]):
            if weights[n, k] != 0:
                inner += weights[n, k] * d_weights[n, k]
        for k in range(weights.shape[1]):
            if weights[n, k] != 0:
                d_logits[n, k] += weights[n, k] * (d_weights[n, k] - inner)


@jit
def softmax_over_behaviours_backward(d_weights: Array, weights: Array, d_logits: Array) -> None:
    """Add w_nk (d_w_nk - sum_m w_mk d_w_mk) to d_logits (N, K): routing-R9."""
    for k in range(weights.shape[1]):
        inner = weights.dtype.type(0)
        for n in range(weights.shape[0]):
            if weights[n, k] != 0:
                inner += weights[n, k] * d_weights[n, k]
        for n in range(weights.shape[0]):
            if weights[n, k] != 0:
                d_logits[n, k] += weights[n, k] * (d_weights[n, k] - inner)


@jit
def squash_capsules_backward(
    slots: Ints, unit: Array, across: Array, along: Array, d_capsules: Array, d_z: Array
) -> None:
    """Write d_z (M, D) of capsules from their gradients d_capsules (M, D).

    slots (M,): the capsules, as indices b K + k of (B, K).
    """
    count = unit.shape[1]
    for m in range(slots.shape[0]):
        b, k = slots[m] // count, slots[m] % count
        squash_row_backward(unit[b, k], across[b, k], along[b, k], d_capsules[m], d_z[m])


@jit
def sum_weighted_vectors(capsules: CapsuleBehaviours, item_sums: Array) -> None:
    """Write the weighted sums of item vectors, item_sums (M, D), of M capsules."""
    slots, starts, rows, vectors, weights = capsules
    count = weights.shape[1]
    for m in range(slots.shape[0]):
        b, k = slots[m] // count, slots[m] % count
        item_sums[m] = 0
        for n in range(starts[b], starts[b + 1]):
            if n + DISTANCE < len(rows):
                prefetch_row(vectors, rows[n + DISTANCE])
            w, vector = weights[n, k], vectors[rows[n]]
            for d in range(item_sums.shape[1]):
                item_sums[m, d] += w * vector[d]
