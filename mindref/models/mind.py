"""MIND: the operators in the order of the paper, and in reverse.

Spec: specs/model.md. Source: Li et al., CIKM 2019, Fig. 2. Read this file first. `ops` are the
operators of the reference or of a backend.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models.family import SteppedFamily
from mindref.models.layers import layers_backward, layers_forward
from mindref.models.parameters import (
    Catalogue,
    Gradients,
    ItemTable,
    Layer,
    Params,
    ProfileTable,
    init,
)
from mindref.ops import (
    REFERENCE,
    Operators,
    embedding,
    label_attention,
    relu_layer,
    routing,
    sampled_softmax,
)
from mindref.ops.embedding import RowGradient, sum_uses
from mindref.shapes import Array, Bools, Ints


class Histories(NamedTuple):
    """Histories and profiles of users."""

    items: Ints  # (B, L) padded with anything
    mask: Bools  # (B, L) true for a behaviour
    init_logits: Array  # (B, L, K)
    profile: Ints  # (B, G) rows of the profile table


class Batch(NamedTuple):
    """Input of a training step."""

    histories: Histories
    target: Ints  # (B,)
    negatives: Ints  # (S,)
    target_log_expected: Array  # (B,)
    negative_log_expected: Array  # (S,)


class SavedInterests(NamedTuple):
    """Values that `interests` saves for backward.

    The values saved by an operator are opaque here, except `routing.couplings` (backend-R10).
    """

    history: embedding.Saved
    profile: embedding.Saved
    looked_up: tuple[int, int]  # (B G, Q) shape of the vectors of user features
    routing: routing.Saved
    layers: tuple[relu_layer.Saved, ...]
    active: Bools  # (B, K)
    mask: Bools  # (B, L)


class Saved(NamedTuple):
    """Values that `loss` saves for backward."""

    interests: SavedInterests
    target: embedding.Saved
    negatives: embedding.Saved
    attention: label_attention.Saved
    softmax: sampled_softmax.Saved


def interests(
    params: Params,
    histories: Histories,
    catalogue: Catalogue,
    config: Config,
    ops: Operators = REFERENCE,
) -> tuple[Array, Bools, SavedInterests]:
    """Map histories to interests (B, K, D), zero where inactive, and active (B, K).

    Raises ShapeError for an item that is not in the catalogue, and the errors of the operators.
    """
    history, s1 = behaviour_vectors(params, histories, catalogue, ops)  # 1 (B, L, D)
    profile, s2 = profile_vectors(params, histories.profile, ops)  # 2 (B, P)
    active = active_interests(histories.mask, config)  # (B, K)
    dynamic = config.routing == "dynamic"
    capsules, s3 = ops.routing.forward(  # 3 (B, K, D)
        history,
        histories.mask,
        params.bilinear,
        histories.init_logits if dynamic else np.zeros_like(histories.init_logits),  # model-R12
        active,
        iterations=config.iterations if dynamic else 1,
        gradient=config.routing_gradient,  # model-R11
        axis=config.routing_axis,
        kind=config.squash,  # model-R13
    )
    x = join_profile(capsules, profile)  # 4 (B K, D + P)
    x, s5 = layers_forward(x, params.layers, config.last_relu, ops)  # 5, model-R5
    out = np.where(active[..., None], x.reshape(capsules.shape), 0)  # 6, model-R6 (B, K, D)
    looked_up = (histories.profile.size, params.profile.shape[1])
    saved = SavedInterests(s1, s2, looked_up, s3, s5, active, histories.mask)
    return out, active, saved


def interests_backward(
    d_out: Array, saved: SavedInterests, ops: Operators = REFERENCE
) -> tuple[RowGradient, RowGradient, Array, tuple[Layer, ...]]:
    """Return the gradients of items (by way of the history), profile, bilinear and layers."""
    d_x = np.where(saved.active[..., None], d_out, 0).reshape(-1, d_out.shape[2])  # 6
    d_x, layers = layers_backward(d_x, saved.layers, ops)  # 5
    d_capsules, d_profile = split_profile(d_x, d_out.shape)  # 4
    d_history, d_bilinear, _ = ops.routing.backward(d_capsules, saved.routing)  # 3
    d_looked_up = d_profile.reshape(saved.looked_up)
    d_profile_rows = ops.embedding.backward(d_looked_up, saved.profile)  # 2
    d_items = ops.embedding.backward(d_history[saved.mask], saved.history)  # 1, model-R8
    return d_items, d_profile_rows, d_bilinear, layers


def loss(
    params: Params, batch: Batch, catalogue: Catalogue, config: Config, ops: Operators = REFERENCE
) -> tuple[Array, Saved]:
    """Map a batch to its mean loss ().

    Raises ShapeError for an item that is not in the catalogue, and the errors of the operators.
    """
    users, active, s1 = interests(params, batch.histories, catalogue, config, ops)  # 1 (B, K, D)
    target, s2 = item_vectors(params, batch.target, catalogue, ops)  # 2 (B, D)
    negatives, s3 = item_vectors(params, batch.negatives, catalogue, ops)  # 3 (S, D)
    power = config.effective_power  # model-R14
    user, s4 = ops.label_attention.forward(users, target, active, power=power)  # 4 (B, D)
    out, s5 = sampled_loss(user, target, negatives, batch, config, ops)  # 5 ()
    return out, Saved(s1, s2, s3, s4, s5)


def backward(saved: Saved, d_out: float = 1.0, ops: Operators = REFERENCE) -> Gradients:
    """Return the gradient of the loss with respect to every parameter."""
    d_user, d_target, d_negatives = ops.sampled_softmax.backward(d_out, saved.softmax)  # 5
    d_users, d_query = ops.label_attention.backward(d_user, saved.attention)  # 4
    of_negatives = ops.embedding.backward(d_negatives, saved.negatives)  # 3
    of_target = ops.embedding.backward(d_target + d_query, saved.target)  # 2, model-R9: both uses
    of_history, profile, bilinear, layers = interests_backward(d_users, saved.interests, ops)  # 1
    items = sum_uses(of_history, of_target, of_negatives)  # model-R10: one table, three uses
    return Gradients(items, profile, bilinear, layers)


def sampled_loss(
    user: Array, target: Array, negatives: Array, batch: Batch, config: Config, ops: Operators
) -> tuple[Array, sampled_softmax.Saved]:
    """Return the mean loss () of user vectors (B, D), targets (B, D) and negatives (S, D)."""
    out, saved = ops.sampled_softmax.forward(
        user,
        target,
        negatives,
        batch.target,
        batch.negatives,
        batch.target_log_expected,
        batch.negative_log_expected,
        temperature=config.temperature,
        normalise=config.normalise,
    )
    return out, saved


def behaviour_vectors(
    params: ItemTable, histories: Histories, catalogue: Catalogue, ops: Operators = REFERENCE
) -> tuple[Array, embedding.Saved]:
    """Return the vectors of behaviours (B, L, D), zero for padding.

    Padding is not looked up: its row would be in the gradient, and lazy Adam would change it.
    """
    ids = histories.items[histories.mask]
    vectors, saved = item_vectors(params, ids, catalogue, ops)
    history = np.zeros_like(vectors, shape=(*histories.mask.shape, vectors.shape[1]))
    history[histories.mask] = vectors  # model-R8
    return history, saved


def recency(mask: Bools) -> Ints:
    """Return for each behaviour the number of later ones of its user: 0 for the last (M,)."""
    since = mask[:, ::-1].cumsum(axis=1)[:, ::-1] - 1  # padding is not counted
    return since[mask]


def item_vectors(
    params: ItemTable, ids: Ints, catalogue: Catalogue, ops: Operators = REFERENCE
) -> tuple[Array, embedding.Saved]:
    """Return the vectors (M, D) of items (M,): id and side features, averaged."""
    embedding.check_row_indices("items", ids, len(catalogue.rows))  # model-R18
    rows, weights = catalogue.rows[ids], catalogue.weights[ids]
    vectors, saved = ops.embedding.forward(params.items, rows, weights)  # model-R1
    return vectors, saved


def profile_vectors(
    params: ProfileTable, rows: Ints, ops: Operators = REFERENCE
) -> tuple[Array, embedding.Saved]:
    """Return the vectors of the user features, concatenated in their order (B, P)."""
    flat_rows = rows.reshape(-1, 1)
    ones = np.ones(flat_rows.shape, params.profile.dtype)
    vectors, saved = ops.embedding.forward(params.profile, flat_rows, ones)
    return vectors.reshape(len(rows), rows.shape[1] * vectors.shape[1]), saved  # model-R2


def active_interests(mask: Bools, config: Config) -> Bools:
    """Return the active interests of users (B, K), from the number of behaviours in the history."""
    return active_after(mask.sum(axis=1), config)


def active_after(lengths: Ints, config: Config) -> Bools:
    """Return the active interests (B, K) for numbers of behaviours (B,)."""
    if config.interest_count == "log2":
        count = routing.count_active_interests(lengths, config.interests)  # model-R3
    else:
        count = np.where(lengths > 0, config.interests, 1)  # model-R7
    # model-R17: at least one, even without behaviours
    return np.arange(config.interests) < count[:, None]


def join_profile(capsules: Array, profile: Array) -> Array:
    """Return [capsule ; profile] for every capsule, as rows (B K, D + P)."""
    users, interests_, _ = capsules.shape
    repeated = np.broadcast_to(profile[:, None], (users, interests_, profile.shape[1]))
    joined = np.concatenate([capsules, repeated], axis=2)  # model-R4
    return joined.reshape(users * interests_, joined.shape[2])  # no -1: there may be no users


def split_profile(d_x: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the gradients of capsules (B, K, D) and profile (B, P): `join_profile` backward."""
    users, interests_, width = shape
    d_joined = d_x.reshape(users, interests_, -1)
    return d_joined[..., :width], d_joined[..., width:].sum(axis=1)


FAMILY = SteppedFamily(
    name="mind",
    params=Params,
    init=init,
    loss=loss,
    backward=backward,
    interests=interests,
    routes=True,
    in_contract=True,
)
