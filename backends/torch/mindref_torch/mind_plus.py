"""The parts of mind_plus that MIND lacks: weights by age, contexts, and item vectors as votes.

Spec: specs/mind_plus.md. `MIND` and the exported user tower call these functions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.config import Config
from mindref.errors import ShapeError, say
from mindref.models.mind_plus import ages
from mindref_torch.embedding import check_row_indices
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.routing import project_votes
from mindref_torch.shapes import bind_axes, dtype_name


def item_votes(bilinear: Tensor, vectors: Tensor, config: Config) -> Tensor:
    """Return the votes S e (..., D) of item vectors (..., D); or the vectors (mind_plus-R8)."""
    return project_votes(vectors, bilinear) if config.votes == "matrix" else vectors


def weigh_by_age(positions: Tensor | None, mask: Tensor, config: Config) -> Tensor | None:
    """Return the log weights (B, L, K + M) of interests and contexts, or None if all are zero.

    Routing computes the contexts as capsules whose coupling weights are one (mind_plus-R6, R7).
    MIND has no positions.
    """
    if positions is None or positions.shape[1] == 0:  # mind_plus-R3
        return None
    log_weights = look_up_log_weights(positions, mask)
    num_columns = positions.shape[1] - config.contexts
    if num_columns == config.interests:
        return log_weights
    interest_weights, context_weights = log_weights.split([num_columns, config.contexts], 2)
    if config.recency == "none":
        interest_weights = log_weights.new_zeros(*mask.shape, 1)
    return torch.cat([interest_weights.expand(-1, -1, config.interests), context_weights], 2)


@compute_in_float32
def look_up_log_weights(positions: Tensor, mask: Tensor) -> Tensor:
    """Return rows (B, L, C) of positions (W, C) by the age of each behaviour (mind_plus-R19).

    Padding has any row, because routing ignores log weights at padding (routing-R34).
    """
    # mind_plus-R1: the number of later behaviours
    behaviour_ages = mask.flip(1).cumsum(1).flip(1) - 1
    # the gradient of F.embedding takes twice as long
    rows = positions.index_select(0, behaviour_ages.clamp(min=0).flatten())
    return rows.view(*mask.shape, positions.shape[1])


def check_ages(positions: Tensor, mask: Tensor, config: Config) -> None:
    """Raise ShapeError if a behaviour is older than the last row of positions (mind_plus-R5).

    Also raises it for a number of columns that does not fit the settings.
    """
    shape, count = tuple(positions.shape), ages.columns(config)
    if shape[1:] != (count,):
        raise ShapeError(say("mind_plus: positions", f"{count} columns", f"shape {shape}"))
    oldest = mask.sum(1) - 1
    check_row_indices("positions", oldest[oldest >= 0], len(positions))


def apply_dropout(history: Tensor, keep: Tensor | None) -> Tensor:
    """Return the behaviours' vectors (B, L, D) times the factors keep (B, L, D), if there are any.

    Raises ShapeError for another shape or dtype of the factors.
    """
    if keep is None:  # mind_plus-R16
        return history
    bind_axes("mind_plus", history=(history, "BLD"), keep=(keep, "BLD"))
    if keep.dtype != history.dtype:
        expected, got = dtype_name(history.dtype), dtype_name(keep.dtype)
        raise ShapeError(say("mind_plus: keep", f"factors of dtype {expected}", got))
    return history * keep  # mind_plus-R14
