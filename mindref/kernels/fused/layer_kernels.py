"""Compiled layers of a block of users: forward from capsules to interests, and backward.

Spec: specs/model.md, steps 4 to 6. The slot of interest k of user b is the number b K + k. The
buffers of layers.py have one row for each active interest: active_slots[r] is the slot of row r.
Backward uses only the rows whose attention weight is not zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.kernels._jit import jit, jit_inline
from mindref.kernels.matmul import matmul_into
from mindref.kernels.relu_layer import relu_inplace, relu_inplace_backward
from mindref.kernels.routing_forward import gather_rows
from mindref.models.parameters import Layer
from mindref.shapes import Array, Bools, Ints


class LayerBuffers(NamedTuple):
    """Inputs and intermediate values of the forward pass; x has one row per active interest.

    If the model has no layers, each tuple has an unused entry: see `layers_or_placeholder`.
    """

    depth: int  # number of layers
    layers: tuple[Layer, ...]
    relus: tuple[bool, ...]  # whether a ReLU follows the layer
    x: tuple[Array, ...]  # the input of each layer, and the output of the last layer
    passed: tuple[Bools, ...]  # where the pre-activation is positive or NaN
    profile: Array  # (B, P)
    active_slots: Ints  # (B K,) the first R entries: slots of the R active interests


class LayerGradients(NamedTuple):
    """Buffers of backward. A gradient is the sum of d_weights or d_biases over blocks of users."""

    d_x: tuple[Array, ...]
    x_rows: tuple[Array, ...]  # copies of the rows of LayerBuffers.x that have a gradient
    d_weights: tuple[Array, ...]
    d_biases: tuple[Array, ...]
    rows: Ints  # (B K,) per block: indices of rows with a gradient, from the block's first row
    slots: Ints  # (B K,) slot b K + k of each row in `rows`
    user_rows: Ints  # (B, 2) start and stop of each user's rows, in `slots` and in d_x


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
    slots, layers, top = buffers.active_slots[rows], buffers.layers, buffers.x[buffers.depth][rows]
    join_profiles(capsules.reshape(-1, width), buffers.profile, count, slots, buffers.x[0][rows])
    for i in range(buffers.depth):
        out = buffers.x[i + 1][rows]
        matmul_into(buffers.x[i][rows], layers[i].weight, out)
        relu_inplace(out, layers[i].bias, buffers.relus[i], buffers.passed[i][rows])
    scatter_rows(top, slots, block.first * count, block.stop * count, interests.reshape(-1, width))


@jit_inline
def block_layers_backward(
    block: UserBlockRows,
    buffers: LayerBuffers,
    gradients: LayerGradients,
    weights: Array,
    d_interests: Array,
) -> int:
    """Write the gradients of the layers and of their input [capsule ; profile] to `gradients`.

    weights (B, K): attention weights; d_interests (B, K, D). An interest with weight zero has no
    gradient. The rows with a gradient become the block's first R rows in `gradients`. Returns R.
    """
    block_rows = slice(block.first_row, block.stop_row)
    rows, slots = gradients.rows[block_rows], gradients.slots[block_rows]
    d_top = gradients.d_x[buffers.depth][block_rows]
    selected = select_weighted_rows(
        block.first,
        block.stop,
        buffers.active_slots[block_rows],
        block.first_row,
        weights,
        d_interests,
        rows,
        slots,
        gradients.user_rows,
        d_top,
    )
    selected_rows = slice(block.first_row, block.first_row + selected)
    for i in range(buffers.depth - 1, -1, -1):
        x, passed = buffers.x[i][block_rows], buffers.passed[i][block_rows]
        d_out, x_rows = gradients.d_x[i + 1][selected_rows], gradients.x_rows[i][selected_rows]
        d_bias = gradients.d_biases[i][block.number]
        gather_and_relu_backward(
            x, passed, rows[:selected], buffers.relus[i], x_rows, d_out, d_bias
        )
        matmul_into(x_rows.T, d_out, gradients.d_weights[i][block.number])
        matmul_into(d_out, buffers.layers[i].weight.T, gradients.d_x[i][selected_rows])
    return selected


@jit_inline
def join_profiles(capsules: Array, profile: Array, count: int, slots: Ints, out: Array) -> None:
    """For each slot b K + k, write capsule k and profile of user b into a row of out (M, D + P)."""
    width = capsules.shape[1]
    for m in range(slots.shape[0]):
        capsule, user_profile = capsules[slots[m]], profile[slots[m] // count]
        for d in range(width):
            out[m, d] = capsule[d]
        for d in range(user_profile.shape[0]):
            out[m, width + d] = user_profile[d]  # model-R4


@jit_inline
def select_weighted_rows(
    first: int,
    stop: int,
    active_slots: Ints,
    first_row: int,
    weights: Array,
    d_interests: Array,
    rows: Ints,
    slots: Ints,
    user_rows: Ints,
    d_rows: Array,
) -> int:
    """Select the active interests with a non-zero attention weight; return their number.

    For each selected interest, writes its row index in the block to `rows`, its slot b K + k to
    `slots` and its gradient to `d_rows`. Selected interests are numbered from `first_row`;
    user_rows[b] receives start and stop of the numbers of user b.
    """
    selected, r, interests = 0, 0, weights.shape[1]
    for b in range(first, stop):
        user_rows[b, 0] = first_row + selected
        while r < len(active_slots) and active_slots[r] < (b + 1) * interests:
            k = active_slots[r] - b * interests
            if weights[b, k] != 0:
                rows[selected], slots[selected] = r, active_slots[r]
                for d in range(d_rows.shape[1]):
                    d_rows[selected, d] = d_interests[b, k, d]
                selected += 1
            r += 1
        user_rows[b, 1] = first_row + selected
    return selected


@jit_inline
def gather_and_relu_backward(
    x: Array, passed: Bools, rows: Ints, relu: bool, x_rows: Array, d_out: Array, d_bias: Array
) -> None:
    """Copy x[rows] to x_rows (M, I); set d_out to zero where the ReLU is zero.

    Writes the gradient of the bias to d_bias.
    """
    passed_rows = np.empty((d_out.shape[0], d_out.shape[1] if relu else 0), np.bool_)
    gather_rows(x, rows, x_rows)
    gather_rows(passed, rows, passed_rows)
    d_bias[:] = 0
    relu_inplace_backward(d_out, not relu, passed_rows, d_bias)


@jit
def add_profile_gradients(d_joined: Array, slots: Ints, count: int, d_profile: Array) -> None:
    """Add the last P columns of each row of d_joined to the row of its user in d_profile (B, P)."""
    width = d_joined.shape[1] - d_profile.shape[1]
    for m in range(slots.shape[0]):
        for p in range(d_profile.shape[1]):
            d_profile[slots[m] // count, p] += d_joined[m, width + p]


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
