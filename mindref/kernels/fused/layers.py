"""The layers between capsules and interests, on the rows that matter alone.

Spec: specs/model.md, steps 4 to 6. An inactive interest has no row. On the way back a row has a
part only if attention weighs its interest: with p = infinity that is one of each user's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels.fused.layout import find_active
from mindref.kernels.fused.stack import At, Stack, Way, climb
from mindref.kernels.fused.workspace import Workspace
from mindref.kernels.product import steady
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

    stack: Stack

    def __init__(
        self,
        work: Workspace,
        params: Params,
        shape: tuple[int, int],
        profiles: int,
        config: Config,
    ) -> None:
        """Serve any batch of this shape (B, K), with P numbers of profiles each."""
        self.dtype = params.items.dtype
        layers = some(params.layers, self.dtype)
        last = len(layers) - 1
        self.relus = tuple(config.last_relu or i < last for i in range(last + 1))  # model-R5
        self.users, self.count = shape
        self.width, self.length = params.items.shape[1], block_length(self.users)
        self.parts = parts_of(self.users)
        outs = [len(layer.bias) for layer in layers]
        self.widths = [self.width + profiles, *outs]  # into the first, out of each
        self.find_room(work, layers)

    def find_room(self, work: Workspace, layers: tuple[Layer, ...]) -> None:
        """Find room for the rows."""
        self.active = work.array("active", self.users, self.count, dtype=np.bool_)
        self.alive = work.array("alive", self.users * self.count, dtype=np.int64)
        self.borders = work.array("borders", self.parts + 1, dtype=np.int64)
        self.x = self.rows(work, "x", self.widths)
        self.passed = tuple(
            work.array(f"passed{i}", self.users * self.count, out, dtype=np.bool_)
            for i, out in enumerate(self.widths[1:])
        )

    def begin(self, layers: tuple[Layer, ...], mask: Bools, by_length: Bools, own: Array) -> int:
        """Begin with a batch; by_length and the number that is returned are as in `find_active`.

        own (B, P): the users' profiles.
        """
        read = tuple(Layer(*map(steady, layer)) for layer in some(layers, self.dtype))
        self.stack = Stack(len(layers), read, self.relus, self.x, self.passed, own, self.alive)
        found = (self.active, self.alive, self.borders)
        return find_active(mask, by_length, self.length, *found)

    def rows(self, work: Workspace, name: str, widths: list[int]) -> tuple[Array, ...]:
        """Return kept arrays (B K, width), as many as there may be rows."""
        return tuple(
            work.array(f"{name}{i}", self.users * self.count, width, dtype=self.dtype)
            for i, width in enumerate(widths)
        )

    def at(self, block: slice) -> At:
        """Return where a block of users stands."""
        part = self.part(block)
        row, end = (int(x) for x in self.borders[part : part + 2])
        return At(block.start, block.stop, row, end, part)

    def part(self, block: slice) -> int:
        """Return the number of a block of users: that of its part in what all blocks send."""
        return int(block.start // self.length)

    def forward(self, block: slice, capsules: Array, out: Array) -> None:
        """Write the interests (B, K, D) of a block of users, zero where inactive."""
        climb(self.at(block), self.stack, capsules, out)


class Senders(NamedTuple):
    """Those capsules of a block of users that have a gradient."""

    rows: slice  # where they stand among the rows of all users
    places: Ints  # (M,) of (B K,), ascending
    d_joined: Array  # (M, D + P)


class Trained(Layers):
    """The same with the way back."""

    def find_room(self, work: Workspace, layers: tuple[Layer, ...]) -> None:
        """And for gradients: those of weights and biases in a part for each block."""
        super().find_room(work, layers)
        rows = self.users * self.count
        senders, sending = (
            work.array(name, rows, dtype=np.int64) for name in ("senders", "sending")
        )
        d_weights, d_biases = (
            tuple(
                work.array(f"{name}{i}", self.parts, *part.shape, dtype=self.dtype)
                for i, part in enumerate(like)
            )
            for name, like in (
                ("d_weights", [layer.weight for layer in layers]),
                ("d_biases", [layer.bias for layer in layers]),
            )
        )
        self.way = Way(
            d_x=self.rows(work, "d_x", self.widths),
            sent=self.rows(work, "sent", self.widths[:-1]),
            d_weights=d_weights,
            d_biases=d_biases,
            senders=senders,
            sending=sending,
            spans=work.array("spans", self.users, 2, dtype=np.int64),
        )

    def senders(self, at: At, count: int) -> Senders:
        """Return those of a block, when it is known how many they are."""
        here = slice(at.row, at.row + count)
        return Senders(here, self.way.sending[here], self.way.d_x[0][here])


def some(layers: tuple[Layer, ...], dtype: Any) -> tuple[Layer, ...]:
    """Return layers, or one without a width that is never reached: an empty tuple has no type."""
    return layers or (Layer(np.empty((0, 0), dtype), np.empty(0, dtype)),)
