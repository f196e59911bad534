"""Small worlds for MaxMF, and the model once more in loops over plain numbers, from its page."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance import strategies
from mindref.models import maxmf, mind
from mindref.models.parameters import Catalogue
from tests.models import worlds as of_mind
from tests.naive import dot, weighted

USERS = 4
POOL = (2, 1, 3, 5, 4, 6, 7, 8)


class World(NamedTuple):
    """Everything that a call of the model needs."""

    params: maxmf.Params
    batch: maxmf.Batch
    catalogue: Catalogue
    config: Config


def world(rng: np.random.Generator, axes: tuple[int, ...], mask: Any = None, **plain: Any) -> World:
    """Make a world of B pairs, L places, K interests and width D, with what repeats in MIND's."""
    mind_world = of_mind.world(rng, axes, mask, **plain)
    b, _, k, d = axes
    shapes = (of_mind.ROWS, d), (USERS * k, d)
    dtype = mind_world.config.dtype
    params = maxmf.Params(*(rng.standard_normal(shape).astype(dtype) for shape in shapes))
    batch = maxmf.Batch(mind_world.batch, rng.integers(0, USERS, b))
    return World(params, batch, mind_world.catalogue, mind_world.config)


@st.composite
def worlds(draw: st.DrawFn, **plain: Any) -> World:
    """Draw a world: sizes and mask."""
    axes = draw(strategies.distinct_sizes(4, POOL))
    return world(draw(strategies.generators()), axes, draw(strategies.masks(*axes[:2])), **plain)


def one_pair(at_target: float, negatives: list[float], items: int, pair_loss: str) -> float:
    """The loss of a pair, from the scores of its usable negatives in the order of its trials."""
    hinges = [max(0.0, 1 - at_target + score) for score in negatives]
    if pair_loss == "auc":
        return sum(hinges) / max(1, len(hinges))
    for trial, hinge in enumerate(hinges, start=1):
        if hinge > 0:
            rank = max(1, (items - 1) // trial)
            return hinge * sum(1 / j for j in range(1, rank + 1))
    return 0.0


def item(params: maxmf.Params, catalogue: Catalogue, i: int) -> list[float]:
    rows = [params.items[row] for row in catalogue.rows[i]]
    return weighted(catalogue.weights[i], rows, params.items.shape[1])


def losses(w: World, pair_loss: str = "warp") -> list[float]:
    """The loss of each pair of the batch."""
    shared, count = w.batch.shared, w.config.interests
    pairs, drawn = len(w.batch.rows), len(shared.negatives)
    found = []
    for b in range(pairs):
        first = w.batch.rows[b] * count
        vectors = w.params.users[first : first + count]

        def score(i: int, vectors: Any = vectors) -> float:
            return max(dot(v, item(w.params, w.catalogue, i)) for v in vectors)

        own = {*shared.histories.items[b][shared.histories.mask[b]], shared.target[b]}
        begin = b * drawn // pairs
        tried = [*shared.negatives[begin:], *shared.negatives[:begin]]
        scores = [score(s) for s in tried if s not in own]
        found.append(one_pair(score(shared.target[b]), scores, len(w.catalogue.rows), pair_loss))
    return found


def served(w: World) -> tuple[Any, Any]:
    """The interests and active of the histories of a world."""
    histories: mind.Histories = w.batch.shared.histories
    return maxmf.fit_interests(w.params, histories, w.catalogue, w.config)[:2]
