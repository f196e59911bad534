"""MIND with improvements from our experiments; each improvement is a setting.

Spec: specs/mind_plus.md. Source: Li et al., CIKM 2019, Fig. 2, and its future work, the order of
behaviours. Differs: behaviours have learned weights by age for each interest. Contexts, pooled from
all behaviours, are inputs of the layers. The loss can use the serving score, and training can use
dropout of behaviours. The model of the paper is mind.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind, parameters
from mindref.models.family import SteppedFamily
from mindref.models.layers import SavedLayers, layers_backward, layers_forward
from mindref.models.mind_plus import ages
from mindref.models.parameters import Catalogue, Layer, Sizes
from mindref.ops import REFERENCE, Operators, embedding, label_attention, pooled_softmax, routing
from mindref.ops import sampled_softmax as sampled
from mindref.ops.embedding import RowGradient, sum_uses
from mindref.shapes import Array, Bools


class Params(NamedTuple):
    """The parameters: those of MIND, and the log weights of behaviours by age."""

    items: Array  # (V, D)
    profile: Array  # (W, Q)
    bilinear: Array  # (D, D) S
    positions: Array  # (L, C) row 0 is the last behaviour; of interests, then of contexts
    layers: tuple[Layer, ...]  # from D + G Q + M D


class Gradients(NamedTuple):
    """The gradient of each parameter, under the same names."""

    items: RowGradient
    profile: RowGradient
    bilinear: Array
    positions: Array
    layers: tuple[Layer, ...]


class Batch(NamedTuple):
    """Input of a training step."""

    shared: mind.Batch
    keep: Array | None  # (B, L, D) factors of the behaviours' vectors: 0 or 1 / (1 - dropout)


class SavedMindPlusInterests(NamedTuple):
    """Values that `mind_plus_interests` saves for backward."""

    history: embedding.Saved
    keep: Array | None
    profile: embedding.Saved
    looked_up: tuple[int, int]  # (B G, Q)
    positions: ages.Ages
    routing: routing.Saved
    contexts: routing.Saved | None
    layers: SavedLayers
    head: str
    extra_widths: tuple[int, int]  # of profile and contexts, which are joined to each capsule
    active: Bools  # (B, K)
    mask: Bools  # (B, L)
    learned: bool  # S is learned; else votes are the item vectors


class Saved(NamedTuple):
    """Values that `loss` saves for backward."""

    interests: SavedMindPlusInterests
    target: embedding.Saved
    negatives: embedding.Saved
    attention: label_attention.Saved | None  # None for the pooled loss
    softmax: sampled.Saved | pooled_softmax.Saved


def init(rng: np.random.Generator, config: Config, sizes: Sizes) -> Params:
    """Draw initial parameters as in MIND; the log weights by age are linear in the age.

    S and layers are drawn even if the settings leave them out, so that the other parameters do not
    depend on these settings.
    """
    context_width = config.width * config.contexts
    # mind_plus-R20
    items, profile, bilinear, layers = parameters.init(rng, config, sizes, context_width)
    if config.initial_matrices == "identity":  # mind_plus-R23
        bilinear, layers = start_at_identity(config, layers)
    if config.votes == "items":  # mind_plus-R8: S is not learned
        bilinear = bilinear[:0, :0]
    if config.head == "none":  # mind_plus-R11
        layers = ()
    return Params(items, profile, bilinear, ages.start(config), layers)


def start_at_identity(config: Config, layers: tuple[Layer, ...]) -> tuple[Array, tuple[Layer, ...]]:
    """Return S (D, D), the identity, and the layers; with a residual head, the last is zero."""
    identity = np.eye(config.width, dtype=config.dtype)
    if config.head != "residual":
        return identity, layers
    zero = layers[-1]._replace(weight=np.zeros_like(layers[-1].weight))
    return identity, (*layers[:-1], zero)


def mind_plus_interests(
    params: Params,
    histories: mind.Histories,
    catalogue: Catalogue,
    config: Config,
    ops: Operators = REFERENCE,
    keep: Array | None = None,
) -> tuple[Array, Bools, SavedMindPlusInterests]:
    """Map histories to interests (B, K, D), zero where inactive, and active (B, K).

    keep (B, L, D): factors of the behaviours' vectors in training, None at serving. Raises
    ShapeError for an item that is not in the catalogue or a behaviour older than the last
    position, and the errors of the operators.
    """
    mask, learned = histories.mask, config.votes == "matrix"
    # mind_plus-R8: without S a vote is the item vector
    matrix = params.bilinear if learned else np.eye(config.width, dtype=config.dtype)
    vectors, s1 = mind.behaviour_vectors(params, histories, catalogue, ops)  # 1 (B, L, D)
    history = vectors if keep is None else vectors * keep  # 1, mind_plus-R14, R16
    profile, s2 = mind.profile_vectors(params, histories.profile, ops)  # 2 (B, P)
    log_weights, s3 = ages.forward(params.positions, mask, config)  # 3 (B, L, K + M)
    interest_weights, context_weights = np.split(log_weights, [config.interests], axis=2)
    active = mind.active_interests(mask, config)  # (B, K)
    dynamic = config.routing == "dynamic"
    capsules, s4 = ops.routing.forward(  # 4, mind_plus-R21: as in MIND except log_weights (B, K, D)
        history,
        mask,
        matrix,
        histories.init_logits if dynamic else np.zeros_like(histories.init_logits),
        active,
        iterations=config.iterations if dynamic else 1,
        gradient=config.routing_gradient,
        axis=config.routing_axis,
        kind=config.squash,
        log_weights=interest_weights,  # mind_plus-R4
    )
    contexts, s5 = pool_contexts(matrix, history, mask, context_weights, config, ops)  # 5 (B, M D)
    x, s7 = capsules, SavedLayers()
    if config.head != "none":  # mind_plus-R11
        extra = np.concatenate([profile, contexts], axis=1)  # 6, mind_plus-R9 (B, P + M D)
        x = mind.join_profile(capsules, extra)  # 6 (B K, D + P + M D)
        x, s7 = layers_forward(x, params.layers, config.last_relu, ops)  # 7
        x = x.reshape(capsules.shape)
    if config.head == "residual":
        x = capsules + x  # 7, mind_plus-R10
    out = np.where(active[..., None], x, 0)  # 8, mind_plus-R12 (B, K, D)
    looked_up = (histories.profile.size, params.profile.shape[1])
    saved = SavedMindPlusInterests(
        history=s1,
        keep=keep,
        profile=s2,
        looked_up=looked_up,
        positions=s3,
        routing=s4,
        contexts=s5,
        layers=s7,
        head=config.head,
        extra_widths=(profile.shape[1], contexts.shape[1]),
        active=active,
        mask=mask,
        learned=learned,
    )
    return out, active, saved


def mind_plus_interests_backward(
    d_out: Array, saved: SavedMindPlusInterests, ops: Operators = REFERENCE
) -> tuple[RowGradient, RowGradient, Array, Array, tuple[Layer, ...]]:
    """Return the gradients of items (through the history) and of all other parameters."""
    mask, users, width = saved.mask, len(d_out), d_out.shape[2]
    d_x = np.where(saved.active[..., None], d_out, 0)  # 8
    d_capsules, d_layers = d_x, tuple[Layer, ...]()
    d_extra = np.zeros((users, sum(saved.extra_widths)), d_x.dtype)
    if saved.head != "none":
        d_rows, d_layers = layers_backward(d_x.reshape(-1, width), saved.layers, ops)  # 7
        d_capsules, d_extra = mind.split_profile(d_rows, d_x.shape)  # 6
    if saved.head == "residual":
        d_capsules = d_capsules + d_x  # 7
    d_profile, d_contexts = np.split(d_extra, [saved.extra_widths[0]], axis=1)  # 6
    d_history, d_matrix, _, d_weights = ops.routing.backward(d_capsules, saved.routing)  # 4
    if saved.contexts is not None:
        d_context_capsules = d_contexts.reshape(users, saved.extra_widths[1] // width, width)
        context_gradients = ops.routing.backward(d_context_capsules, saved.contexts)  # 5
        d_history, d_matrix = d_history + context_gradients[0], d_matrix + context_gradients[1]
        d_weights = np.concatenate([d_weights, context_gradients[3]], axis=2)
    d_positions = ages.backward(d_weights[mask], saved.positions)  # 3, mind_plus-R19
    d_profile_rows = ops.embedding.backward(d_profile.reshape(saved.looked_up), saved.profile)  # 2
    if saved.keep is not None:
        d_history = d_history * saved.keep  # 1
    d_items = ops.embedding.backward(d_history[mask], saved.history)  # 1
    d_bilinear = d_matrix if saved.learned else d_matrix[:0, :0]
    return d_items, d_profile_rows, d_bilinear, d_positions, d_layers


def pool_contexts(
    matrix: Array, history: Array, mask: Bools, log_weights: Array, config: Config, ops: Operators
) -> tuple[Array, routing.Saved | None]:
    """Return the contexts of users, concatenated (B, M D): squashed weighted sums of all votes.

    A context is the capsule of routing with one interest (mind_plus-R6). One call of routing
    computes all contexts; its couplings are 1 / M, and log M in the weights compensates for them
    (mind_plus-R7).
    """
    users, contexts = len(mask), log_weights.shape[2]
    if contexts == 0:
        return np.zeros((users, 0), history.dtype), None
    shift = history.dtype.type(np.log(contexts))
    out, saved = ops.routing.forward(
        history,
        mask,
        matrix,
        np.zeros_like(log_weights),
        np.ones((users, contexts), np.bool_),
        iterations=1,
        gradient="last",
        kind=config.squash,
        log_weights=log_weights + shift,
    )
    return out.reshape(users, contexts * out.shape[2]), saved  # no -1: the batch may be empty


def loss(
    params: Params, batch: Batch, catalogue: Catalogue, config: Config, ops: Operators = REFERENCE
) -> tuple[Array, Saved]:
    """Map a batch to its mean loss (). Raises the errors of the operators."""
    shared = batch.shared
    users, active, s1 = mind_plus_interests(  # 1 (B, K, D)
        params, shared.histories, catalogue, config, ops, batch.keep
    )
    target, s2 = mind.item_vectors(params, shared.target, catalogue, ops)  # 2 (B, D)
    negatives, s3 = mind.item_vectors(params, shared.negatives, catalogue, ops)  # 3 (S, D)
    if config.attention == "pooled":
        out, s5 = ops.pooled_softmax.forward(  # 4 and 5, mind_plus-R17
            users,
            active,
            target,
            negatives,
            shared.target,
            shared.negatives,
            shared.target_log_expected,
            shared.negative_log_expected,
            sharpness=config.sharpness,
            temperature=config.temperature,
            normalise=config.normalise,
        )
        return out, Saved(s1, s2, s3, None, s5)
    power = config.effective_power
    user, s4 = ops.label_attention.forward(users, target, active, power=power)  # 4 (B, D)
    out, s5 = mind.sampled_loss(user, target, negatives, shared, config, ops)  # 5 ()
    return out, Saved(s1, s2, s3, s4, s5)


def backward(saved: Saved, d_out: float = 1.0, ops: Operators = REFERENCE) -> Gradients:
    """Return the gradient of the loss with respect to every parameter."""
    if saved.attention is None:  # 5 and 4
        d_users, d_target, d_negatives = ops.pooled_softmax.backward(d_out, saved.softmax)
    else:
        d_user, d_target, d_negatives = ops.sampled_softmax.backward(d_out, saved.softmax)  # 5
        d_users, d_query = ops.label_attention.backward(d_user, saved.attention)  # 4
        d_target = d_target + d_query
    of_negatives = ops.embedding.backward(d_negatives, saved.negatives)  # 3
    of_target = ops.embedding.backward(d_target, saved.target)  # 2
    of_history, profile, bilinear, positions, layers = mind_plus_interests_backward(  # 1
        d_users, saved.interests, ops
    )
    items = sum_uses(of_history, of_target, of_negatives)  # mind_plus-R18: one table, three uses
    return Gradients(items, profile, bilinear, positions, layers)


def dropout_mask(rng: np.random.Generator, mask: Bools, config: Config) -> Array | None:
    """Return the factors of the behaviours' vectors (B, L, D), None without dropout.

    A factor is 0 with probability `dropout`, rounded to a multiple of 2^-16; else it is 1 / (1 -
    the rounded probability).
    """
    if not config.dropout:
        return None
    limit = round(config.dropout * 2**16)
    shape = (*mask.shape, config.width)
    words = rng.integers(0, 2**16, shape, dtype=np.uint16)  # 16 bits decide each entry
    return np.multiply(words >= limit, 1 / (1 - limit / 2**16), dtype=config.dtype)  # mind_plus-R14


FAMILY = SteppedFamily(
    name="mind_plus",
    params=Params,
    init=init,
    loss=loss,
    backward=backward,
    interests=mind_plus_interests,
    # mind_plus-R15: the dropout mask is drawn last
    make_batch=lambda common, draw: Batch(
        common, dropout_mask(draw.rng, common.histories.mask, draw.config)
    ),
    routes=True,
)
