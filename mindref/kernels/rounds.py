"""The rounds of routing over ragged histories, compiled: all rounds of a user, then the next user.

Spec: specs/routing.md. The votes of a user are copied side by side, where they stay in the cache of
a core for all rounds. Loops go in fours, over interests or behaviours: what is loaded serves four.
"""

from __future__ import annotations

import numpy as np

from mindref.kernels._jit import Number, jit, jit_in_order
from mindref.shapes import Array, Bools, Ints


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
    couplings: Array,
    capsules: Array,
    unit: Array,
    across: Array,
    along: Array,
    factors: Array | None = None,
) -> None:
    """Make all rounds of the users from first to stop; logits (N, K) are changed in place.

    factors (N, K), exp of log weights, or None: compiled apart, without a trace of them.
    """
    count, width = active.shape[1], votes.shape[1]
    longest = 0
    for b in range(first, stop):
        longest = max(longest, starts[b + 1] - starts[b])
    own, sums = np.empty((longest, width), votes.dtype), np.empty((count, width), votes.dtype)
    counted = np.empty((0 if factors is None else longest, count), votes.dtype)
    for b in range(first, stop):
        some = slice(starts[b], starts[b + 1])
        gather(votes, rows[some], own)
        for turn in range(iterations):  # routing-R5
            t = min(turn, couplings.shape[0] - 1)
            if turn > 0:
                agree(own, capsules[max(t - 1, 0), b], logits[some])
            if over_behaviours:
                share_over_behaviours(logits[some], active[b], couplings[t, some])
            else:
                share(logits[some], active[b], couplings[t, some])
            if factors is None:
                add_up(own, couplings[t, some], sums)
            else:
                weigh(couplings[t, some], factors[some], counted)
                add_up(own, counted[: starts[b + 1] - starts[b]], sums)
            for k in range(count):
                across[t, b, k], along[t, b, k] = shorten(
                    sums[k], kind, capsules[t, b, k], unit[t, b, k]
                )


@jit
def gather(votes: Array, rows: Ints, own: Array) -> None:
    """Copy the rows of votes that a user has, one after the other."""
    for n in range(rows.shape[0]):
        vote = votes[rows[n]]
        for d in range(own.shape[1]):
            own[n, d] = vote[d]


@jit
def weigh(weights: Array, factors: Array, counted: Array) -> None:
    """Write weights times factors (N, K) into the first rows of counted: routing-R32."""
    for n in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            counted[n, k] = weights[n, k] * factors[n, k]


@jit
def agree(own: Array, capsules: Array, logits: Array) -> None:
    """Add the inner products of votes with capsules (K, D) to logits (N, K): routing-R8."""
    zero, count = own.dtype.type(0), capsules.shape[0]
    fours = count // 4 * 4
    for n in range(logits.shape[0]):
        for k in range(0, fours, 4):
            p, q, r, s = zero, zero, zero, zero
            for d in range(own.shape[1]):
                p += own[n, d] * capsules[k, d]
                q += own[n, d] * capsules[k + 1, d]
                r += own[n, d] * capsules[k + 2, d]
                s += own[n, d] * capsules[k + 3, d]
            logits[n, k] += p
            logits[n, k + 1] += q
            logits[n, k + 2] += r
            logits[n, k + 3] += s
        for k in range(fours, count):
            p = zero
            for d in range(own.shape[1]):
                p += own[n, d] * capsules[k, d]
            logits[n, k] += p


@jit
def add_up(own: Array, weights: Array, sums: Array) -> None:
    """Write the weighted sums (K, D) of votes: routing-R3."""
    fours = weights.shape[0] // 4 * 4
    sums[:] = 0
    for n in range(0, fours, 4):
        for k in range(sums.shape[0]):
            w, x, y, z = weights[n, k], weights[n + 1, k], weights[n + 2, k], weights[n + 3, k]
            for d in range(sums.shape[1]):
                two = w * own[n, d] + x * own[n + 1, d]
                sums[k, d] += two + y * own[n + 2, d] + z * own[n + 3, d]
    for n in range(fours, weights.shape[0]):
        for k in range(sums.shape[0]):
            for d in range(sums.shape[1]):
                sums[k, d] += weights[n, k] * own[n, d]


@jit
def share(logits: Array, active: Bools, weights: Array) -> None:
    """Write for each behaviour the softmax over the active interests, zero for the others."""
    zero, least = logits.dtype.type(0), logits.dtype.type(-np.inf)
    for n in range(logits.shape[0]):
        top = least
        for k in range(logits.shape[1]):
            weights[n, k] = logits[n, k] if active[k] else least  # routing-R13
            top = weights[n, k] if weights[n, k] > top else top
        top = zero if top == least else top
        for k in range(logits.shape[1]):
            weights[n, k] -= top
    raise_all(weights.reshape(-1))  # routing-R2
    for n in range(logits.shape[0]):
        total = zero
        for k in range(logits.shape[1]):
            total += weights[n, k]
        inverse = logits.dtype.type(1) / total if total != 0 else zero
        for k in range(logits.shape[1]):
            weights[n, k] *= inverse


@jit
def share_over_behaviours(logits: Array, active: Bools, weights: Array) -> None:
    """Write for each interest the softmax over the behaviours of a user: routing-R9."""
    zero, count, size = logits.dtype.type(0), logits.shape[1], logits.shape[0]
    for k in range(count):
        top = logits.dtype.type(-np.inf)
        for n in range(size):
            if logits[n, k] > top:
                top = logits[n, k]
        if top == -np.inf:
            top = zero
        for n in range(size):
            weights[n, k] = logits[n, k] - top if active[k] else zero
    raise_all(weights.reshape(-1))
    for k in range(count):
        total = zero
        for n in range(size):
            total += weights[n, k]
        for n in range(size):
            weights[n, k] = weights[n, k] / total if active[k] and total != 0 else zero


@jit
def raise_all(x: Array) -> None:
    """Replace numbers x <= 0 by exp x, in place."""
    if x.itemsize == 4:
        raise_singles(x)
    else:
        for i in range(x.shape[0]):
            x[i] = np.exp(x[i])


LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
TERMS = tuple(
    np.float32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
)
LEAST = np.float32(-104)  # exp of it is below half the smallest number


@jit_in_order
def raise_singles(x: Array) -> None:
    """Replace single numbers x <= 0 by exp x, in lanes: 2^k times a polynomial, within one ULP.

    Source: Moshier, Cephes, expf. The power of two is made of bits in two halves, so that what is
    below the smallest normal number comes out as such.
    """
    one, half = np.float32(1), np.float32(0.5)
    for i in range(x.shape[0]):
        v = LEAST if x[i] < LEAST else x[i]
        k = np.floor(v * LOG2_E + half)
        r = (v - k * LN2_HIGH) - k * LN2_LOW
        p = (((TERMS[0] * r + TERMS[1]) * r + TERMS[2]) * r + TERMS[3]) * r + TERMS[4]
        y = (p * r + half) * (r * r) + r + one
        whole = np.int32(k) if k == k else np.int32(0)
        left = whole >> np.int32(1)
        right = whole - left
        y *= np.int32((left + np.int32(127)) << np.int32(23)).view(np.float32)
        x[i] = y * np.int32((right + np.int32(127)) << np.int32(23)).view(np.float32)


@jit
def shorten(x: Array, kind: int, out: Array, unit: Array) -> tuple[Number, Number]:
    """Write squash and direction of a capsule (D,); return the slopes across and along it."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    if kind == 2:  # squash-R7
        for d in range(x.shape[0]):
            out[d], unit[d] = x[d], zero
        return one, one
    scale, length = length_of(x)
    norm = scale * length
    inside = not norm > 1
    r = norm if inside else one / norm
    bent = one / (one + r * r)
    gain = r * r * bent if inside else bent
    across, along = r * bent, (one + one) * r * bent * bent * (one if inside else r * r)
    if kind == 1:  # squash-R6
        gain, along = one, zero
        across = min(one / norm, np.finfo(x.dtype).max) if norm != 0 else zero
    if scale == one and norm != 0:  # 1 / norm is none of the smallest numbers, nor infinite
        inverse = one / norm
        for d in range(x.shape[0]):
            unit[d] = x[d] * inverse
            out[d] = unit[d] * gain
    else:
        for d in range(x.shape[0]):
            unit[d] = x[d] / scale
            unit[d] = unit[d] / length if length != 0 else unit[d]
            out[d] = unit[d] * gain
    return across, along


@jit
def length_of(x: Array) -> tuple[Number, Number]:
    """Return a scale, 1 unless a square leaves the type, and the length of x (D,) / scale."""
    one, square = x.dtype.type(1), x.dtype.type(0)
    for d in range(x.shape[0]):
        square += x[d] * x[d]
    safe = np.sqrt(np.finfo(x.dtype).tiny)
    if safe < square < one / safe:
        return one, np.sqrt(square)
    largest, square = x.dtype.type(0), x.dtype.type(0)
    for d in range(x.shape[0]):
        largest = max(largest, abs(x[d]))
    scale = largest if largest != 0 else one  # squash-R4
    for d in range(x.shape[0]):
        square += (x[d] / scale) * (x[d] / scale)
    return scale, np.sqrt(square)
