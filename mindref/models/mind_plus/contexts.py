"""Contexts: weighted sums over all behaviours of a user, with learned weights by age.

Spec: specs/mind_plus.md, step 5.
"""

from __future__ import annotations

import numpy as np

from mindref.config import Config
from mindref.ops import Operators, routing
from mindref.shapes import Array, Bools


def forward(
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


def backward(
    d_contexts: Array, saved: routing.Saved | None, ops: Operators
) -> tuple[Array, ...] | None:
    """Return d_history (B, L, D), d_matrix (D, D) and d_log_weights (B, L, M)."""
    if saved is None:
        return None
    users, _, contexts = saved.couplings.shape
    d_out = d_contexts.reshape(users, contexts, -1)
    d_history, d_matrix, _, d_log_weights = ops.routing.backward(d_out, saved)
    return d_history, d_matrix, d_log_weights
