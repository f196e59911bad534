"""Scores of items for users: the reference of the level `serve`.

Spec: specs/backend.md, R24 to R26, and specs/recall.md, R1 and R2.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from mindref.shapes import Array, Bools, bind_axes, common_float_dtype, require_bool


def score_items(interests: Array, active: Bools, items: Array) -> Array:
    """Return the score (B, N) of each item: the maximum over the active interests of v_k . e.

    interests (B, K, D), active (B, K), items (N, D). If a user has no active interest, each score
    is minus infinity. Raises ShapeError for inconsistent shapes, or other dtypes.
    """
    axes = {"interests": (interests, "BKD"), "active": (active, "BK"), "items": (items, "ND")}
    bind_axes("scores", **axes)  # backend-R27
    common_float_dtype("scores", interests=interests, items=items)  # backend-R27
    require_bool("scores", active=active)  # backend-R27
    used = np.where(active[:, :, None], interests, 0)  # backend-R25
    products = np.einsum("bkd,nd->bkn", used, items)
    allowed = np.where(active[:, :, None], products, -np.inf)  # backend-R26
    if not active.shape[1]:
        return np.full((len(active), len(items)), -np.inf, items.dtype)
    return reduce(np.maximum, [allowed[:, k] for k in range(active.shape[1])])  # backend-R24
