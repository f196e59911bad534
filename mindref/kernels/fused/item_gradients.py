"""Compute the gradients of history items and of the matrix S from the gradient of capsules.

Spec: specs/routing.md, Backward; specs/speed.md. Two classes compute these gradients:

    ViaVotes      for exact gradients. Each routing iteration adds to the gradient of each vote
                  S e. The vote gradients of an item are summed; the sum is multiplied by S.
    ViaCapsules   for constant coupling weights (routing-R12). The gradient d_z of a sum z, the
                  input of squash, is multiplied by S once. Each behaviour of the user receives
                  d_z S times its coupling weight. Gradients of votes are not computed.

`backward_users` runs for each block of users. After that, `backward_items` runs for each block of
items.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.fused.forward import BLOCK_ITEMS, FusedForward
from mindref.kernels.fused.item_reduction import CapsuleTerms, sum_vote_gradients
from mindref.kernels.fused.layer_kernels import LayerGradients, scatter_rows
from mindref.kernels.fused.layers import GradientRows
from mindref.kernels.matmul import matmul_into, matmul_transposed_into
from mindref.kernels.routing import RoutingValues
from mindref.kernels.routing_backward import last_iteration_backward, route_users_backward
from mindref.ops.routing import AXES
from mindref.shapes import Array, Ints


class ItemGradients(Protocol):
    """The interface of `ViaVotes` and `ViaCapsules`."""

    d_bilinears: Array  # (parts, D, D): the gradient of S is the sum of the parts

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Run the part of the backward pass that needs only this block of users."""

    def backward_items(self, items: slice, d_vectors: Array) -> CapsuleTerms | None:
        """Write item gradients to d_vectors (M, D), or return terms for `sum_item_gradients`."""


class ViaVotes:
    """Computes gradients of items from the gradient of each behaviour's vote."""

    def __init__(self, forward: FusedForward) -> None:
        """Allocate the buffers; d_votes has one row for each behaviour."""
        self.forward = forward
        behaviours, width = len(forward.layout.order), forward.width
        self.d_capsules = forward.buffer("d_capsules", forward.users, forward.count, width)
        self.d_votes = forward.buffer("d_votes", behaviours, width)
        self.d_logits = forward.buffer("d_logits", behaviours, forward.count)
        parts = len(range(0, forward.layout.num_history_items, BLOCK_ITEMS))
        self.d_bilinears = forward.buffer("d_bilinears", parts, width, width)

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Run backward through all routing iterations, and write the gradients of votes."""
        forward = self.forward
        slots = (users.start * forward.count, users.stop * forward.count)  # see layer_kernels.py
        d_capsules = self.d_capsules.reshape(-1, forward.width)
        scatter_rows(rows.d_joined, rows.slots, *slots, d_capsules)
        layout, options = forward.layout, (AXES[forward.config.routing_axis] == 1, forward.exact)
        inputs = (layout.starts, layout.item_index, forward.votes, forward.layers.active)
        outputs = (self.d_votes, self.d_logits)
        values = (*forward.routing_values, self.d_capsules)
        route_users_backward(users.start, users.stop, *inputs, *options, *values, *outputs)

    def backward_items(self, items: slice, d_vectors: Array) -> None:
        """Sum the vote gradients of each item; from the sums, write gradients of items and of S."""
        forward, layout = self.forward, self.forward.layout
        d_votes = np.empty(d_vectors.shape, d_vectors.dtype)
        bounds = layout.bounds[items.start : items.stop + 1]
        sum_vote_gradients(layout.order, bounds, self.d_votes, d_votes)
        matmul_into(d_votes, forward.bilinear, d_vectors)
        d_bilinear = self.d_bilinears[items.start // BLOCK_ITEMS]
        matmul_transposed_into(d_votes, forward.vectors[items], d_bilinear)


class ViaCapsules:
    """Gradients of items, from one vector d_z S per capsule; coupling weights are constants."""

    def __init__(self, forward: FusedForward, layer_gradients: LayerGradients) -> None:
        """Allocate buffers of B K rows; only capsules with a gradient use a row."""
        self.forward, self.layer_gradients = forward, layer_gradients
        rows, width = forward.users * forward.count, forward.width
        self.d_z, self.d_projected, self.item_sums = (
            forward.buffer(name, rows, width) for name in ("d_z", "d_projected", "item_sums")
        )
        self.d_bilinears = forward.buffer("d_bilinears", forward.layers.num_blocks, width, width)

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Write gradients d_z of z, products d_z S, and the users' part of the gradient of S."""
        forward = self.forward
        layout, d_bilinear = forward.layout, self.d_bilinears[forward.layers.block_number(users)]
        inputs = (rows.slots, layout.starts, layout.item_index, forward.vectors)
        values = (forward.routing_values, forward.bilinear, rows.d_joined)
        d_z, item_sums = self.d_z[rows.rows], self.item_sums[rows.rows]
        outputs = (d_z, item_sums, self.d_projected[rows.rows], d_bilinear)
        project_capsule_gradients(*inputs, *values, *outputs)

    def backward_items(self, items: slice, d_vectors: Array) -> CapsuleTerms:
        """Return the arrays from which `sum_item_gradients` computes the gradient of each item."""
        layout, gradients = self.forward.layout, self.layer_gradients
        return CapsuleTerms(
            layout.order,
            layout.bounds[items.start : items.stop + 1],
            self.forward.user_index,
            gradients.user_rows,
            gradients.slots,
            self.forward.routing_values.couplings[-1],
            self.d_projected,
        )


def item_gradients_of(forward: FusedForward, layer_gradients: LayerGradients) -> ItemGradients:
    """Return `ViaVotes` if routing needs exact gradients, otherwise `ViaCapsules`."""
    if forward.exact:
        return ViaVotes(forward)
    return ViaCapsules(forward, layer_gradients)  # routing-R12


@jit
def project_capsule_gradients(
    slots: Ints,
    starts: Ints,
    item_index: Ints,
    vectors: Array,
    values: RoutingValues,
    bilinear: Array,
    d_capsules: Array,
    d_z: Array,
    item_sums: Array,
    d_projected: Array,
    d_bilinear: Array,
) -> None:
    """Write d_z, item_sums, d_projected (M, D) of M capsules, and the gradient d_bilinear (D, D).

    slots (M,): b K + k for interest k of user b. d_z, item_sums and d_capsules: see
    `last_iteration_backward`. As z = S item_sum, d_projected = d_z S, d_bilinear = d_z^T item_sums.
    """
    last = (values.unit[-1], values.across[-1], values.along[-1])  # slopes: see ops/squash.py
    last_iteration_backward(
        slots, starts, item_index, vectors, values.couplings[-1], *last, d_capsules, d_z, item_sums
    )
    matmul_into(d_z, bilinear, d_projected)
    matmul_into(d_z.T, item_sums, d_bilinear)
