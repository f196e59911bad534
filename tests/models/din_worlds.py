"""Small worlds of DIN: parameters, a batch, a catalogue with item features, settings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.models import din, mind
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Catalogue, Layer, Sizes
from tests.models.worlds import ITEMS, ROWS, featured

SMALL: dict[str, Any] = {
    "width": 4,
    "profile_width": 2,
    "attention_hidden": (6, 3),
    "hidden": (7, 5),
    "dtype": "float64",
}


class World(NamedTuple):
    """Everything that a call of the model needs."""

    params: din.Params
    batch: din.Batch
    catalogue: Catalogue
    config: DinConfig
    sizes: Sizes


def world(
    rng: np.random.Generator, axes: tuple[int, ...] = (3, 5, 4), mask: Any = None, **settings: Any
) -> World:
    """Make a world of B users, L places and M candidates.

    Six items serve histories and candidates, so that items repeat in both, and candidates stand
    in their own history. Padded places hold ids that no catalogue has.
    """
    b, l, m = axes  # noqa: E741  # the axis letters of specs/notation.md
    config = DinConfig(**{**SMALL, **settings})
    sizes = Sizes(ITEMS, ROWS, profile_rows=5, profile_features=2)
    if mask is None:
        mask = np.arange(l) < rng.integers(0, l + 1, b)[:, None]
    items = np.where(mask, rng.integers(0, ITEMS, (b, l)), rng.choice([-9, 10**6]))
    logits = np.zeros((b, l, 0), config.dtype)
    histories = mind.Histories(items, mask, logits, rng.integers(0, 5, (b, 2)))
    batch = din.Batch(histories, rng.integers(0, ITEMS, (b, m)), rng.random((b, m)) < 0.4)
    params = lively(rng, din.init(rng, config, sizes))
    plain: Any = config  # of which the catalogue asks for the type alone
    return World(params, batch, featured(rng, plain), config, sizes)


def lively(rng: np.random.Generator, params: din.Params) -> din.Params:
    """Return parameters of the size that training reaches: unit items, biases beside zero."""

    def layers(some: tuple[Layer, ...]) -> tuple[Layer, ...]:
        return tuple(
            Layer(x.weight, (0.3 * rng.standard_normal(x.bias.shape)).astype(x.bias.dtype))
            for x in some
        )

    items, profile = (
        rng.standard_normal(x.shape).astype(x.dtype) for x in (params.items, params.profile)
    )
    return din.Params(items, profile, layers(params.attention), layers(params.layers))


def loss(w: World) -> Any:
    """Return loss and saved of a world."""
    return din.loss(w.params, w.batch, w.catalogue, w.config)


def scores(w: World) -> Any:
    """Return the logits of a world."""
    given = w.batch.histories, w.batch.candidates, w.catalogue, w.config
    return din.score_candidates(w.params, *given)
