"""The layers between capsules and interests, on the rows that matter alone.

Spec: specs/model.md, steps 4 to 6. An inactive interest has no row. On the way back a row has a
part only if attention weighs its interest: with p = infinity that is one of each user's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels._jit import jit
from mindref.kernels.fused.layout import find_active
from mindref.kernels.fused.workspace import Workspace
from mindref.kernels.relu_layer import rectify, rectify_backward
from mindref.kernels.rounds import gather
from mindref.models.parameters import Layer, Params
from mindref.shapes import Array, Bools, Ints

USERS = 128  # a block of users, or twice as many where that leaves four blocks


def block_length(users: int) -> int:
    """Return how many users are a block: few for a core's cache, many for the rate of products.

    Four blocks keep four threads busy; of more, some have nothing to do there at 1,024 users.
    """
    return 2 * USERS if users >= 8 * USERS else USERS


def parts_of(users: int) -> int:
    """Return how many blocks that makes."""
    return -(-users // block_length(users))


class Layers:
    """Rows of all users one after the other; row r is that of place alive[r] of (B K,)."""

    layers: tuple[Layer, ...]
    profile: Array  # (B, P)
    alive: Ints  # (R,)

    def __init__(
        self,
        work: Workspace,
        params: Params,
        shape: tuple[int, int],
        profiles: int,
        config: Config,
    ) -> None:
        """Serve any batch of this shape (B, K), with P numbers of profiles each."""
        self.config, self.dtype = config, params.items.dtype
        self.users, self.count = shape
        self.width, self.length = params.items.shape[1], block_length(self.users)
        self.parts = parts_of(self.users)
        outs = [len(layer.bias) for layer in params.layers]
        self.widths = [self.width + profiles, *outs]  # into the first, out of each
        self.find_room(work, params)

    def find_room(self, work: Workspace, params: Params) -> None:
        """Find room for the rows."""
        self.active = work.array("active", self.users, self.count, dtype=np.bool_)
        self.places_of_alive = work.array("alive", self.users * self.count, dtype=np.int64)
        self.borders = work.array("borders", self.parts + 1, dtype=np.int64)
        self.x = self.rows(work, "x", self.widths)
        self.passed = [
            work.array(f"passed{i}", self.users * self.count, out, dtype=np.bool_)
            for i, out in enumerate(self.widths[1:])
        ]

    def begin(self, layers: tuple[Layer, ...], mask: Bools, by_length: Bools, own: Array) -> int:
        """Begin with a batch; by_length and the number that is returned are as in `find_active`.

        own (B, P): the users' profiles.
        """
        self.layers, self.profile = layers, own
        found = (self.active, self.places_of_alive, self.borders)
        behaviours, rows = find_active(mask, by_length, self.length, *found)
        self.alive = self.places_of_alive[:rows]
        return behaviours

    def rows(self, work: Workspace, name: str, widths: list[int]) -> list[Array]:
        """Return kept arrays (B K, width), as many as there may be rows."""
        return [
            work.array(f"{name}{i}", self.users * self.count, width, dtype=self.dtype)
            for i, width in enumerate(widths)
        ]

    def of(self, block: slice) -> slice:
        """Return the rows of a block of users."""
        part = self.part(block)
        return slice(int(self.borders[part]), int(self.borders[part + 1]))

    def part(self, block: slice) -> int:
        """Return the number of a block of users: that of its part in what all blocks send."""
        return int(block.start // self.length)

    def places(self, block: slice) -> tuple[int, int]:
        """Return the first of the places (B K,) of a block of users, and that after the last."""
        return block.start * self.count, block.stop * self.count

    def relu(self, i: int) -> bool:
        """Return whether there is a rectifier after a layer."""
        return self.config.last_relu or i < len(self.layers) - 1  # model-R5

    def forward(self, block: slice, capsules: Array, out: Array) -> None:
        """Write the interests (B, K, D) of a block of users, zero where inactive."""
        rows = self.of(block)
        alive, x = self.alive[rows], [x[rows] for x in self.x]
        join(flat(capsules), self.profile, self.count, alive, x[0])
        for i, layer in enumerate(self.layers):
            np.matmul(x[i], layer.weight, out=x[i + 1])
            rectify(x[i + 1], layer.bias, self.relu(i), self.passed[i][rows])
        place(x[-1], alive, self.places(block), flat(out))


class Senders(NamedTuple):
    """Those capsules of a block of users that have a gradient."""

    rows: slice  # where they stand among the rows of all users
    places: Ints  # (M,) of (B K,), ascending
    d_joined: Array  # (M, D + P)


class Trained(Layers):
    """The same with the way back."""

    def find_room(self, work: Workspace, params: Params) -> None:
        """And for gradients: those of weights and biases in a part for each block."""
        super().find_room(work, params)
        rows = self.users * self.count
        self.d_x = self.rows(work, "d_x", self.widths)
        self.sent = self.rows(work, "sent", self.widths[:-1])
        self.senders, self.sending = (
            work.array(name, rows, dtype=np.int64) for name in ("senders", "sending")
        )
        self.spans = work.array("spans", self.users, 2, dtype=np.int64)
        self.d_weights, self.d_biases = (
            [
                work.array(f"{name}{i}", self.parts, *part.shape, dtype=self.dtype)
                for i, part in enumerate(like)
            ]
            for name, like in (
                ("d_weights", [layer.weight for layer in params.layers]),
                ("d_biases", [layer.bias for layer in params.layers]),
            )
        )

    def backward(self, block: slice, weights: Array, d_users: Array) -> Senders:
        """Return what d_users (B, K, D) of a block comes to at capsules and profiles.

        weights (B, K): where one is zero, so is the gradient of that interest.
        """
        rows, part = self.of(block), self.part(block)
        senders, places = self.senders[rows], self.sending[rows]
        found = (senders, places, self.spans, self.d_x[-1][rows])
        count = choose(
            block.start, block.stop, self.alive[rows], rows.start, weights, d_users, *found
        )
        here = slice(rows.start, rows.start + count)
        d_x = [d[here] for d in self.d_x]
        for i in reversed(range(len(self.layers))):
            x, passed = self.x[i][rows], self.passed[i][rows]
            sent, d_bias = self.sent[i][here], self.d_biases[i][part]
            take_and_rectify(x, passed, senders[:count], self.relu(i), sent, d_x[i + 1], d_bias)
            np.matmul(sent.T, d_x[i + 1], out=self.d_weights[i][part])
            np.matmul(d_x[i + 1], self.layers[i].weight.T, out=d_x[i])
        return Senders(here, places[:count], d_x[0])


@jit
def join(capsules: Array, profile: Array, count: int, places: Ints, out: Array) -> None:
    """Write [capsule ; profile] of some places (M,) of capsules (B K, D) into out (M, D + P)."""
    width = capsules.shape[1]
    for m in range(places.shape[0]):
        capsule, own = capsules[places[m]], profile[places[m] // count]
        for d in range(width):
            out[m, d] = capsule[d]
        for d in range(own.shape[0]):
            out[m, width + d] = own[d]  # model-R4


@jit
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


@jit
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
def place(rows: Array, places: Ints, whole: tuple[int, int], out: Array) -> None:
    """Write rows (M, D or more) to places (M,), ascending, of out (B K, D); zero elsewhere."""
    m = 0
    for b in range(whole[0], whole[1]):
        if m < places.shape[0] and places[m] == b:
            for d in range(out.shape[1]):
                out[b, d] = rows[m, d]
            m += 1
        else:
            for d in range(out.shape[1]):
                out[b, d] = 0  # model-R6


def flat(x: Array) -> Array:
    """Return x (B, K, I) as rows (B K, I)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])
