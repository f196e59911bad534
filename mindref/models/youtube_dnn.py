"""YouTube DNN: one vector of a user, from the mean of the behaviours.

Spec: specs/youtube_dnn.md. Source: Covington, Adams, Sargin, RecSys 2016, section 3, as Li et al.,
CIKM 2019, compare with it. Differs: no video features, no example age, and no searches; the last
layer is linear; weights by recency are optional. Items, profile, layers and loss are those of
MIND. The mean replaces routing, and one vector needs no attention.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind, parameters
from mindref.models.family import SteppedFamily
from mindref.models.layers import SavedLayers, layers_backward, layers_forward
from mindref.models.parameters import Catalogue, Layer, Sizes
from mindref.ops import REFERENCE, Operators, embedding, sampled_softmax, softmax
from mindref.ops.embedding import RowGradient, sum_uses
from mindref.shapes import Array, Bools, Ints


class Params(NamedTuple):
    """The parameters of YouTube DNN."""

    items: Array  # (V, D) item ids first, then values of item features
    profile: Array  # (W, Q) values of user features; (0, Q) without any
    # (1, L) log-weight of the last behaviour, of the one before it, ...; or (0, L)
    positions: Array
    layers: tuple[Layer, ...]  # the last one maps to D


class Gradients(NamedTuple):
    """The gradient of each parameter, under the same names."""

    items: RowGradient
    profile: RowGradient
    positions: Array
    layers: tuple[Layer, ...]


class Pooled(NamedTuple):
    """Values that `pool_behaviours` saves for backward."""

    history: Array  # (B, L, D) zero for padding
    weights: Array  # (B, L)
    softmax: softmax.Saved
    recency: Ints  # (M,) of the behaviours, user by user
    places: tuple[int, int]  # shape of `positions`


class SavedUserVectors(NamedTuple):
    """Values that `user_vectors` saves for backward."""

    history: embedding.Saved
    mask: Bools  # (B, L)
    pooled: Pooled
    profile: embedding.Saved
    looked_up: tuple[int, int]  # (B G, Q) shape of the vectors of user features
    layers: SavedLayers


class Saved(NamedTuple):
    """Values that `loss` saves for backward."""

    interests: SavedUserVectors
    target: embedding.Saved
    negatives: embedding.Saved
    softmax: sampled_softmax.Saved


def init(rng: np.random.Generator, config: Config, sizes: Sizes) -> Params:
    """Draw initial parameters, those of MIND with the same generator; all log-weights are zero.

    The setting `recency` selects a learned log-weight for each of the `window` positions, or none.
    """
    drawn = parameters.init(rng, config, sizes)  # youtube_dnn-R11
    rows = int(config.recency != "none")
    positions = np.zeros((rows, config.window), config.dtype)  # youtube_dnn-R12
    return Params(drawn.items, drawn.profile, positions, drawn.layers)


def user_vectors(
    params: Params,
    histories: mind.Histories,
    catalogue: Catalogue,
    config: Config,
    ops: Operators = REFERENCE,
) -> tuple[Array, Bools, SavedUserVectors]:
    """Map histories to one vector of each user (B, 1, D), and active (B, 1), all true.

    Raises ShapeError for an item that is not in the catalogue or a behaviour older than the last
    log-weight, and the errors of the operators.
    """
    history, s1 = mind.behaviour_vectors(params, histories, catalogue, ops)  # 1 (B, L, D)
    mean, s2 = pool_behaviours(params.positions, history, histories.mask, ops)  # 2 (B, D)
    profile, s3 = mind.profile_vectors(params, histories.profile, ops)  # 3 (B, P)
    x = mind.join_profile(mean[:, None], profile)  # 4, youtube_dnn-R5 (B, D + P)
    x, s5 = layers_forward(x, params.layers, config.last_relu, ops)  # 5 (B, D)
    active = np.ones((len(x), 1), np.bool_)  # youtube_dnn-R6: one, even without behaviours
    looked_up = (histories.profile.size, params.profile.shape[1])
    return x[:, None], active, SavedUserVectors(s1, histories.mask, s2, s3, looked_up, s5)


def user_vectors_backward(
    d_out: Array, saved: SavedUserVectors, ops: Operators = REFERENCE
) -> tuple[RowGradient, RowGradient, Array, tuple[Layer, ...]]:
    """Return the gradients of items (by way of the history), profile, positions and layers."""
    d_x, d_layers = layers_backward(d_out[:, 0], saved.layers, ops)  # 5
    d_mean, d_profile = mind.split_profile(d_x, d_out.shape)  # 4
    d_rows = ops.embedding.backward(d_profile.reshape(saved.looked_up), saved.profile)  # 3
    # 2
    d_history, d_positions = pool_behaviours_backward(d_mean[:, 0], saved.pooled, saved.mask, ops)
    d_items = ops.embedding.backward(d_history[saved.mask], saved.history)  # 1
    return d_items, d_rows, d_positions, d_layers


def loss(
    params: Params,
    batch: mind.Batch,
    catalogue: Catalogue,
    config: Config,
    ops: Operators = REFERENCE,
) -> tuple[Array, Saved]:
    """Map a batch to its mean loss (). Raises the errors of `user_vectors`."""
    users, _, s1 = user_vectors(params, batch.histories, catalogue, config, ops)  # 1 (B, 1, D)
    target, s2 = mind.item_vectors(params, batch.target, catalogue, ops)  # 2 (B, D)
    negatives, s3 = mind.item_vectors(params, batch.negatives, catalogue, ops)  # 3 (S, D)
    # 4, youtube_dnn-R7: the vector itself, no query
    out, s4 = mind.sampled_loss(users[:, 0], target, negatives, batch, config, ops)
    return out, Saved(s1, s2, s3, s4)


def backward(saved: Saved, d_out: float = 1.0, ops: Operators = REFERENCE) -> Gradients:
    """Return the gradient of the loss with respect to every parameter."""
    d_user, d_target, d_negatives = ops.sampled_softmax.backward(d_out, saved.softmax)  # 4
    of_negatives = ops.embedding.backward(d_negatives, saved.negatives)  # 3
    of_target = ops.embedding.backward(d_target, saved.target)  # 2
    of_history, profile, positions, d_layers = user_vectors_backward(  # 1
        d_user[:, None], saved.interests, ops
    )
    items = sum_uses(of_history, of_target, of_negatives)  # youtube_dnn-R8: one table, three uses
    return Gradients(items, profile, positions, d_layers)


def pool_behaviours(
    positions: Array, history: Array, mask: Bools, ops: Operators = REFERENCE
) -> tuple[Array, Pooled]:
    """Map behaviours (B, L, D) to their mean (B, D), zero for an empty history.

    positions (1, W): log-weights by recency; (0, W): equal weights.
    """
    recent = mind.recency(mask)  # a (M,), youtube_dnn-R3
    logits = np.zeros(mask.shape, history.dtype)
    if len(positions):
        embedding.check_row_indices("positions", recent, positions.shape[1])  # youtube_dnn-R10
        logits[mask] = positions[0, recent]  # a, youtube_dnn-R2 (B, L)
    weights, saved = ops.softmax.forward(logits, mask, axis=1)  # b, youtube_dnn-R1, R4 (B, L)
    mean = np.einsum("bl,bld->bd", weights, history)  # c (B, D)
    return mean, Pooled(history, weights, saved, recent, positions.shape)


def pool_behaviours_backward(
    d_mean: Array, saved: Pooled, mask: Bools, ops: Operators = REFERENCE
) -> tuple[Array, Array]:
    """Return d_history (B, L, D) and d_positions, with the shape of the positions."""
    history, weights, of_softmax, recent, places = saved
    d_history = weights[..., None] * d_mean[:, None]  # c (B, L, D)
    d_positions = np.zeros(places, history.dtype)
    if len(d_positions):
        d_weights = np.einsum("bd,bld->bl", d_mean, history)  # c
        d_logits = ops.softmax.backward(d_weights, of_softmax)[mask]  # b (M,)
        d_positions[0] = np.bincount(recent, d_logits, places[1])  # a, youtube_dnn-R9
    return d_history, d_positions


FAMILY = SteppedFamily(
    name="youtube_dnn",
    params=Params,
    init=init,
    loss=loss,
    backward=backward,
    interests=user_vectors,
    num_vectors=lambda config: 1,  # youtube_dnn-R6
)
