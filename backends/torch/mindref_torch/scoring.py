"""Scores of items for users: the level `serve`. Spec: specs/backend.md, specs/recall.md."""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.shapes import Array, Bools
from mindref_torch.arrays import to_tensor
from mindref_torch.shapes import bind_axes, require_bool, require_float_dtype


def score_arrays(interests: Array, active: Bools, items: Array, device: str = "cpu") -> Tensor:
    """Return `score_items` of NumPy arrays, as a tensor on a device."""
    with torch.no_grad():
        return score_items(*(to_tensor(x, device) for x in (interests, active, items)))


def score_items(interests: Tensor, active: Tensor, items: Tensor) -> Tensor:
    """Return the score (B, N) of each item: the maximum over the active interests of v_k . e.

    interests (B, K, D), active (B, K), items (N, D). If a user has no active interest, each score
    is minus infinity. Raises ShapeError for wrong shapes or dtypes.
    """
    bind_axes("scores", interests=(interests, "BKD"), active=(active, "BK"), items=(items, "ND"))
    require_float_dtype("scores", interests=interests, items=items)
    require_bool("scores", active=active)
    masked = ~active[:, :, None]
    products = interests.masked_fill(masked, 0) @ items.T  # backend-R25
    if not active.shape[1]:
        return products.new_full((len(active), len(items)), -torch.inf)  # backend-R26
    return products.masked_fill(masked, -torch.inf).amax(1)  # backend-R24
