"""The layers between capsules and interests, on the rows that matter alone.

Spec: specs/model.md, steps 4 to 6. An inactive interest has no row. On the way back a row has a
part only if attention weighs its interest: with p = infinity that is one of each user's.
"""

from __future__ import annotations

import numpy as np

from mindref.config import Config
from mindref.kernels import relu_layer
from mindref.kernels.fused.workspace import Workspace
from mindref.models.parameters import Params
from mindref.shapes import Array, Bools

USERS = 128  # a block of users: its activations stay in the cache of a core


class Layers:
    """Rows of all users one after the other; row r is that of place alive[r] of (B K,)."""

    def __init__(
        self, work: Workspace, params: Params, active: Bools, profile: Array, config: Config
    ) -> None:
        """Find room for the rows of a batch; active (B, K), profile (B, P)."""
        self.work, self.layers, self.profile, self.config = work, params.layers, profile, config
        self.count, self.width = active.shape[1], params.items.shape[1]
        self.alive = np.flatnonzero(active)
        places = np.arange(0, active.size + USERS * self.count, USERS * self.count)
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
        number = block.start // USERS
        return slice(int(self.borders[number]), int(self.borders[number + 1]))

    def relu(self, i: int) -> bool:
        """Return whether there is a rectifier after a layer."""
        return self.config.last_relu or i < len(self.layers) - 1  # model-R5

    def forward(self, block: slice, capsules: Array, out: Array) -> None:
        """Write the interests (B, K, D) of a block of users, zero where inactive."""
        rows = self.of(block)
        alive, x = self.alive[rows], [x[rows] for x in self.x]
        x[0][:, : self.width] = flat(capsules)[alive]
        x[0][:, self.width :] = self.profile[alive // self.count]  # model-R4
        for i, layer in enumerate(self.layers):
            np.matmul(x[i], layer.weight, out=x[i + 1])
            relu_layer.rectify(x[i + 1], layer.bias, self.relu(i), self.passed[i][rows])
        out[block] = 0  # model-R6
        flat(out)[alive] = x[-1]


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

    def backward(self, block: slice, weights: Array, d_users: Array, d_joined: Array) -> None:
        """Take d_users (B, K, D) of a block back to d_joined (B, K, D + P), by way of its parts.

        weights (B, K): where one is zero, so is the gradient of that interest.
        """
        rows, part = self.of(block), block.start // USERS
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
        d_joined[block] = 0
        flat(d_joined)[places] = d_x[0]


def flat(x: Array) -> Array:
    """Return x (B, K, I) as rows (B K, I)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])
