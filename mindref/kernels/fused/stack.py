"""The layers of a block of users in compiled code: up to the interests, and down again.

Spec: specs/model.md, steps 4 to 6; layers.py says which rows there are. Row m is that of one place
of (B K,): an inactive interest has none, and on the way down only those that attention weighs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.kernels._jit import jit, jit_within
from mindref.kernels.product import product
from mindref.kernels.relu_layer import rectify, rectify_backward
from mindref.kernels.rounds import gather
from mindref.models.parameters import Layer
from mindref.shapes import Array, Bools, Ints


class Stack(NamedTuple):
    """What the way up needs; arrays have a row for each active interest of all users.

    Without layers the tuples have one that is never reached: see `some` in layers.py.
    """

    depth: int  # how many layers there are
    layers: tuple[Layer, ...]
    relus: tuple[bool, ...]  # whether there is a rectifier after a layer
    x: tuple[Array, ...]  # what goes into each layer, and out of the last
    passed: tuple[Bools, ...]  # by each rectifier
    profile: Array  # (B, P)
    alive: Ints  # (B K,) places of the R rows, ascending, then leftovers


class Way(NamedTuple):
    """What the way down writes."""

    d_x: tuple[Array, ...]
    sent: tuple[Array, ...]  # those rows of x that have a gradient
    d_weights: tuple[Array, ...]  # a part for each block of users
    d_biases: tuple[Array, ...]
    senders: Ints  # (B K,) which rows of a block have a gradient: the first ones of its own
    sending: Ints  # (B K,) and of which places they are
    spans: Ints  # (B, 2) from which row to which those of a user stand


class At(NamedTuple):
    """A block of users."""

    first: int
    stop: int
    row: int  # their first row
    end: int
    part: int  # the number of the block


@jit
def climb(at: At, stack: Stack, capsules: Array, out: Array) -> None:
    """Write the interests (B, K, D) of a block of users, zero where inactive."""
    rows, (_, count, width) = slice(at.row, at.end), out.shape
    alive, layers, top = stack.alive[rows], stack.layers, stack.x[stack.depth][rows]
    join(capsules.reshape(-1, width), stack.profile, count, alive, stack.x[0][rows])
    for i in range(stack.depth):
        above = stack.x[i + 1][rows]
        product(stack.x[i][rows], layers[i].weight, above)
        rectify(above, layers[i].bias, stack.relus[i], stack.passed[i][rows])
    place(top, alive, at.first * count, at.stop * count, out.reshape(-1, width))


@jit_within
def descend(at: At, stack: Stack, way: Way, weights: Array, d_users: Array) -> int:
    """Write what d_users (B, K, D) of a block comes to at capsules and profiles.

    weights (B, K): where one is zero, so is the gradient of that interest. Returns how many have
    one; their rows are the first of the block's.
    """
    rows = slice(at.row, at.end)
    senders, places, d_top = way.senders[rows], way.sending[rows], way.d_x[stack.depth][rows]
    chosen = choose(
        at.first,
        at.stop,
        stack.alive[rows],
        at.row,
        weights,
        d_users,
        senders,
        places,
        way.spans,
        d_top,
    )
    here = slice(at.row, at.row + chosen)
    for i in range(stack.depth - 1, -1, -1):
        x, passed, d_out = stack.x[i][rows], stack.passed[i][rows], way.d_x[i + 1][here]
        sent, d_bias = way.sent[i][here], way.d_biases[i][at.part]
        take_and_rectify(x, passed, senders[:chosen], stack.relus[i], sent, d_out, d_bias)
        product(sent.T, d_out, way.d_weights[i][at.part])
        product(d_out, stack.layers[i].weight.T, way.d_x[i][here])
    return chosen


@jit_within
def join(capsules: Array, profile: Array, count: int, places: Ints, out: Array) -> None:
    """Write [capsule ; profile] of some places (M,) of capsules (B K, D) into out (M, D + P)."""
    width = capsules.shape[1]
    for m in range(places.shape[0]):
        capsule, own = capsules[places[m]], profile[places[m] // count]
        for d in range(width):
            out[m, d] = capsule[d]
        for d in range(own.shape[0]):
            out[m, width + d] = own[d]  # model-R4


@jit_within
def choose(
    first: int,
    stop: int,
    alive: Ints,
    row: int,
    weights: Array,
    d_users: Array,
    senders: Ints,
    places: Ints,
    spans: Ints,
    d_rows: Array,
) -> int:
    """Write which rows of some users have a weight, where they are among (B, K), and d_rows (M, D).

    Of user b those are the rows from spans[b, 0] to spans[b, 1], counted from `row`. Returns how
    many there are of all.
    """
    count, r, interests = 0, 0, weights.shape[1]
    for b in range(first, stop):
        spans[b, 0] = row + count
        while r < len(alive) and alive[r] < (b + 1) * interests:
            k = alive[r] - b * interests
            if weights[b, k] != 0:
                senders[count], places[count] = r, alive[r]
                for d in range(d_rows.shape[1]):
                    d_rows[count, d] = d_users[b, k, d]
                count += 1
            r += 1
        spans[b, 1] = row + count
    return count


@jit_within
def take_and_rectify(
    x: Array,
    passed: Bools,
    senders: Ints,
    relu: bool,
    sent: Array,
    d_out: Array,
    d_bias: Array,
) -> None:
    """Copy the rows `senders` of x (M, I) to sent; set their d_out to zero where nothing passed.

    Writes what the bias gets, too.
    """
    went = np.empty((d_out.shape[0], d_out.shape[1] if relu else 0), np.bool_)
    gather(x, senders, sent)
    gather(passed, senders, went)
    d_bias[:] = 0
    rectify_backward(d_out, not relu, went, d_bias)


@jit
def add_profiles(d_joined: Array, places: Ints, count: int, d_profile: Array) -> None:
    """Add the last P columns of d_joined (M, D + P) to the users' d_profile (B, P)."""
    width = d_joined.shape[1] - d_profile.shape[1]
    for m in range(places.shape[0]):
        for p in range(d_profile.shape[1]):
            d_profile[places[m] // count, p] += d_joined[m, width + p]


@jit
def place(rows: Array, places: Ints, first: int, stop: int, out: Array) -> None:
    """Write rows (M, D or more) to places (M,), ascending, of out (B K, D), from first to stop.

    Zero to those that no row is for.
    """
    m = 0
    for b in range(first, stop):
        if m < places.shape[0] and places[m] == b:
            for d in range(out.shape[1]):
                out[b, d] = rows[m, d]
            m += 1
        else:
            for d in range(out.shape[1]):
                out[b, d] = 0  # model-R6
