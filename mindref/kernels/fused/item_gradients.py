"""Compute the gradients of items and of the matrix S from the gradient of capsules.

Spec: specs/routing.md, Backward; specs/speed.md. Two classes compute the gradients of histories:

    ViaVotes      for exact gradients. Each routing iteration adds to the gradient of each vote
                  S e. The vote gradients of an item are summed; the sum is multiplied by S.
    ViaCapsules   for constant coupling weights (routing-R12). The gradient d_z of a sum z, the
                  input of squash, is multiplied by S once. Each behaviour of the user receives
                  d_z S times its coupling weight. Gradients of votes are not computed.

`backward_users` runs for each block of users. After that, `backward_items` runs for each block of
items. `sum_item_gradients` adds up all uses of an item: behaviour, target or negative. The order of
summation does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.fused.ages import Contexts, LogWeightGradients, add_log_weight_gradients
from mindref.kernels.fused.forward import BLOCK_ITEMS, FusedForward
from mindref.kernels.fused.layers import GradientRows, LayerGradients, scatter_rows
from mindref.kernels.matmul import matmul_into
from mindref.kernels.prefetch import DISTANCE, prefetch_row
from mindref.kernels.routing import (
    CapsuleBehaviours,
    RoutingGradients,
    RoutingValues,
    route_users_backward,
    squash_capsules_backward,
    sum_weighted_vectors,
)
from mindref.shapes import Array, Ints


class ItemGradients(Protocol):
    """The interface of `ViaVotes` and `ViaCapsules`."""

    d_bilinears: Array  # (parts, D, D): the gradient of S is the sum of the parts
    d_positions: Array  # (parts, L, C): the gradient of log weights is the sum of the parts

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Run the part of the backward pass that needs only this block of users."""

    def backward_items(self, items: slice, d_vectors: Array) -> tuple[CapsuleTerms, CapsuleTerms]:
        """Write the gradients through votes to d_vectors (M, D), or zero.

        Returns the terms of interests and of contexts, which `sum_item_gradients` adds.
        """


class ViaVotes:
    """Computes gradients of items from the gradient of each behaviour's vote."""

    def __init__(self, forward: FusedForward) -> None:
        """Allocate the buffers; d_votes has one row for each behaviour."""
        self.forward = forward
        behaviours, width = len(forward.layout.order), forward.width
        self.d_capsules = forward.buffer("d_capsules", forward.users, forward.count, width)
        self.d_votes = forward.buffer("d_votes", behaviours, width)
        self.gradients = RoutingGradients(
            d_votes=self.d_votes,
            d_logits=forward.buffer("d_logits", behaviours, forward.count),
            d_log_weights=np.empty((0, forward.count), forward.dtype),
        )
        parts = len(range(0, forward.layout.num_history_items, BLOCK_ITEMS))
        self.d_bilinears = forward.buffer("d_bilinears", parts, width, width)
        self.d_positions = np.empty((0, 0, 0), forward.dtype)
        self.no_terms = no_capsule_terms(forward.dtype)

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Run backward through all routing iterations, and write the gradients of votes."""
        forward = self.forward
        first_slot, stop_slot = users.start * forward.count, users.stop * forward.count
        d_capsules = self.d_capsules.reshape(-1, forward.width)
        scatter_rows(rows.d_capsules, rows.slots, first_slot, stop_slot, d_capsules)
        route_users_backward(
            users.start,
            users.stop,
            forward.routing_batch(),
            forward.routing_options,
            forward.routing_values,
            self.d_capsules,
            self.gradients,
        )

    def backward_items(self, items: slice, d_vectors: Array) -> tuple[CapsuleTerms, CapsuleTerms]:
        """Sum the vote gradients of each item; from the sums, write gradients of items and of S."""
        forward, layout = self.forward, self.forward.layout
        d_votes = np.empty(d_vectors.shape, d_vectors.dtype)
        bounds = layout.bounds[items.start : items.stop + 1]
        sum_vote_gradients(layout.order, bounds, self.d_votes, d_votes)
        matmul_into(d_votes, forward.bilinear, d_vectors)
        d_bilinear = self.d_bilinears[items.start // BLOCK_ITEMS]
        matmul_into(d_votes.T, forward.vectors[items], d_bilinear)
        return self.no_terms, self.no_terms


class ViaCapsules:
    """Gradients of items, from one vector d_z S per capsule; coupling weights are constants."""

    def __init__(self, forward: FusedForward, layer_gradients: LayerGradients) -> None:
        """Allocate buffers of B K rows; only capsules with a gradient use a row."""
        self.forward, self.layer_gradients = forward, layer_gradients
        blocks, contexts = forward.layers.num_blocks, forward.contexts

        # a part for each block of users: first the parts of interests, then those of contexts
        parts = blocks if contexts is None else 2 * blocks
        parts = parts if forward.additions.learned_votes else 0
        self.d_bilinears = forward.buffer("d_bilinears", parts, forward.width, forward.width)
        positions = forward.additions.positions
        self.d_positions = np.empty((blocks, 0, 0), forward.dtype)
        if positions is not None and positions.size:
            self.d_positions = forward.buffer("d_positions", blocks, *positions.shape)

        num_rows = forward.users * forward.count
        self.rows = CapsuleRows(forward, "", num_rows, self.d_bilinears[:blocks])
        if contexts is not None:
            num_rows, d_bilinears = forward.users * contexts.count, self.d_bilinears[blocks:]
            self.context_rows = CapsuleRows(forward, "context_", num_rows, d_bilinears)
        self.no_means = np.empty((0, forward.count, forward.width), forward.dtype)
        self.no_terms = no_capsule_terms(forward.dtype)

    def backward_users(self, users: slice, rows: GradientRows) -> None:
        """Write gradients d_z of z, products d_z S, and the users' parts of S and log weights."""
        forward, number = self.forward, self.forward.layers.block_number(users)
        self.d_positions[number] = 0
        log_weights = None  # without columns for interests
        if forward.interest_columns > 0:
            are_logits = forward.additions.weights_are_logits
            log_weights = LogWeightGradients(
                d_positions=self.d_positions[number],
                first_column=0,
                is_shared=forward.interest_columns < forward.count,
                means=forward.routing_values.capsules[-1] if are_logits else self.no_means,
            )
        self.rows.backward(rows, forward.routing_values, number, log_weights)
        if forward.contexts is not None:
            self.backward_contexts(users, number, forward.contexts)

    def backward_contexts(self, users: slice, number: int, contexts: Contexts) -> None:
        """Run the backward pass of the contexts of a block of users, block number `number`.

        The gradients of contexts are columns of those of the inputs of the layers.
        """
        d_contexts = self.layer_gradients.d_user_inputs[users, self.forward.profile_width :]
        d_contexts = np.ascontiguousarray(d_contexts).reshape(-1, self.forward.width)  # (U M, D)
        rows = slice(users.start * contexts.count, users.stop * contexts.count)
        gradient_rows = GradientRows(rows, contexts.slots[rows], d_contexts)
        log_weights = LogWeightGradients(
            d_positions=self.d_positions[number],
            first_column=self.forward.interest_columns,
            is_shared=False,
            means=self.no_means,
        )
        self.context_rows.backward(gradient_rows, contexts.values, number, log_weights)

    def backward_items(self, items: slice, d_vectors: Array) -> tuple[CapsuleTerms, CapsuleTerms]:
        """Set d_vectors to zero; return the terms that `sum_item_gradients` adds to it."""
        forward, gradients, contexts = self.forward, self.layer_gradients, self.forward.contexts
        d_vectors[:] = 0
        of_interests = CapsuleTerms(
            user_rows=gradients.user_rows,
            slots=gradients.slots,
            weights=forward.routing_values.couplings[-1],
            d_projected=self.rows.d_projected,
        )
        if contexts is None:
            return of_interests, self.no_terms
        of_contexts = CapsuleTerms(
            user_rows=contexts.user_rows,
            slots=contexts.slots,
            weights=contexts.values.couplings[0],  # of the only iteration
            d_projected=self.context_rows.d_projected,
        )
        return of_interests, of_contexts


class CapsuleRows:
    """Buffers with a row for each capsule, of interests or of contexts."""

    def __init__(
        self, forward: FusedForward, prefix: str, num_rows: int, d_bilinears: Array
    ) -> None:
        """Allocate the buffers. Without a matrix S, d_z S is d_z, and `item_sums` is not used.

        d_bilinears: for each block of users, the part of the gradient of S from these capsules.
        """
        self.forward, self.d_bilinears = forward, d_bilinears
        self.d_z = forward.buffer(f"{prefix}d_z", num_rows, forward.width)
        self.d_projected = self.item_sums = self.d_z
        if forward.additions.learned_votes:
            self.d_projected = forward.buffer(f"{prefix}d_projected", num_rows, forward.width)
            self.item_sums = forward.buffer(f"{prefix}item_sums", num_rows, forward.width)

    def backward(
        self,
        rows: GradientRows,
        values: RoutingValues,
        number: int,
        log_weights: LogWeightGradients | None,
    ) -> None:
        """Write the rows `rows` of the buffers, and a part of the gradient of S.

        number: of the block of users. log_weights: None without log weights.
        """
        forward, d_z = self.forward, self.d_z[rows.rows]
        d_projected = self.d_projected[rows.rows]  # without S, the same rows as d_z
        squash_capsules_backward(
            rows.slots, values.unit[-1], values.across[-1], values.along[-1], rows.d_capsules, d_z
        )
        capsules = CapsuleBehaviours(
            slots=rows.slots,
            starts=forward.layout.starts,
            rows=forward.behaviours.rows,
            vectors=forward.behaviours.vectors,
            weights=values.couplings[-1],
        )
        if forward.additions.learned_votes:
            project_capsule_gradients(
                capsules,
                forward.bilinear,
                d_z,
                self.item_sums[rows.rows],
                d_projected,
                self.d_bilinears[number],
            )
        if log_weights is not None:
            add_log_weight_gradients(capsules, d_projected, log_weights)


def item_gradients_of(forward: FusedForward, layer_gradients: LayerGradients) -> ItemGradients:
    """Return `ViaVotes` if routing needs exact gradients, otherwise `ViaCapsules`."""
    if forward.exact:
        return ViaVotes(forward)
    return ViaCapsules(forward, layer_gradients)  # routing-R12


@jit
def project_capsule_gradients(
    capsules: CapsuleBehaviours,
    bilinear: Array,
    d_z: Array,
    item_sums: Array,
    d_projected: Array,
    d_bilinear: Array,
) -> None:
    """Write item_sums, d_projected (M, D) of M capsules, and the gradient d_bilinear (D, D).

    item_sums: see `sum_weighted_vectors`. As z = S item_sum, d_projected = d_z S and
    d_bilinear = d_z^T item_sums.
    """
    sum_weighted_vectors(capsules, item_sums)
    matmul_into(d_z, bilinear, d_projected)
    matmul_into(d_z.T, item_sums, d_bilinear)


class BehaviourOrder(NamedTuple):
    """The behaviours of a block of items."""

    order: Ints  # (N,) behaviours sorted by item
    bounds: Ints  # (M + 1,) item m has the behaviours order[bounds[m]:bounds[m + 1]]
    user_index: Ints  # (N,) user of each behaviour
    padded_rows: Ints  # (N,) the row b L + l of each behaviour in the factors of dropout


class CapsuleTerms(NamedTuple):
    """Gradients of the capsules of interests or of contexts, a row for each capsule."""

    user_rows: Ints  # (B, 2) start and stop of each user's rows
    slots: Ints  # (R,) b K + k for interest k of user b
    weights: Array  # (N, K) coupling weights times factors
    d_projected: Array  # (R, D) d_z S


class TargetTerms(NamedTuple):
    """Gradients (P, T, D) and item index (T,) of targets and negatives; see `add_partial_rows`."""

    d_target: Array
    target_index: Ints
    d_negatives: Array
    negative_index: Ints


class ItemTerms(NamedTuple):
    """All terms of the gradients of a block of M items, which start at item `first_item`."""

    behaviours: BehaviourOrder
    interests: CapsuleTerms
    contexts: CapsuleTerms
    targets: TargetTerms
    num_history_items: int  # the first of these items, which occur in histories
    first_item: int


def no_capsule_terms(dtype: np.dtype[Any]) -> CapsuleTerms:
    """Return terms without capsules, for gradients that other arrays contain, or for no contexts.

    With None instead, Numba would compile the sums again.
    """
    empty = np.empty((0, 0), dtype)
    return CapsuleTerms(np.empty((0, 2), np.int64), np.empty(0, np.int64), empty, empty)


@jit
def sum_item_gradients(terms: ItemTerms, factors: Array | None, sums: Array) -> None:
    """Write to sums (M, D) the gradients of the items of a block: model-R10.

    Before, the rows of history items in sums contain the gradients through votes, or zero.
    factors (B L, D): of dropout, or None. For None, Numba compiles a version without dropout.
    """
    history_sums = sums[: terms.num_history_items]
    if len(terms.interests.slots) > 0:
        add_capsule_terms(terms.behaviours, terms.interests, factors, history_sums)
    if len(terms.contexts.slots) > 0:
        add_capsule_terms(terms.behaviours, terms.contexts, factors, history_sums)
    sums[terms.num_history_items :] = 0
    targets, first_item = terms.targets, terms.first_item
    add_partial_rows(targets.d_target, targets.target_index, first_item, sums)
    add_partial_rows(targets.d_negatives, targets.negative_index, first_item, sums)


@jit
def sum_vote_gradients(order: Ints, bounds: Ints, values: Array, sums: Array) -> None:
    """Write to each sums[m] the sum of values[n] over n in order[bounds[m]:bounds[m + 1]].

    values (N, D): the vote gradient of each behaviour n. sums (M, D): one sum for each item m.
    """
    for m in range(sums.shape[0]):
        first = values[order[bounds[m]]]  # each item has at least one behaviour
        for d in range(sums.shape[1]):
            sums[m, d] = first[d]
        for i in range(bounds[m] + 1, bounds[m + 1]):
            value = values[order[i]]
            for d in range(sums.shape[1]):
                sums[m, d] += value[d]


@jit
def add_partial_rows(parts: Array, item_index: Ints, first_item: int, sums: Array) -> None:
    """For each t, add the sum of parts[p, t] over p to row item_index[t] - first_item of sums.

    If sums (M, D) has no such row, t is skipped. parts (P, T, D): P parts of each gradient t.
    """
    for t in range(parts.shape[1]):
        m = item_index[t] - first_item
        if 0 <= m < sums.shape[0]:
            item_sum = sums[m]
            for p in range(parts.shape[0]):
                value = parts[p, t]
                for d in range(item_sum.shape[0]):
                    item_sum[d] += value[d]


@jit
def add_capsule_terms(
    behaviours: BehaviourOrder, terms: CapsuleTerms, factors: Array | None, sums: Array
) -> None:
    """Add to sums (M, D) the gradients of M items from their behaviours, through the capsules.

    Row r of d_projected adds weights[n, k] * d_projected[r] to the gradient of behaviour n
    (routing-R12), times the behaviour's factors of dropout (mind_plus-R18).
    """
    order, bounds, user_index, padded_rows = behaviours
    user_rows, slots, weights, d_projected = terms
    for m in range(sums.shape[0]):
        item_sum = sums[m]
        for i in range(bounds[m], bounds[m + 1]):
            n = order[i]
            b = user_index[n]
            factor = None if factors is None else factors[padded_rows[n]]
            if factors is not None and i + DISTANCE < len(order):
                prefetch_row(factors, padded_rows[order[i + DISTANCE]])
            first, stop, offset = user_rows[b, 0], user_rows[b, 1], b * weights.shape[1]
            fours = first + (stop - first) // 4 * 4
            for r in range(first, fours, 4):  # reads and writes item_sum once for four rows
                w0, w1 = weights[n, slots[r] - offset], weights[n, slots[r + 1] - offset]
                w2, w3 = weights[n, slots[r + 2] - offset], weights[n, slots[r + 3] - offset]
                d0, d1 = d_projected[r], d_projected[r + 1]
                d2, d3 = d_projected[r + 2], d_projected[r + 3]
                for d in range(item_sum.shape[0]):
                    four = w0 * d0[d] + w1 * d1[d] + (w2 * d2[d] + w3 * d3[d])
                    item_sum[d] += four if factor is None else four * factor[d]
            for r in range(fours, stop):
                w, d_row = weights[n, slots[r] - offset], d_projected[r]
                for d in range(item_sum.shape[0]):
                    item_sum[d] += w * d_row[d] if factor is None else w * d_row[d] * factor[d]
