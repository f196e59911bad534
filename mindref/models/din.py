"""DIN, the deep interest network: it computes a user vector for each candidate, then a score.

Spec: specs/din.md. Source: Zhou et al., KDD 2018, Fig. 2 and eq. 3. DIN reranks the candidates of a
recall run. The user vector depends on the candidate, so no index can hold its scores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.models import mind
from mindref.models.din_config import DinConfig
from mindref.models.family import RerankFamily
from mindref.models.layers import SavedLayers, layers_backward, layers_forward
from mindref.models.parameters import Catalogue, Layer, Sizes, draw_layers, draw_normal
from mindref.ops import REFERENCE, Operators, embedding, item_attention
from mindref.ops.embedding import RowGradient, sum_uses
from mindref.shapes import Array, Bools, Ints, bind_axes, require_bool


class Params(NamedTuple):
    """The parameters of DIN."""

    items: Array  # (V, D) as in MIND, but not the table of the recall run
    profile: Array  # (W, Q)
    attention: tuple[Layer, ...]  # of the activation unit, from 4 D to 1
    layers: tuple[Layer, ...]  # to the logit


class Gradients(NamedTuple):
    """The gradient of each parameter, under the same names."""

    items: RowGradient
    profile: RowGradient
    attention: tuple[Layer, ...]
    layers: tuple[Layer, ...]


class Batch(NamedTuple):
    """Input of a training step."""

    histories: mind.Histories  # without initial logits
    candidates: Ints  # (B, M)
    labels: Bools  # (B, M) true for the item that followed


class SavedLogits(NamedTuple):
    """Values that `logits` saves for backward."""

    history: embedding.Saved
    candidates: embedding.Saved
    profile: embedding.Saved
    looked_up: tuple[int, int]  # (B G, Q) shape of the vectors of user features
    attention: item_attention.Saved
    users: Array  # (B, M, D)
    product: bool
    layers: SavedLayers


class Saved(NamedTuple):
    """Values that `loss` saves for backward."""

    logits: SavedLogits
    slopes: Array  # (B, M) derivative of the mean loss with respect to the logits


def init(rng: np.random.Generator, config: DinConfig, sizes: Sizes) -> Params:
    """Draw initial parameters: tables with variance 1 / D, layers He with zero biases.

    Values are drawn from rng in the order of `Params`, in float64, then rounded to the dtype.
    """
    d, q, dtype = config.width, config.profile_width, config.dtype
    items = draw_normal(rng, (sizes.item_rows, d), 1 / d, dtype)  # din-R11
    profile = draw_normal(rng, (sizes.profile_rows, q), 1 / d, dtype)
    widths = (item_attention.PARTS * d, *config.attention_hidden, 1)
    attention = draw_layers(rng, widths, dtype)  # din-R12
    joined = (3 if config.product else 2) * d + sizes.profile_features * q
    layers = draw_layers(rng, (joined, *config.hidden, 1), dtype)  # din-R12
    return Params(items, profile, attention, layers)


def logits(
    params: Params,
    histories: mind.Histories,
    candidates: Ints,
    catalogue: Catalogue,
    config: DinConfig,
    ops: Operators = REFERENCE,
) -> tuple[Array, SavedLogits]:
    """Map histories and candidates (B, M) to a logit for each candidate (B, M), the score.

    The sigmoid of the paper would not change the order of the candidates. Raises ShapeError for an
    item that is not in the catalogue, and the errors of the operators.
    """
    sizes = bind_axes("din", items=(histories.items, "BL"), candidates=(candidates, "BM"))
    shape = (sizes["B"], sizes["M"], params.items.shape[1])
    # the catalogue is from a recall run, whose dtype may differ
    weights = catalogue.weights.astype(config.dtype, copy=False)
    catalogue = catalogue._replace(weights=weights)
    history, s1 = mind.behaviour_vectors(params, histories, catalogue, ops)  # 1, din-R7 (B, L, D)
    flat, s2 = mind.item_vectors(params, candidates.reshape(-1), catalogue, ops)  # 2, din-R1
    c = flat.reshape(shape)  # (B, M, D)
    profile, s3 = mind.profile_vectors(params, histories.profile, ops)  # 3 (B, P)
    attend = getattr(ops, "item_attention", item_attention)  # an optional operator of a backend
    users, s4 = attend.forward(  # 4 (B, M, D)
        history, c, histories.mask, params.attention, normalise=config.normalise_attention
    )
    x = join_inputs(users, c, profile, product=config.product)  # 5 (B M, I)
    x, s6 = layers_forward(x, params.layers, last_relu=False, ops=ops)  # 6, din-R3
    looked_up = (histories.profile.size, params.profile.shape[1])
    saved = SavedLogits(s1, s2, s3, looked_up, s4, users, config.product, s6)
    return x.reshape(shape[:2]), saved


def logits_backward(d_out: Array, saved: SavedLogits, ops: Operators = REFERENCE) -> Gradients:
    """Return the gradient of every parameter from that of the logits (B, M)."""
    d_x = d_out.reshape(d_out.size, 1)
    d_x, layers = layers_backward(d_x, saved.layers, ops)  # 6
    c = saved.attention.candidates
    d_users, d_c, d_profile = split_inputs(d_x, saved.users, c, product=saved.product)  # 5
    attend = getattr(ops, "item_attention", item_attention)
    d_history, d_key, d_attention = attend.backward(d_users, saved.attention)  # 4
    d_looked_up = d_profile.reshape(saved.looked_up)
    profile = ops.embedding.backward(d_looked_up, saved.profile)  # 3
    d_flat = (d_c + d_key).reshape(c.shape[0] * c.shape[1], c.shape[2])  # din-R8: both uses
    of_candidates = ops.embedding.backward(d_flat, saved.candidates)  # 2
    of_history = ops.embedding.backward(d_history[saved.attention.mask], saved.history)  # 1
    items = sum_uses(of_history, of_candidates)  # din-R8: one table, two uses
    return Gradients(items, profile, tuple(Layer(*x) for x in d_attention), layers)


def loss(
    params: Params,
    batch: Batch,
    catalogue: Catalogue,
    config: DinConfig,
    ops: Operators = REFERENCE,
) -> tuple[Array, Saved]:
    """Map a batch to its mean log loss ().

    Raises ShapeError for an empty batch or labels that are not bool, and the errors of `logits`.
    """
    bind_axes("din", candidates=(batch.candidates, "BM"), labels=(batch.labels, "BM"))
    require_bool("din", labels=batch.labels)  # din-R9
    if not batch.labels.size:  # din-R9: an empty batch has no mean
        raise ShapeError(say("din: candidates", "at least one", "none"))
    z, s1 = logits(params, batch.histories, batch.candidates, catalogue, config, ops)  # 1 (B, M)
    losses, slopes = log_loss(z, batch.labels)  # 2 (B, M)
    return losses.mean(), Saved(s1, slopes / slopes.dtype.type(z.size))  # 3, din-R4


def backward(saved: Saved, d_out: float = 1.0, ops: Operators = REFERENCE) -> Gradients:
    """Return the gradient of the loss with respect to every parameter."""
    slopes = saved.slopes
    return logits_backward(slopes * slopes.dtype.type(d_out), saved.logits, ops)  # 3, 2, 1


def log_loss(z: Array, labels: Bools) -> tuple[Array, Array]:
    """Return -log of the probability of each label, and the derivative with respect to the logit z.

    Source: Zhou et al., section 4.2, with the sigmoid in the log. No exp of a positive number.
    """
    against = np.where(labels, -z, z)  # log(1 + exp(against)) is the loss of either label
    raised = np.exp(-np.abs(against))  # din-R5: in (0, 1]
    with np.errstate(invalid="ignore"):  # infinity less infinity is the NaN of din-R6
        losses = np.maximum(against, 0) + np.log1p(raised) + (z - z)  # din-R6
        wrong = np.where(against > 0, 1, raised) / (1 + raised) + (z - z)  # sigmoid of against
    return losses, np.where(labels, -wrong, wrong).astype(z.dtype, copy=False)


def join_inputs(users: Array, c: Array, profile: Array, *, product: bool) -> Array:
    """Return [user ; candidate ; product of both if `product` ; profile] as rows (B M, I)."""
    b, m, _ = users.shape
    repeated = np.broadcast_to(profile[:, None], (b, m, profile.shape[1]))
    parts = [users, c, users * c, repeated] if product else [users, c, repeated]
    joined = np.concatenate(parts, axis=2)  # din-R2
    return joined.reshape(b * m, joined.shape[2])


def split_inputs(
    d_x: Array, users: Array, c: Array, *, product: bool
) -> tuple[Array, Array, Array]:
    """Return the gradients of users, candidates (B, M, D) and profile (B, P)."""
    b, m, d = users.shape
    d_joined = d_x.reshape(b, m, d_x.shape[1])
    d_users, d_c, d_rest = np.split(d_joined, [d, 2 * d], axis=2)
    if product:
        d_product, d_rest = np.split(d_rest, [d], axis=2)
        d_users, d_c = d_users + d_product * c, d_c + d_product * users
    return d_users, d_c, d_rest.sum(axis=1)


def histories_without_logits(
    history: Ints, mask: Bools, profiles: Ints, config: DinConfig
) -> mind.Histories:
    """Return padded histories (B, L) with profiles (B, G); DIN reads no initial logits."""
    return mind.Histories(history, mask, np.zeros((*history.shape, 0), config.dtype), profiles)


FAMILY = RerankFamily(name="din", params=Params, init=init, loss=loss, backward=backward)
