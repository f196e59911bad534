"""Learned log weights of behaviours by their age, for each interest and each context.

Spec: specs/mind_plus.md, step 3. A table is read at the age of each behaviour: how many of its user
come after it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models.recency import recency
from mindref.ops import embedding
from mindref.shapes import Array, Bools, Ints

SLOWEST, FASTEST = 0.03, 2.43
"""Columns of the positions start as lines by age of slopes from -SLOWEST to -FASTEST, in equal
ratios: each sees another span, and no noise is needed to tell interests apart."""


class Ages(NamedTuple):
    """Whose log weight was read where."""

    ages: Ints  # (N,) of the behaviours, user by user
    shape: tuple[int, ...]  # of the positions (L, C)
    contexts: int  # M


def start(config: Config) -> Array:
    """Return the table (L, C) before training: lines by age, each of another slope."""
    slopes = np.geomspace(SLOWEST, FASTEST, columns(config))  # mind_plus-R2
    return (np.arange(config.window)[:, None] * -slopes).astype(config.dtype)


def columns(config: Config) -> int:
    """Return how many weights there are for each age: of interests, then one of each context."""
    num_interest_columns = {"none": 0, "shared": 1, "interests": config.interests}[
        config.recency
    ]  # mind_plus-R3
    return num_interest_columns + config.contexts


def forward(positions: Array, mask: Bools, config: Config) -> tuple[Array, Ages]:
    """Return the log weights of behaviours (B, L, K + M) by age, and what backward needs.

    The last behaviour of a user has age 0, wherever the padding begins (mind_plus-R1).
    """
    behaviour_ages = recency(mask)
    embedding.check_row_indices("positions", behaviour_ages, len(positions))  # mind_plus-R5
    interest_weights, context_weights = np.split(
        positions[behaviour_ages], [columns(config) - config.contexts], axis=1
    )
    out = np.zeros((*mask.shape, config.interests + config.contexts), positions.dtype)
    out[mask, : config.interests] = (
        interest_weights if interest_weights.shape[1] else 0
    )  # "shared" is for each of them
    out[mask, config.interests :] = context_weights
    return out, Ages(behaviour_ages, positions.shape, config.contexts)


def backward(d_weights: Array, saved: Ages) -> Array:
    """Return the gradient of the positions (L, C) from that of behaviours' weights (N, K + M)."""
    interest_gradients, context_gradients = np.split(
        d_weights, [d_weights.shape[1] - saved.contexts], axis=1
    )
    count = saved.shape[1] - saved.contexts
    if (
        count < interest_gradients.shape[1]
    ):  # one for all interests gets the sum of them, or there is none
        interest_gradients = interest_gradients.sum(axis=1, keepdims=True)[:, :count]
    rows = np.concatenate([interest_gradients, context_gradients], axis=1)  # (N, C)
    by_column = [np.bincount(saved.ages, x, saved.shape[0]) for x in rows.T]
    return np.array(by_column, rows.dtype).T.reshape(saved.shape)
