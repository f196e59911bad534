"""The layers between capsules and interests, on the rows that matter alone.

Spec: specs/model.md, steps 4 to 6. An inactive interest has no row. On the way back a row has a
part only if attention weighs its interest: with p = infinity that is one of each user's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels import relu_layer
from mindref.kernels._jit import jit
from mindref.kernels.fused.workspace import Workspace
from mindref.models.parameters import Params
from mindref.shapes import Array, Bools, Ints

USERS = 128  # a block of users, or twice as many where that leaves four blocks


def block_length(users: int) -> int:
    """Return how many users are a block: few for a core's cache, many for the rate of products.

    Four blocks keep four threads busy; of more, some have nothing to do there at 1,024 users.
    """
    return 2 * USERS if users >= 8 * USERS else USERS


class Layers:
    """Rows of all users one after the other; row r is that of place alive[r] of (B K,)."""

    def __init__(
        self, work: Workspace, params: Params, active: Bools, profile: Array, config: Config
    ) -> None:
        """Find room for the rows of a batch; active (B, K), profile (B, P)."""
        self.work, self.layers, self.profile, self.config = work, params.layers, profile, config
        self.count, self.width = active.shape[1], params.items.shape[1]
        self.alive = np.flatnonzero(active)
        self.length = block_length(len(active))
        places = np.arange(0, active.size + self.length * self.count, self.length * self.count)
        self.borders = np.searchsorted(self.alive, places)
        self.dtype = params.items.dtype
        self.x = self.rows("x", self.width + profile.shape[1])
        shape = len(self.alive)
        self.passed = [
            work.array(f"passed{i}", shape, len(layer.bias), dtype=np.bool_)
            for i, layer in enumerate(self.layers)
        ]

    def rows(self, name: str, joined: int) -> list[Array]:
        """Return kept arrays for what goes into the first layer and comes out of each."""
        widths = (joined, *(len(layer.bias) for layer in self.layers))
        return [
            self.work.array(f"{name}{i}", len(self.alive), width, dtype=self.dtype)
            for i, width in enumerate(widths)
        ]

    def of(self, block: slice) -> slice:
        """Return the rows of a block of users."""
        number = block.start // self.length
        return slice(int(self.borders[number]), int(self.borders[number + 1]))

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
            relu_layer.rectify(x[i + 1], layer.bias, self.relu(i), self.passed[i][rows])
        place(x[-1], alive, self.places(block), flat(out))


class Senders(NamedTuple):
    """Those capsules of a block of users that have a gradient."""

    rows: slice  # where they stand among the rows of all users
    places: Ints  # (M,) of (B K,), ascending
    d_joined: Array  # (M, D + P)


class Trained(Layers):
    """The same with the way back."""

    def __init__(
        self, work: Workspace, params: Params, active: Bools, profile: Array, config: Config
    ) -> None:
        """Find room for gradients, too: those of weights and biases in a part for each block."""
        super().__init__(work, params, active, profile, config)
        parts, joined = len(self.borders) - 1, self.width + profile.shape[1]
        self.sent, self.d_x = self.rows("sent", joined), self.rows("d_x", joined)
        self.d_weights, self.d_biases = (
            [
                work.array(f"{name}{i}", parts, *part.shape, dtype=self.dtype)
                for i, part in enumerate(like)
            ]
            for name, like in (
                ("d_weights", [layer.weight for layer in self.layers]),
                ("d_biases", [layer.bias for layer in self.layers]),
            )
        )

    def backward(self, block: slice, weights: Array, d_users: Array) -> Senders:
        """Return what d_users (B, K, D) of a block comes to at capsules and profiles.

        weights (B, K): where one is zero, so is the gradient of that interest.
        """
        rows, part = self.of(block), block.start // self.length
        alive = self.alive[rows]
        senders = np.flatnonzero(weights.reshape(-1)[alive])
        places = alive[senders]
        here = slice(rows.start, rows.start + len(places))
        d_x = [d[here] for d in self.d_x]
        np.take(flat(d_users), places, axis=0, out=d_x[-1], mode="clip")
        for i in reversed(range(len(self.layers))):
            x, passed = self.x[i][rows], self.passed[i][rows]
            if len(places) < len(alive):
                x = np.take(x, senders, axis=0, out=self.sent[i][here], mode="clip")
                passed = passed[senders] if self.relu(i) else passed
            d_bias = self.d_biases[i][part]
            d_bias[:] = 0
            relu_layer.rectify_backward(d_x[i + 1], not self.relu(i), passed, d_bias)
            np.matmul(x.T, d_x[i + 1], out=self.d_weights[i][part])
            np.matmul(d_x[i + 1], self.layers[i].weight.T, out=d_x[i])
        return Senders(here, places, d_x[0])


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
