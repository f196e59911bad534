"""MaxMF: K free vectors for every training user; an item's score is its best product with them.

Spec: specs/maxmf.md. Source: Weston, Weiss and Yee, RecSys 2013, eq. 2 and the loss of WARP.
Differs: a step has a batch of pairs; at serving, user vectors are fitted to the history.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.models import mind, warp
from mindref.models.family import Draw, SteppedFamily
from mindref.models.foldin import LONGEST, fit_interests, limit_lengths
from mindref.models.parameters import Catalogue, Sizes
from mindref.ops import REFERENCE, Operators, embedding
from mindref.ops.embedding import RowGradient, sum_uses
from mindref.shapes import Array, Bools, Ints


class Params(NamedTuple):
    """The parameters of MaxMF."""

    items: Array  # (V, D) item ids first, then values of item features
    users: Array  # (U K, D) row u K + k is the interest k of the training row u


class Gradients(NamedTuple):
    """The gradient of each parameter, under the same names."""

    items: RowGradient
    users: RowGradient


class Batch(NamedTuple):
    """Input of a training step."""

    shared: mind.Batch
    rows: Ints  # (B,) training row of each example
    is_known: Bools | None = None  # (B, S) negatives that the user has; None: from the history


class Scores(NamedTuple):
    """The best interest of a user for each item, and its score."""

    best: Array  # (B, ...) max_k v_k . e
    interest: Ints  # (B, ...) index k of the best interest, the lowest on ties


class Saved(NamedTuple):
    """Values that `loss` saves for backward: vectors, and the index of the best interest."""

    rows: embedding.Saved
    target: embedding.Saved
    negatives: embedding.Saved
    users: Array  # (B, K, D)
    vectors: tuple[Array, Array]  # of targets (B, D) and negatives (S, D)
    interest: tuple[Ints, Ints]  # best for the target (B,) and for each negative (B, S)
    pairs: warp.Saved


def init(rng: np.random.Generator, config: Config, sizes: Sizes) -> Params:
    """Draw items, then users, N(0, 1 / D), from rng, in float64, then rounded to the dtype."""

    def normal(count: int) -> Array:  # maxmf-R13
        drawn = rng.standard_normal((count, config.width)) / np.sqrt(config.width)
        return drawn.astype(config.dtype)

    return Params(normal(sizes.item_rows), normal(sizes.users * config.interests))


def loss(
    params: Params,
    batch: Batch,
    catalogue: Catalogue,
    config: Config,
    ops: Operators = REFERENCE,
    *,
    pair_loss: str | None = None,
) -> tuple[Array, Saved]:
    """Map a batch to its mean pair loss (); pair_loss: "warp", "auc", or None for the setting.

    Raises ShapeError for an item or a training row out of range, and the errors of `warp.forward`.
    """
    shared, count = batch.shared, config.interests
    # int64: in a narrow type, the product would wrap (numerics-R15)
    rows = batch.rows.astype(np.int64)[:, None] * count + np.arange(count)  # maxmf-R1 (B, K)
    ones = np.ones((rows.size, 1), params.users.dtype)
    flat, s1 = ops.embedding.forward(params.users, rows.reshape(-1, 1), ones)  # 1
    users = flat.reshape(*rows.shape, flat.shape[1])  # (B, K, D)
    target, s2 = mind.item_vectors(params, shared.target, catalogue, ops)  # 2 (B, D)
    negatives, s3 = mind.item_vectors(params, shared.negatives, catalogue, ops)  # 3 (S, D)
    of_target = best_interest_scores(np.einsum("bkd,bd->bk", users, target))  # 4 (B,)
    products = (flat @ negatives.T).reshape(*rows.shape, len(negatives))
    of_negatives = best_interest_scores(products)  # 5 (B, S)
    usable = ~(known_negatives(batch) | (shared.negatives == shared.target[:, None]))  # 6, maxmf-R4
    out, s7 = warp.forward(  # 7 ()
        of_target.best,
        of_negatives.best,
        usable,
        items=len(catalogue.rows),
        pair_loss=pair_loss or config.pair_loss,
    )
    interest = of_target.interest, of_negatives.interest
    return out, Saved(s1, s2, s3, users, (target, negatives), interest, s7)


def backward(saved: Saved, d_out: float = 1.0, ops: Operators = REFERENCE) -> Gradients:
    """Return the gradient of the loss with respect to both tables, without rows of zeros."""
    users, (target, negatives), interest = saved.users, saved.vectors, saved.interest
    d_of_target, d_of_negatives = warp.backward(d_out, saved.pairs)  # 7 (B,), (B, S)
    d_products = best_interest_backward(d_of_negatives, interest[1], users.shape[1])  # 5 (B, K, S)
    d_users = d_products @ negatives  # 5 (B, K, D)
    d_negatives = np.einsum("bks,bkd->sd", d_products, users, optimize=True)  # 5 (S, D)
    d_at_target = best_interest_backward(d_of_target, interest[0], users.shape[1])  # 4 (B, K)
    d_users += d_at_target[..., None] * target[:, None, :]  # 4, maxmf-R14
    d_target = np.einsum("bk,bkd->bd", d_at_target, users)  # 4, maxmf-R14 (B, D)
    of_negatives = ops.embedding.backward(d_negatives, saved.negatives)  # 3
    of_target = ops.embedding.backward(d_target, saved.target)  # 2
    of_users = ops.embedding.backward(d_users.reshape(-1, users.shape[2]), saved.rows)  # 1
    items = sum_uses(of_target, of_negatives)  # maxmf-R15: one table, two uses
    return Gradients(drop_zero_rows(items), drop_zero_rows(of_users))


def project_moved_rows(params: Params, gradients: Gradients, longest: float = LONGEST) -> None:
    """Shorten the vectors that a step has changed to length `longest` if they are longer.

    Call it after the step. It changes the parameters in place, as the optimiser does.
    """
    for table, gradient in zip(params, gradients, strict=True):
        table[gradient.rows] = limit_lengths(table[gradient.rows], longest)  # maxmf-R17


def best_interest_scores(scores: Array) -> Scores:
    """Return the largest score over axis 1, the interests, and its index."""
    interest = scores.argmax(axis=1)  # maxmf-R2: the lowest index on ties
    return Scores(np.take_along_axis(scores, interest[:, None], axis=1)[:, 0], interest)


def best_interest_backward(d_best: Array, interest: Ints, count: int) -> Array:
    """Return the gradient (B, K, ...) of the scores: all of it goes to the best interest."""
    chosen = interest[:, None] == np.arange(count).reshape(-1, *[1] * (interest.ndim - 1))
    return np.where(chosen, d_best[:, None], 0)  # maxmf-R14


def known_negatives(batch: Batch) -> Bools:
    """Return which negatives each user has interacted with (B, S), apart from the target."""
    if batch.is_known is not None:
        return batch.is_known
    histories, negatives = batch.shared.histories, batch.shared.negatives
    same = histories.items[:, :, None] == negatives  # (B, L, S)
    return (same & histories.mask[..., None]).any(axis=1)


def drop_zero_rows(gradient: RowGradient) -> RowGradient:
    """Return the gradient without its rows of zeros.

    The optimiser changes every row of a gradient, because momentum is not zero.
    """
    nonzero = gradient.values.any(axis=1)  # maxmf-R16
    return RowGradient(gradient.rows[nonzero], gradient.values[nonzero])


def add_training_rows(common: mind.Batch, draw: Draw) -> Batch:
    """Return the batch with the training rows and which negatives each user has."""
    known_items = in_sequences(draw.sequences, draw.rows, common.negatives, draw.sizes.items)
    return Batch(common, draw.rows, known_items)


def in_sequences(sequences: Ragged, rows: Ints, items: Ints, count: int) -> Bools:
    """Return which items (S,) are in which training sequences, by their rows (B,): (B, S).

    count: number of items in the catalogue.
    """
    contained = np.empty((len(rows), len(items)), np.bool_)
    marked = np.zeros(count, np.bool_)
    for index, row in enumerate(rows):
        sequence = sequences.row(int(row))
        marked[sequence] = True
        contained[index] = marked[items]
        marked[sequence] = False
    return contained


def check_config(config: Config) -> None:
    """Raise ConfigError for the loss over the full catalogue: WARP estimates ranks by sampling."""
    if config.loss == "full":
        subject = "--model maxmf: loss"
        raise ConfigError(say(subject, "sampled: its rank is counted by trials", "full"))


FAMILY = SteppedFamily(
    name="maxmf",
    params=Params,
    init=init,
    loss=loss,
    backward=backward,
    interests=fit_interests,
    project=project_moved_rows,  # maxmf-R17
    make_batch=add_training_rows,
    history_length=lambda config: 1,  # a user is identified by the training row
    reads_features=False,
    check_config=check_config,
)
