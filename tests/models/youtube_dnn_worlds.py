"""Small worlds of YouTube DNN: those of MIND, with log-weights by recency or without."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.models import youtube_dnn
from mindref.models.parameters import Layer
from mindref.models.youtube_dnn import Gradients, Params
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from tests.models.worlds import POOL, World, world

OPTIONS: list[dict[str, Any]] = [
    {},
    {"last_relu": True},
    {"temperature": 0.5},
    {"normalise": True, "temperature": 0.3},
]
"""Each setting that the family reads, by itself."""


def of_mind(w: World, rng: np.random.Generator, *, recency: bool) -> World:
    """Return the world with parameters of YouTube DNN in the place of MIND's."""
    mind = w.params
    places = w.batch.histories.mask.shape[1]
    positions = rng.standard_normal((int(recency), places)).astype(w.config.dtype)
    return w._replace(params=Params(mind.items, mind.profile, positions, mind.layers))


def made(seed: int, axes: tuple[int, int, int], mask: Any = None, **settings: Any) -> World:
    """Make a world of B users, L places and width D; `recency` is on unless it is given."""
    recency = settings.pop("recency", True)
    rng = np.random.default_rng(seed)
    users, places, width = axes
    return of_mind(world(rng, (users, places, 2, width), mask, **settings), rng, recency=recency)


@st.composite
def drawn(draw: st.DrawFn, **settings: Any) -> World:
    """Draw a world: sizes, mask, layers, one of `OPTIONS`, with and without log-weights."""
    users, places, width = draw(strategies.distinct_sizes(3, POOL))
    mask = draw(strategies.masks(users, places))
    hidden = draw(st.sampled_from([[9], [], [11, 8]]))
    rng = draw(strategies.generators())
    chosen = {"hidden": hidden, **draw(st.sampled_from(OPTIONS)), **settings}
    assume(width > 1 or not chosen.get("normalise"))  # of length one is a sign there: steps
    w = world(rng, (users, places, 2, width), mask, **chosen)
    return of_mind(w, rng, recency=draw(st.booleans()))


def arrays(params: Params) -> list[Array]:
    """Return every array that is learned."""
    layers = [x for layer in params.layers for x in layer]
    return [params.items, params.profile, params.positions, *layers]


def of_arrays(found: tuple[Array, ...] | list[Array]) -> Params:
    """Return the parameters that `arrays` took apart."""
    items, profile, positions, *rest = found
    layers = tuple(Layer(*rest[i : i + 2]) for i in range(0, len(rest), 2))
    return Params(items, profile, positions, layers)


def dense(gradients: Gradients, params: Params) -> list[Array]:
    """Return gradients as whole arrays, in the order of `arrays`."""
    items, profile = (
        table.dense(len(whole)) if isinstance(table, RowGradient) else table
        for table, whole in zip(gradients[:2], params[:2], strict=True)
    )
    layers = [x for layer in gradients.layers for x in layer]
    return [items, profile, gradients.positions, *layers]


def loss_of(w: World) -> Any:
    return youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)[0]
