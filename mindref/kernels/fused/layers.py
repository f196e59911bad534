"""Layers between capsules and interests: buffers, and compiled forward and backward of a block.

Spec: specs/model.md, steps 4 to 6. The slot of interest k of user b is the number b K + k. Only
active interests have a row: active_slots[r] is the slot of row r. In the backward pass of label
attention, interests with attention weight zero have none: one row per user if `power` is infinite.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.config import Config
from mindref.kernels._jit import jit, jit_inline
from mindref.kernels.contiguous import readonly_contiguous
from mindref.kernels.fused.layout import find_active_interests
from mindref.kernels.fused.workspace import KernelWorkspace
from mindref.kernels.matmul import matmul_into
from mindref.kernels.relu_layer import relu_inplace, relu_inplace_backward
from mindref.kernels.routing import gather_rows
from mindref.models import mind_plus
from mindref.models.parameters import Layer, Params
from mindref.shapes import Array, Bools, Ints


class LayerBuffers(NamedTuple):
    """Inputs and intermediate values of the forward pass; x has one row per active interest.

    If the model has no layers, each tuple has an unused entry: see `layers_or_placeholder`. The
    first layer has P further inputs: see `layer_rows_forward`.
    """

    depth: int  # number of layers
    layers: tuple[Layer, ...]
    relus: tuple[bool, ...]  # whether a ReLU follows the layer
    x: tuple[Array, ...]  # the input of each layer, and the output of the last layer
    passed: tuple[Bools, ...]  # where the pre-activation is positive or NaN
    active: Bools  # (B, K)
    user_inputs: Array  # (B, P) profile, then contexts: further inputs of the first layer
    user_products: Array  # (B, O) of these inputs and the first layer
    active_slots: Ints  # (B K,) the first R entries: slots of the R active interests
    residual: bool  # whether the capsule is added to the output of the last layer


class LayerGradients(NamedTuple):
    """Buffers of backward. A gradient is the sum of d_weights or d_biases over blocks of users."""

    d_x: tuple[Array, ...]
    x_rows: tuple[Array, ...]  # copies of the rows of LayerBuffers.x that have a gradient
    d_weights: tuple[Array, ...]
    d_biases: tuple[Array, ...]
    rows: Ints  # (B K,) per block: indices of rows with a gradient, from the block's first row
    slots: Ints  # (B K,) slot b K + k of each row in `rows`
    user_rows: Ints  # (B, 2) start and stop of each user's rows, in `slots` and in d_x
    d_user_inputs: Array  # (B, P)
    d_user_products: Array  # (B, O)


class UserBlockRows(NamedTuple):
    """A block of users from `first` to `stop`, and the rows of their active interests."""

    first: int  # the first user
    stop: int  # the last user + 1
    first_row: int  # the first row of these users
    stop_row: int  # the last row + 1
    number: int  # blocks are numbered from 0


@jit
def block_layers_forward(
    block: UserBlockRows, buffers: LayerBuffers, capsules: Array, interests: Array
) -> None:
    """Write the interests (B, K, D) of a block of users, zero where inactive."""
    rows, (_, count, width) = slice(block.first_row, block.stop_row), interests.shape
    layer_rows_forward(block, buffers, capsules)
    slots, top = buffers.active_slots[rows], buffers.x[buffers.depth][rows]
    scatter_rows(top, slots, block.first * count, block.stop * count, interests.reshape(-1, width))


@jit_inline
def layer_rows_forward(block: UserBlockRows, buffers: LayerBuffers, capsules: Array) -> None:
    """Write the active interests of a block of users to the rows of the last `buffers.x`.

    The input of the first layer is [capsule ; inputs of the user]. The product with the inputs of
    a user is the same for all interests of this user, so it is computed once (model-R4).
    """
    rows, users = slice(block.first_row, block.stop_row), slice(block.first, block.stop)
    slots, layers, (_, count, width) = buffers.active_slots[rows], buffers.layers, capsules.shape
    gather_rows(capsules.reshape(-1, width), slots, buffers.x[0][rows])
    for i in range(buffers.depth):
        x, out = buffers.x[i][rows], buffers.x[i + 1][rows]
        matmul_into(x, layers[i].weight[: x.shape[1]], out)
        if i == 0 and buffers.user_inputs.shape[1] > 0:
            products = buffers.user_products[users]
            matmul_into(buffers.user_inputs[users], layers[0].weight[width:], products)
            add_user_rows(products, slots, count, block.first, out)
        relu_inplace(out, layers[i].bias, buffers.relus[i], buffers.passed[i][rows])
    if buffers.residual:  # mind_plus-R10
        add_rows(buffers.x[0][rows], buffers.x[buffers.depth][rows])


@jit_inline
def block_layers_backward(
    block: UserBlockRows,
    buffers: LayerBuffers,
    gradients: LayerGradients,
    weights: Array,
    d_interests: Array,
) -> int:
    """Write the gradients of the layers, of capsules and of inputs of users to `gradients`.

    weights (B, K): attention weights; d_interests (B, K, D). An interest with weight zero has no
    gradient. The rows with a gradient become the block's first R rows in `gradients`. Returns R.
    """
    block_rows = slice(block.first_row, block.stop_row)
    selected = select_weighted_rows(
        block,
        buffers.active_slots[block_rows],
        weights,
        d_interests,
        gradients,
        gradients.d_x[buffers.depth][block_rows],
    )
    layer_rows_backward(block, buffers, gradients, selected)
    return selected


@jit_inline
def layer_rows_backward(
    block: UserBlockRows, buffers: LayerBuffers, gradients: LayerGradients, selected: int
) -> None:
    """Run backward through the layers, from the first `selected` rows of the last d_x."""
    block_rows, users = slice(block.first_row, block.stop_row), slice(block.first, block.stop)
    selected_rows = slice(block.first_row, block.first_row + selected)
    rows, slots = gradients.rows[block_rows][:selected], gradients.slots[selected_rows]
    d_residual = np.empty((0, 0), gradients.d_x[0].dtype)
    if buffers.residual:
        d_residual = gradients.d_x[buffers.depth][selected_rows].copy()
    for i in range(buffers.depth - 1, -1, -1):
        x, passed = buffers.x[i][block_rows], buffers.passed[i][block_rows]
        d_out, d_bias = gradients.d_x[i + 1][selected_rows], gradients.d_biases[i][block.number]
        if selected < x.shape[0]:
            x_rows = gradients.x_rows[i][selected_rows]
            gather_rows(x, rows, x_rows)
            x = x_rows
        relu_rows_backward(passed, rows, buffers.relus[i], d_out, d_bias)
        width = x.shape[1]
        d_weight, weight = gradients.d_weights[i][block.number], buffers.layers[i].weight
        matmul_into(x.T, d_out, d_weight[:width])
        if i == 0 and buffers.user_inputs.shape[1] > 0:
            d_products = gradients.d_user_products[users]
            sum_user_rows(d_out, slots, buffers.active.shape[1], block.first, d_products)
            matmul_into(buffers.user_inputs[users].T, d_products, d_weight[width:])
            matmul_into(d_products, weight[width:].T, gradients.d_user_inputs[users])
        matmul_into(d_out, weight[:width].T, gradients.d_x[i][selected_rows])
    if buffers.residual:  # mind_plus-R18
        add_rows(d_residual, gradients.d_x[0][selected_rows])


@jit
def select_active_rows(
    block: UserBlockRows, active_slots: Ints, interests: int, gradients: LayerGradients
) -> None:
    """Select all active interests: write `rows`, `slots` and `user_rows` of a block of users."""
    row = block.first_row
    for b in range(block.first, block.stop):
        gradients.user_rows[b, 0] = row
        while row < block.stop_row and active_slots[row] < (b + 1) * interests:
            gradients.rows[row], gradients.slots[row] = row - block.first_row, active_slots[row]
            row += 1
        gradients.user_rows[b, 1] = row


@jit_inline
def add_rows(x: Array, out: Array) -> None:
    """Add x to out (M, D)."""
    for m in range(x.shape[0]):
        for d in range(x.shape[1]):
            out[m, d] += x[m, d]


@jit_inline
def add_user_rows(x: Array, slots: Ints, count: int, first: int, out: Array) -> None:
    """Add row b - first of x (U, O) to each row of out (M, O) whose slot b K + k is of user b."""
    for m in range(slots.shape[0]):
        row = x[slots[m] // count - first]
        for d in range(row.shape[0]):
            out[m, d] += row[d]


@jit_inline
def sum_user_rows(x: Array, slots: Ints, count: int, first: int, out: Array) -> None:
    """Write to each row b - first of out (U, O) the sum of the rows of x (M, O) of user b."""
    out[:] = 0
    for m in range(slots.shape[0]):
        row = out[slots[m] // count - first]
        for d in range(row.shape[0]):
            row[d] += x[m, d]


@jit_inline
def select_weighted_rows(
    block: UserBlockRows,
    active_slots: Ints,
    weights: Array,
    d_interests: Array,
    gradients: LayerGradients,
    d_rows: Array,
) -> int:
    """Select the interests of a block with a non-zero attention weight; return their number.

    active_slots: of the block. Writes `rows`, `slots` and `user_rows` of `gradients`, and the
    gradients of the selected interests to the first rows of d_rows.
    """
    selected, r, interests, first_row = 0, 0, weights.shape[1], block.first_row
    for b in range(block.first, block.stop):
        gradients.user_rows[b, 0] = first_row + selected
        while r < len(active_slots) and active_slots[r] < (b + 1) * interests:
            k = active_slots[r] - b * interests
            if weights[b, k] != 0:
                gradients.rows[first_row + selected] = r
                gradients.slots[first_row + selected] = active_slots[r]
                for d in range(d_rows.shape[1]):
                    d_rows[selected, d] = d_interests[b, k, d]
                selected += 1
            r += 1
        gradients.user_rows[b, 1] = first_row + selected
    return selected


@jit_inline
def relu_rows_backward(passed: Bools, rows: Ints, relu: bool, d_out: Array, d_bias: Array) -> None:
    """Set d_out (M, O) to zero where the ReLU of the row rows[m] is zero.

    Writes the gradient of the bias to d_bias.
    """
    d_bias[:] = 0
    if relu and rows.shape[0] < passed.shape[0]:
        passed_rows = np.empty(d_out.shape, np.bool_)
        gather_rows(passed, rows, passed_rows)
        relu_inplace_backward(d_out, False, passed_rows, d_bias)
    else:
        relu_inplace_backward(d_out, not relu, passed, d_bias)


@jit
def scatter_rows(rows: Array, slots: Ints, first: int, stop: int, out: Array) -> None:
    """Write the first D values of rows[m] to out[slots[m]] (D,); the slots must ascend.

    Every other row of out from `first` to `stop` becomes zero.
    """
    m = 0
    for slot in range(first, stop):
        if m < slots.shape[0] and slots[m] == slot:
            for d in range(out.shape[1]):
                out[slot, d] = rows[m, d]
            m += 1
        else:
            for d in range(out.shape[1]):
                out[slot, d] = 0  # model-R6


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
