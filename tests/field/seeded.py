"""Initial logits in the spirit of k-means++: seeds far from each other among the behaviours.

The paper's open end: Li et al., section 5, ask for a better initialisation, and name k-means++
(Arthur and Vassilvitskii 2007). That draws each next seed with a chance that grows with its
distance from those before; here it is the farthest one (max-min, Gonzalez 1985), so that nothing is
drawn. On the votes v of a user, with cos their cosine:

    first seed    the last behaviour
    next seed     the behaviour whose largest cosine with the seeds so far is the smallest,
                  the later one of two
    logits        scale x cos(v_l, seed_k)

They take the place of the logits that would be drawn, and are constants: no gradient goes through
the choice or the cosine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import routing
from mindref.ops.votes import project
from mindref.shapes import Array, Bools, Ints


def seeds(unit: Array, mask: Bools, many: int) -> Ints:
    """Return the places of the seeds (B, K) among vectors of length one (B, L, D)."""
    users, places = np.arange(len(unit)), np.arange(unit.shape[1])
    found = np.empty((len(unit), many), np.int64)
    found[:, 0] = np.where(mask, places, 0).max(axis=1, initial=0)
    nearest = np.full(mask.shape, -np.inf, unit.dtype)
    for k in range(1, many):
        seed = unit[users, found[:, k - 1]]
        nearest = np.maximum(nearest, np.einsum("bld,bd->bl", unit, seed))
        far = np.where(mask, nearest, np.inf)[:, ::-1]
        found[:, k] = unit.shape[1] - 1 - far.argmin(axis=1)
    return found


def seeded_logits(votes: Array, mask: Bools, many: int, scale: float) -> Array:
    """Return the logits (B, L, K) for votes (B, L, D); zero where a user has no behaviour."""
    length = np.linalg.norm(votes, axis=2, keepdims=True)
    unit = np.where(mask[..., None], votes / np.where(length > 0, length, 1), 0)
    if not unit.shape[1]:
        return np.zeros((*mask.shape, many), votes.dtype)
    chosen = unit[np.arange(len(unit))[:, None], seeds(unit, mask, many)]
    return (scale * np.einsum("bld,bkd->blk", unit, chosen)).astype(votes.dtype)


class Routing:
    """routing of the reference from seeded logits; to a context, which is alone, all are one."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.backward = routing.backward

    def forward(
        self,
        history: Array,
        mask: Bools,
        bilinear: Array,
        init_logits: Array,
        *rest: Any,
        **more: Any,
    ) -> Any:
        """Return what `routing.forward` does from other logits than those that are given."""
        votes = project(np.where(mask[..., None], history, 0), bilinear)
        logits = seeded_logits(votes, mask, init_logits.shape[2], self.scale)
        return routing.forward(history, mask, bilinear, logits, *rest, **more)
