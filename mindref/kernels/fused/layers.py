"""Layers between capsules and interests: buffers, and compiled forward and backward of a block.

Spec: specs/model.md, steps 4 to 6 of the interests. The slot of interest k of user b is the number
b K + k. Only active interests have a row: active_slots[r] is the slot of row r. In the backward
pass of label attention, interests with attention weight zero have none: one row per user if `power`
is infinite.
"""

from __future__ import annotations

from copy import copy
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
    """Buffers of backward, with a row for each interest that has a gradient.

    The rows of a block start at the block's first row of the forward pass, and may be fewer.
    """

    d_x: tuple[Array, ...]  # of each x in `LayerBuffers`
    selected_x: tuple[Array, ...]  # copies of the rows of each x that have a gradient
    d_weights: tuple[Array, ...]  # a gradient is the sum of d_weights over blocks of users
    d_biases: tuple[Array, ...]  # and of d_biases
    selected: Ints  # (B K,) index of the forward row of each row, from the block's first row
    slots: Ints  # (B K,) slot b K + k of each row
    user_rows: Ints  # (B, 2) start and stop of each user's rows
    d_user_inputs: Array  # (B, P)
    d_user_products: Array  # (B, O)


class UserBlockRows(NamedTuple):
    """A block of users from `first` to `stop`, and the rows of their active interests."""

    first: int  # the first user
    stop: int  # the last user + 1
    first_row: int  # the first row of these users
    stop_row: int  # the last row + 1
    number: int  # blocks are numbered from 0


@jit_inline
def block_layers_forward(
    block: UserBlockRows, buffers: LayerBuffers, capsules: Array, interests: Array
) -> None:
    """Write the interests (B, K, D) of a block of users, zero where inactive."""
    rows, (_, count, width) = slice(block.first_row, block.stop_row), interests.shape
    layer_rows_forward(block, buffers, capsules)  # 4 and 5
    out, slots = buffers.x[buffers.depth][rows], buffers.active_slots[rows]
    first_slot, stop_slot = block.first * count, block.stop * count
    scatter_rows(out, slots, first_slot, stop_slot, interests.reshape(-1, width))  # 6


@jit
def layer_rows_forward(block: UserBlockRows, buffers: LayerBuffers, capsules: Array) -> None:
    """Write the active interests of a block of users to the rows of the last `buffers.x`.

    The input of the first layer is [capsule ; inputs of the user]. The product with the inputs of
    a user is the same for all interests of this user, so it is computed once (model-R4).
    """
    rows, users = slice(block.first_row, block.stop_row), slice(block.first, block.stop)
    slots, (_, count, width) = buffers.active_slots[rows], capsules.shape
    gather_rows(capsules.reshape(-1, width), slots, buffers.x[0][rows])  # 4
    for i in range(buffers.depth):  # 5
        weight, bias = buffers.layers[i]
        x, out = buffers.x[i][rows], buffers.x[i + 1][rows]
        matmul_into(x, weight[: x.shape[1]], out)
        if i == 0 and buffers.user_inputs.shape[1] > 0:
            user_products = buffers.user_products[users]
            matmul_into(buffers.user_inputs[users], weight[width:], user_products)
            add_user_rows(user_products, slots, count, block.first, out)
        relu_inplace(out, bias, buffers.relus[i], buffers.passed[i][rows])
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
    gradient. Returns the number of interests with a gradient.
    """
    count = select_rows(block, buffers.active_slots, weights, gradients)
    rows, width = slice(block.first_row, block.first_row + count), d_interests.shape[2]
    d_out = gradients.d_x[buffers.depth][rows]
    gather_rows(d_interests.reshape(-1, width), gradients.slots[rows], d_out)  # 6
    layer_rows_backward(block, buffers, gradients, count)  # 5 and 4
    return count


@jit_inline
def layer_rows_backward(
    block: UserBlockRows, buffers: LayerBuffers, gradients: LayerGradients, count: int
) -> None:
    """Run backward through the layers, from the first `count` rows of a block in the last d_x."""
    forward_rows, users = slice(block.first_row, block.stop_row), slice(block.first, block.stop)
    rows, interests = slice(block.first_row, block.first_row + count), buffers.active.shape[1]
    selected, slots = gradients.selected[rows], gradients.slots[rows]
    d_residual = np.empty((0, 0), gradients.d_x[0].dtype)
    if buffers.residual:
        d_residual = gradients.d_x[buffers.depth][rows].copy()  # the ReLU overwrites d_out
    for i in range(buffers.depth - 1, -1, -1):  # 5
        weight, relu = buffers.layers[i].weight, buffers.relus[i]
        x, passed = buffers.x[i][forward_rows], buffers.passed[i][forward_rows]
        d_out, d_x = gradients.d_x[i + 1][rows], gradients.d_x[i][rows]
        d_weight, d_bias = gradients.d_weights[i][block.number], gradients.d_biases[i][block.number]
        width = x.shape[1]
        if count < x.shape[0]:
            selected_x = gradients.selected_x[i][rows]
            gather_rows(x, selected, selected_x)
            x = selected_x
            if relu:
                selected_passed = np.empty(d_out.shape, np.bool_)
                gather_rows(passed, selected, selected_passed)
                passed = selected_passed
        d_bias[:] = 0
        relu_inplace_backward(d_out, not relu, passed, d_bias)
        matmul_into(x.T, d_out, d_weight[:width])
        if i == 0 and buffers.user_inputs.shape[1] > 0:
            d_products = gradients.d_user_products[users]
            sum_user_rows(d_out, slots, interests, block.first, d_products)
            matmul_into(buffers.user_inputs[users].T, d_products, d_weight[width:])
            matmul_into(d_products, weight[width:].T, gradients.d_user_inputs[users])
        matmul_into(d_out, weight[:width].T, d_x)
    if buffers.residual:  # mind_plus-R18
        add_rows(d_residual, gradients.d_x[0][rows])


@jit
def select_rows(
    block: UserBlockRows, active_slots: Ints, weights: Array | Bools, gradients: LayerGradients
) -> int:
    """Select the active interests of a block with a weight (B, K) that is not zero.

    Writes `selected`, `slots` and `user_rows` of the block; returns the number of interests.
    """
    row = gradient_row = block.first_row  # the next row of forward, and of `gradients`
    interests = weights.shape[1]
    for b in range(block.first, block.stop):
        gradients.user_rows[b, 0] = gradient_row
        while row < block.stop_row and active_slots[row] < (b + 1) * interests:
            if weights[b, active_slots[row] - b * interests] != 0:
                gradients.selected[gradient_row] = row - block.first_row
                gradients.slots[gradient_row] = active_slots[row]
                gradient_row += 1
            row += 1
        gradients.user_rows[b, 1] = gradient_row
    return gradient_row - block.first_row


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
    """Buffers of the layers between the capsules and the interests of a batch."""

    def __init__(
        self,
        work: KernelWorkspace,
        params: Params | mind_plus.Params,
        config: Config,
        *,
        users: int,
        input_width: int,
        residual: bool,
    ) -> None:
        """Allocate buffers for B users, each with `input_width` further inputs.

        residual: whether the capsule is added to the output of the last layer.
        """
        # the workspace keeps this object, so a reference to the workspace would be a cycle
        self.dtype, self.users = params.items.dtype, users
        self.max_rows = users * config.interests  # at most B K interests are active
        self.block_users, self.num_blocks = users_per_block(users), count_user_blocks(users)
        layers = layers_or_placeholder(params.layers, self.dtype)
        outs = [len(layer.bias) for layer in layers]
        self.widths = [params.items.shape[1], *outs]  # of the capsules and of each output
        self.active = work.array("active", users, config.interests, dtype=np.bool_)
        self.block_rows = work.array("block_rows", self.num_blocks + 1, dtype=np.int64)
        self.buffers = LayerBuffers(
            depth=len(params.layers),
            layers=(),  # `with_parameters` sets them
            relus=tuple(config.last_relu or i < len(outs) - 1 for i in range(len(outs))),  # R5
            x=self.allocate_rows(work, "x", self.widths),
            passed=tuple(
                work.array(f"passed{i}", self.max_rows, out, dtype=np.bool_)
                for i, out in enumerate(outs)
            ),
            active=self.active,
            user_inputs=work.array("user_inputs", users, input_width, dtype=self.dtype),
            user_products=work.array("user_products", users, outs[0], dtype=self.dtype),
            active_slots=work.array("active_slots", self.max_rows, dtype=np.int64),
            residual=residual and len(params.layers) > 0,
        )

    def with_parameters(self, layers: tuple[Layer, ...]) -> Layers:
        """Return the same buffers with the parameters of a step."""
        contiguous = (
            Layer(*map(readonly_contiguous, layer))
            for layer in layers_or_placeholder(layers, self.dtype)
        )
        result = copy(self)  # this object is cached, and must not keep parameters in memory
        result.buffers = self.buffers._replace(layers=tuple(contiguous))
        return result

    def allocate_rows(
        self, work: KernelWorkspace, name: str, widths: list[int]
    ) -> tuple[Array, ...]:
        """Return one buffer (B K, width) per width."""
        return tuple(
            work.array(f"{name}{i}", self.max_rows, width, dtype=self.dtype)
            for i, width in enumerate(widths)
        )

    def allocate_gradients(self, work: KernelWorkspace) -> LayerGradients:
        """Return the buffers of backward."""

        def buffer(name: str, *shape: int) -> Array:
            return work.array(name, *shape, dtype=self.dtype)

        shapes = [layer.weight.shape for layer in self.buffers.layers]
        return LayerGradients(
            d_x=self.allocate_rows(work, "d_x", self.widths),
            selected_x=self.allocate_rows(work, "selected_x", self.widths[:-1]),
            d_weights=tuple(
                buffer(f"d_weights{i}", self.num_blocks, *shape) for i, shape in enumerate(shapes)
            ),
            d_biases=tuple(
                buffer(f"d_biases{i}", self.num_blocks, out) for i, (_, out) in enumerate(shapes)
            ),
            selected=work.array("selected_rows", self.max_rows, dtype=np.int64),
            slots=work.array("gradient_slots", self.max_rows, dtype=np.int64),
            user_rows=work.array("user_rows", self.users, 2, dtype=np.int64),
            d_user_inputs=buffer("d_user_inputs", *self.buffers.user_inputs.shape),
            d_user_products=buffer("d_user_products", *self.buffers.user_products.shape),
        )

    def find_active(self, mask: Bools, active_by_length: Bools) -> int:
        """Find the active interests of a batch; return the number of behaviours.

        active_by_length: see `find_active_interests`.
        """
        return find_active_interests(
            mask,
            active_by_length,
            self.block_users,
            self.active,
            self.buffers.active_slots,
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
        block, (_, count, width) = self.user_block(users), interests.shape
        rows = slice(block.first_row, block.stop_row)
        layer_rows_forward(block, self.buffers, capsules)  # 4 and 5
        out, slots = self.buffers.x[self.buffers.depth][rows], self.buffers.active_slots[rows]
        first_slot, stop_slot = block.first * count, block.stop * count
        scatter_rows(out, slots, first_slot, stop_slot, interests.reshape(-1, width))  # 6


class GradientRows(NamedTuple):
    """The capsules that have a gradient, in one block of users."""

    rows: slice  # rows of these capsules in `LayerGradients`
    slots: Ints  # (M,) slot b K + k of interest k of user b, ascending
    d_capsules: Array  # (M, D)


def rows_with_gradient(gradients: LayerGradients, block: UserBlockRows, count: int) -> GradientRows:
    """Return the first `count` rows of a block: the rows that `layer_rows_backward` wrote."""
    rows = slice(block.first_row, block.first_row + count)
    return GradientRows(rows, gradients.slots[rows], gradients.d_x[0][rows])


def layers_or_placeholder(layers: tuple[Layer, ...], dtype: npt.DTypeLike) -> tuple[Layer, ...]:
    """Return layers, or one unused layer if there are none: Numba cannot type an empty tuple."""
    return layers or (Layer(np.empty((0, 0), dtype), np.empty(0, dtype)),)
