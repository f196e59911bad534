"""Buffers of the layers between capsules and interests.

Spec: specs/model.md, steps 4 to 6. Only active interests have a row. In the backward pass of label
attention, interests with attention weight zero have none: one row per user if `power` is infinite.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.config import Config
from mindref.kernels.contiguous import readonly_contiguous
from mindref.kernels.fused.layer_kernels import (
    LayerBuffers,
    LayerGradients,
    UserBlockRows,
    block_layers_forward,
)
from mindref.kernels.fused.layout import find_active_interests
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.models import mind_plus
from mindref.models.parameters import Layer, Params
from mindref.shapes import Array, Bools, Ints

BLOCK_USERS = 128
"""Number of users per block; `users_per_block` doubles the number for large batches."""


def users_per_block(users: int) -> int:
    """Return the number of users per block, for a batch of `users` users.

    Small blocks fit the cache of a core; large blocks make the matrix products faster. At 1,024
    users there are four blocks, which keep four threads busy. A fifth thread would be idle.
    """
    return 2 * BLOCK_USERS if users >= 8 * BLOCK_USERS else BLOCK_USERS


def count_user_blocks(users: int) -> int:
    """Return the number of blocks of users."""
    return -(-users // users_per_block(users))


class Layers:
    """Buffers of the layers. Row r is interest k of user b if active_slots[r] = b K + k."""

    buffers: LayerBuffers

    def __init__(
        self,
        work: KernelWorkspace,
        params: Params | mind_plus.Params,
        shape: tuple[int, int],
        input_width: int,
        config: Config,
        *,
        residual: bool = False,
    ) -> None:
        """Allocate buffers for `shape` (B, K): B users, K interests. input_width: P."""
        self.dtype, self.residual = params.items.dtype, residual and len(params.layers) > 0
        layers = layers_or_placeholder(params.layers, self.dtype)
        last = len(layers) - 1
        self.relus = tuple(config.last_relu or i < last for i in range(last + 1))  # model-R5
        self.users, self.count = shape
        self.block_users = users_per_block(self.users)
        self.num_blocks = count_user_blocks(self.users)
        outs = [len(layer.bias) for layer in layers]
        self.widths = [params.items.shape[1], *outs]  # of the capsules and of each output
        self.user_shapes = (self.users, input_width), (self.users, outs[0])
        self.user_products = work.array("user_products", *self.user_shapes[1], dtype=self.dtype)
        rows = self.users * self.count
        self.active = work.array("active", self.users, self.count, dtype=np.bool_)
        self.active_slots = work.array("active_slots", rows, dtype=np.int64)
        self.block_rows = work.array("block_rows", self.num_blocks + 1, dtype=np.int64)
        self.x = self.allocate_rows(work, "x", self.widths)
        self.passed = tuple(
            work.array(f"passed{i}", rows, out, dtype=np.bool_)
            for i, out in enumerate(self.widths[1:])
        )

    def allocate_rows(
        self, work: KernelWorkspace, name: str, widths: list[int]
    ) -> tuple[Array, ...]:
        """Return one buffer (B K, width) per width: at most B K interests are active."""
        return tuple(
            work.array(f"{name}{i}", self.users * self.count, width, dtype=self.dtype)
            for i, width in enumerate(widths)
        )

    def allocate_gradients(
        self, work: KernelWorkspace, layers: tuple[Layer, ...]
    ) -> LayerGradients:
        """Return the buffers of backward. A gradient is the sum of d_weights over user blocks."""
        rows = self.users * self.count
        layers = layers_or_placeholder(layers, self.dtype)

        def parts(name: str, shapes: list[tuple[int, ...]]) -> tuple[Array, ...]:
            return tuple(
                work.array(f"{name}{i}", self.num_blocks, *shape, dtype=self.dtype)
                for i, shape in enumerate(shapes)
            )

        return LayerGradients(
            d_x=self.allocate_rows(work, "d_x", self.widths),
            x_rows=self.allocate_rows(work, "x_rows", self.widths[:-1]),
            d_weights=parts("d_weights", [layer.weight.shape for layer in layers]),
            d_biases=parts("d_biases", [layer.bias.shape for layer in layers]),
            rows=work.array("gradient_rows", rows, dtype=np.int64),
            slots=work.array("gradient_slots", rows, dtype=np.int64),
            user_rows=work.array("user_rows", self.users, 2, dtype=np.int64),
            d_user_inputs=work.array("d_user_inputs", *self.user_shapes[0], dtype=self.dtype),
            d_user_products=work.array("d_user_products", *self.user_shapes[1], dtype=self.dtype),
        )

    def start_batch(
        self, layers: tuple[Layer, ...], mask: Bools, active_by_length: Bools, inputs: Array
    ) -> int:
        """Find the active interests of a batch; return the number of behaviours.

        active_by_length: see `find_active_interests`. inputs (B, P): profiles and contexts.
        """
        parameters = tuple(
            Layer(*map(readonly_contiguous, layer))
            for layer in layers_or_placeholder(layers, self.dtype)
        )
        self.buffers = LayerBuffers(
            depth=len(layers),
            layers=parameters,
            relus=self.relus,
            x=self.x,
            passed=self.passed,
            active=self.active,
            user_inputs=inputs,
            user_products=self.user_products,
            active_slots=self.active_slots,
            residual=self.residual,
        )
        return find_active_interests(
            mask,
            active_by_length,
            self.block_users,
            self.active,
            self.active_slots,
            self.block_rows,
        )

    def user_block(self, users: slice) -> UserBlockRows:
        """Return a block of users with the rows of their active interests."""
        number = self.block_number(users)
        first_row, stop_row = (int(row) for row in self.block_rows[number : number + 2])
        return UserBlockRows(users.start, users.stop, first_row, stop_row, number)

    def block_number(self, users: slice) -> int:
        """Return the number of a block of users, from 0."""
        return int(users.start // self.block_users)

    def forward(self, users: slice, capsules: Array, interests: Array) -> None:
        """Write the interests (B, K, D) of a block of users, zero where inactive."""
        block_layers_forward(self.user_block(users), self.buffers, capsules, interests)


class GradientRows(NamedTuple):
    """The capsules that have a gradient, in one block of users."""

    rows: slice  # rows of these capsules in `LayerGradients`
    slots: Ints  # (M,) slot b K + k of interest k of user b, ascending
    d_capsules: Array  # (M, D)


def rows_with_gradient(gradients: LayerGradients, block: UserBlockRows, count: int) -> GradientRows:
    """Return the first `count` rows of a block: the rows that `block_layers_backward` wrote."""
    rows = slice(block.first_row, block.first_row + count)
    return GradientRows(rows, gradients.slots[rows], gradients.d_x[0][rows])


def layers_or_placeholder(layers: tuple[Layer, ...], dtype: npt.DTypeLike) -> tuple[Layer, ...]:
    """Return layers, or one unused layer if there are none: Numba cannot type an empty tuple."""
    return layers or (Layer(np.empty((0, 0), dtype), np.empty(0, dtype)),)
