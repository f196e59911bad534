"""What settings change that choose a family of models, or that some families alone know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.models import maxmf, mind_plus
from mindref.models.family import family_of
from mindref.models.parameters import flatten
from mindref.recommender.trainer import Trainer
from tests import effects
from tests.effects import Effect, every, is_now
from tests.runs import trainer

PLUS: dict[str, Any] = {"model": "mind_plus"}


def half_the_size(plain: Trainer, changed: Trainer) -> None:
    """Tables and S start at half of what they were, layers as before."""
    before, after = (flatten(made.state.params) for made in (plain, changed))
    for name, x in before.items():
        share = 1 if name.startswith("layers") else 0.5
        np.testing.assert_allclose(after[name], share * x, rtol=1e-6, err_msg=name)


def half_is_dropped(plain: Trainer, changed: Trainer) -> None:
    keep = effects.fed(changed).keep
    assert set(np.unique(keep)) == {0, 2}
    assert 0.45 < np.mean(keep == 0) < 0.55
    assert effects.fed(plain).keep is None
    effects.in_training_alone(plain, changed)


def items_for_votes(plain: Trainer, changed: Trainer) -> None:
    """The same as an S that is the identity; there is no S."""
    effects.in_both(plain, changed)
    identity = plain.state.params._replace(bilinear=np.eye(8, dtype=np.float32))
    plain.state = plain.state._replace(params=identity)
    assert effects.loss(changed) == pytest.approx(effects.loss(plain), rel=1e-6)
    assert changed.state.params.bilinear.size == 0


def capsules_and_layers(plain: Trainer, changed: Trainer) -> None:
    """Residual: what the layers make, added to the capsules, which are the interests of none."""
    effects.in_both(plain, changed)
    bare = trainer(model="mind_plus", head="none")
    sums = effects.served(bare).vectors + effects.served(plain).vectors
    np.testing.assert_allclose(effects.served(changed).vectors, sums, rtol=1e-5, atol=1e-6)


def bare_capsules(plain: Trainer, changed: Trainer) -> None:
    effects.in_both(plain, changed)
    assert changed.state.params.layers == ()
    assert np.linalg.norm(effects.served(changed).vectors, axis=-1).max() < 1


def columns(made: Trainer) -> int:
    """Return how many log weights an age has."""
    return made.state.params.positions.shape[1]


def params(made: Trainer) -> tuple[Any, ...]:
    """Return the type of the parameters, and the names of a family that has only names."""
    if not family_of(made.config.model).by_steps:
        made.train()
    found = made.state.params
    return (dict, *sorted(found)) if isinstance(found, dict) else (type(found),)


KINDS: dict[str, tuple[Any, ...]] = {
    "maxmf": (maxmf.Params,),
    "wals": (dict, "alpha", "items", "regularization"),
    "item_knn": (dict, "data", "indices", "indptr"),
    "popularity": (dict, "counts"),
    "random": (dict, "count"),
}

POOLED = Effect("pooled", effects.in_training_alone, PLUS)

EFFECTS: dict[str, list[Effect]] = {
    "init_scale": [Effect(0.5, half_the_size)],
    "model": [
        Effect("mind_plus", is_now(mind_plus.Params, lambda made: type(made.state.params))),
        Effect("youtube_dnn", is_now(1, lambda made: effects.served(made).vectors.shape[1])),
        *[Effect(name, is_now(kind, params)) for name, kind in KINDS.items()],
    ],
    "sharpness": [
        Effect(float("inf"), effects.in_training_alone, {**PLUS, "attention": "pooled"}),
        Effect(0.0, effects.in_training_alone, {**PLUS, "attention": "pooled"}),
    ],
    "recency": [
        Effect("shared", every(effects.in_both, is_now(1, columns)), PLUS),
        Effect("interests", every(effects.in_both, is_now(4, columns)), PLUS),
    ],
    "votes": [Effect("items", items_for_votes, PLUS)],
    "head": [Effect("residual", capsules_and_layers, PLUS), Effect("none", bare_capsules, PLUS)],
    "contexts": [
        Effect(
            2,
            every(
                effects.in_both,
                is_now(2, columns),
                is_now(24, lambda made: len(made.state.params.layers[0].weight)),
            ),
            PLUS,
        )
    ],
    "dropout": [Effect(0.5, half_is_dropped, PLUS)],
}
