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

from typing import Any, Protocol

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.fused.ages import add_log_weight_gradients
from mindref.kernels.fused.contexts import Contexts
from mindref.kernels.fused.forward import BLOCK_ITEMS, FusedForward
from mindref.kernels.fused.item_reduction import CapsuleTerms, sum_vote_gradients
from mindref.kernels.fused.layer_kernels import LayerGradients, scatter_rows
from mindref.kernels.fused.layers import GradientRows
from mindref.kernels.matmul import matmul_into, matmul_transposed_into
from mindref.kernels.routing import RoutingValues
from mindref.kernels.routing_backward import (
    route_users_backward,
    squash_capsules_backward,
    sum_weighted_vectors,
)
from mindref.ops.routing import AXES
from mindref.shapes import Array, Ints


class ItemGradients(Protocol):
    """The interface of `ViaVotes` and `ViaCapsules`."""

    d_bilinears: Array  # (parts, D, D): the gradient of S is the sum of the parts
    d_positions: Array  # (parts, L, C): the gradient of log weights is the sum of the parts

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Run the part of the backward pass that needs only this block of users."""

    def backward_items(
        self, items: slice, d_vectors: Array
    ) -> tuple[CapsuleTerms | None, CapsuleTerms | None]:
        """Write item gradients to d_vectors (M, D), or return terms for `sum_item_gradients`.

        The second terms are those of contexts.
        """


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
        self.d_positions = np.empty((0, 0, 0), forward.dtype)

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Run backward through all routing iterations, and write the gradients of votes."""
        forward = self.forward
        slots = (users.start * forward.count, users.stop * forward.count)  # see layer_kernels.py
        d_capsules = self.d_capsules.reshape(-1, forward.width)
        scatter_rows(rows.d_capsules, rows.slots, *slots, d_capsules)
        layout, options = forward.layout, (AXES[forward.config.routing_axis] == 1, forward.exact)
        index, _, votes = forward.behaviours
        inputs = (layout.starts, index, votes, forward.layers.active)
        outputs = (self.d_votes, self.d_logits)
        values = (*forward.routing_values, self.d_capsules)
        route_users_backward(users.start, users.stop, *inputs, *options, *values, *outputs)

    def backward_items(self, items: slice, d_vectors: Array) -> tuple[None, None]:
        """Sum the vote gradients of each item; from the sums, write gradients of items and of S."""
        forward, layout = self.forward, self.forward.layout
        d_votes = np.empty(d_vectors.shape, d_vectors.dtype)
        bounds = layout.bounds[items.start : items.stop + 1]
        sum_vote_gradients(layout.order, bounds, self.d_votes, d_votes)
        matmul_into(d_votes, forward.bilinear, d_vectors)
        d_bilinear = self.d_bilinears[items.start // BLOCK_ITEMS]
        matmul_transposed_into(d_votes, forward.vectors[items], d_bilinear)
        return None, None


class ViaCapsules:
    """Gradients of items, from one vector d_z S per capsule; coupling weights are constants."""

    def __init__(self, forward: FusedForward, layer_gradients: LayerGradients) -> None:
        """Allocate buffers of B K rows; only capsules with a gradient use a row."""
        self.forward, self.layer_gradients = forward, layer_gradients
        blocks, contexts = forward.layers.num_blocks, forward.contexts
        learned = forward.additions.learned_votes
        parts = blocks * (1 if contexts is None else 2) if learned else 0
        self.d_bilinears = forward.buffer("d_bilinears", parts, forward.width, forward.width)
        self.rows = CapsuleRows(forward, "", forward.users * forward.count)
        positions = forward.additions.positions
        self.d_positions = np.empty((blocks, 0, 0), forward.dtype)
        if positions is not None and positions.size:
            self.d_positions = forward.buffer("d_positions", blocks, *positions.shape)
        if contexts is not None:
            self.context_rows = CapsuleRows(forward, "context_", forward.users * contexts.count)

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Write gradients d_z of z, products d_z S, and the users' parts of S and log weights."""
        forward, number = self.forward, self.forward.layers.block_number(users)
        d_positions, columns = self.d_positions[number], forward.interest_columns
        d_positions[:] = 0
        ages: Any = (0, columns < forward.count, d_positions) if columns else None
        if forward.additions.weights_are_logits and columns:
            ages += (forward.routing_values.capsules[-1],)
        arguments = (rows.rows, rows.slots, forward.routing_values, rows.d_capsules)
        self.rows.backward(*arguments, self.d_bilinears, number, ages)
        if forward.contexts is not None:
            self.backward_contexts(users, number, forward.contexts)

    def backward_contexts(self, users: slice, number: int, contexts: Contexts) -> None:
        """Run the backward pass from the gradients of the inputs of the layers to the contexts."""
        forward, part = self.forward, self.forward.layers.num_blocks + number
        rows = slice(users.start * contexts.count, users.stop * contexts.count)
        d_contexts = self.layer_gradients.d_user_inputs[users, forward.profile_width :]
        d_contexts = np.ascontiguousarray(d_contexts).reshape(-1, forward.width)
        arguments = (rows, contexts.slots[rows], contexts.values, d_contexts)
        ages = (forward.interest_columns, False, self.d_positions[number])
        self.context_rows.backward(*arguments, self.d_bilinears, part, ages)

    def backward_items(
        self, items: slice, d_vectors: Array
    ) -> tuple[CapsuleTerms, CapsuleTerms | None]:
        """Return the arrays from which `sum_item_gradients` computes the gradient of each item."""
        forward, gradients = self.forward, self.layer_gradients
        rows = (gradients.user_rows, gradients.slots)
        weights, contexts = forward.routing_values.couplings[-1], forward.contexts
        terms = CapsuleTerms(*rows, weights, self.rows.d_projected)
        if contexts is None:
            return terms, None
        of_contexts = (contexts.user_rows, contexts.slots, contexts.values.couplings[0])
        return terms, CapsuleTerms(*of_contexts, self.context_rows.d_projected)


class CapsuleRows:
    """Buffers with a row for each capsule, of interests or of contexts."""

    def __init__(self, forward: FusedForward, prefix: str, rows: int) -> None:
        """Allocate the buffers. Without a matrix S, the product d_z S is d_z."""
        self.forward, learned = forward, forward.additions.learned_votes
        self.d_z = forward.buffer(f"{prefix}d_z", rows, forward.width)
        self.d_projected = self.item_sums = self.d_z
        if learned:
            self.d_projected = forward.buffer(f"{prefix}d_projected", rows, forward.width)
            self.item_sums = forward.buffer(f"{prefix}item_sums", rows, forward.width)

    def backward(
        self,
        rows: slice,
        slots: Ints,
        values: RoutingValues,
        d_capsules: Array,
        d_bilinears: Array,
        part: int,
        ages: tuple[Any, ...] | None,
    ) -> None:
        """Write the rows `rows`, and a part of the gradient of S.

        ages: the last arguments of `add_log_weight_gradients`; None without log weights.
        """
        forward = self.forward
        index, vectors, _ = forward.behaviours
        d_z, d_projected = self.d_z[rows], self.d_projected[rows]
        inputs = (slots, forward.layout.starts, index, vectors, values.couplings[-1])
        slopes = (values.unit[-1], values.across[-1], values.along[-1])  # see ops/squash.py
        squash_capsules_backward(slots, *slopes, d_capsules, d_z)
        if forward.additions.learned_votes:
            outputs = (self.item_sums[rows], d_projected, d_bilinears[part])
            project_capsule_gradients(*inputs, forward.bilinear, d_z, *outputs)
        if ages is not None:
            add_log_weight_gradients(*inputs, d_projected, *ages)


def item_gradients_of(forward: FusedForward, layer_gradients: LayerGradients) -> ItemGradients:
    """Return `ViaVotes` if routing needs exact gradients, otherwise `ViaCapsules`."""
    if forward.exact:
        return ViaVotes(forward)
    return ViaCapsules(forward, layer_gradients)  # routing-R12


@jit
def project_capsule_gradients(
    slots: Ints,
    starts: Ints,
    rows: Ints,
    vectors: Array,
    weights: Array,
    bilinear: Array,
    d_z: Array,
    item_sums: Array,
    d_projected: Array,
    d_bilinear: Array,
) -> None:
    """Write item_sums, d_projected (M, D) of M capsules, and the gradient d_bilinear (D, D).

    slots (M,): b K + k for interest k of user b. item_sums: see `sum_weighted_vectors`. As
    z = S item_sum, d_projected = d_z S and d_bilinear = d_z^T item_sums.
    """
    sum_weighted_vectors(slots, starts, rows, vectors, weights, item_sums)
    matmul_into(d_z, bilinear, d_projected)
    matmul_into(d_z.T, item_sums, d_bilinear)
