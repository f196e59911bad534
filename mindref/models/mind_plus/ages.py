"""Learned log weights of behaviours by their age, for each interest and each context.

Spec: specs/mind_plus.md, step 3. The age of a behaviour is the number of later behaviours of the
same user. It is the row of a table of log weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models.mind import recency
from mindref.ops import embedding
from mindref.shapes import Array, Bools, Ints

SLOWEST, FASTEST = 0.03, 2.43
"""Range of the initial slopes, in equal ratios. Initially, columns of the positions are linear in
the age, with slopes from -SLOWEST to -FASTEST. So interests differ without random noise."""


class Ages(NamedTuple):
    """Values that `forward` saves for backward."""

    ages: Ints  # (N,) of the behaviours, ordered by user
    shape: tuple[int, ...]  # of the positions (L, C)
    contexts: int  # M


def start(config: Config) -> Array:
    """Return the initial table (L, C): each column is linear in the age, with a different slope."""
    slopes = np.geomspace(SLOWEST, FASTEST, columns(config))  # mind_plus-R2
    return (np.arange(config.window)[:, None] * -slopes).astype(config.dtype)


def columns(config: Config) -> int:
    """Return the number of columns C: those of interests, then one for each context."""
    # mind_plus-R3
    num_interest_columns = {"none": 0, "shared": 1, "interests": config.interests}[config.recency]
    return num_interest_columns + config.contexts


def forward(positions: Array, mask: Bools, config: Config) -> tuple[Array, Ages]:
    """Return the log weights of behaviours (B, L, K + M), and the values saved for backward.

    The last behaviour of a user has age 0, independent of padding (mind_plus-R1).
    """
    behaviour_ages = recency(mask)
    embedding.check_row_indices("positions", behaviour_ages, len(positions))  # mind_plus-R5
    interest_weights, context_weights = np.split(
        positions[behaviour_ages], [columns(config) - config.contexts], axis=1
    )
    out = np.zeros_like(positions, shape=(*mask.shape, config.interests + config.contexts))
    # "shared": one column for all interests
    out[mask, : config.interests] = interest_weights if interest_weights.shape[1] else 0
    out[mask, config.interests :] = context_weights
    return out, Ages(behaviour_ages, positions.shape, config.contexts)


def backward(d_weights: Array, saved: Ages) -> Array:
    """Return the gradient of the positions (L, C) from that of behaviours' weights (N, K + M)."""
    interest_gradients, context_gradients = np.split(
        d_weights, [d_weights.shape[1] - saved.contexts], axis=1
    )
    count = saved.shape[1] - saved.contexts
    if count < interest_gradients.shape[1]:  # "shared": sum over the interests; "none": no column
        interest_gradients = interest_gradients.sum(axis=1, keepdims=True)[:, :count]
    rows = np.concatenate([interest_gradients, context_gradients], axis=1)  # (N, C)
    d_positions = np.zeros_like(rows, shape=saved.shape)
    for column in range(saved.shape[1]):
        d_positions[:, column] = np.bincount(saved.ages, rows[:, column], saved.shape[0])
    return d_positions
