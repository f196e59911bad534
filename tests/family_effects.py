"""What settings change that choose a family of models, or that some families alone know."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.data.log import Ragged
from mindref.models import item_knn, maxmf, mind_plus, serving, wals
from mindref.models.family import family_of
from mindref.models.parameters import flatten
from mindref.recommender.training.trainer import Trainer
from tests import effects
from tests.effects import Effect, every, is_now

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


def columns(made: Trainer) -> int:
    return made.state.params.positions.shape[1]


def matrix(made: Trainer) -> int:
    return made.state.params.bilinear.size


def inputs(made: Trainer) -> int:
    return len(made.state.params.layers[0].weight)


def params(made: Trainer) -> tuple[Any, ...]:
    """Return the type of the parameters, and the names of a family that has only names."""
    if not family_of(made.config.model).by_steps:
        made.train()
    found = made.state.params
    return (dict, *sorted(found)) if isinstance(found, dict) else (type(found),)


def answers(made: Trainer) -> Any:
    """Return the vectors of some users, or their scores by a family without vectors."""
    if made.config.model == "wals":
        return effects.served(made).vectors[:SOME, 0]
    known = made.prepared.split.test.histories
    return np.concatenate(list(serving.score_histories(made.model(), known)))[:SOME]


def fits_and_answers(plain: Trainer, changed: Trainer) -> None:
    """Arrays and answers are those of the family's functions with the settings as arguments.

    tests/models compares these functions with loops over numbers.
    """
    for made in (plain, changed):
        made.train()
        task, config, known = made.prepared.task, made.config, made.prepared.split.test.histories
        expected: Any
        if config.model == "wals":
            numbers = {"regularization": config.regularization, "alpha": config.confidence}
            numbers |= {"factors": config.width, "iterations": config.sweeps}
            expected = wals.fit_wals(task.sequences, task.sizes, config, **numbers)
        else:
            names = ("similarity", "neighbours", "k1", "b")
            numbers = {name: getattr(config, name) for name in names}
            expected = item_knn.fit_item_knn(task.sequences, task.sizes, config, **numbers)
        np.testing.assert_equal(made.state.params, expected)
        histories = Ragged.of([known.row(at)[-config.window :] for at in range(SOME)])
        serve = wals.user_factors if config.model == "wals" else item_knn.score_neighbours
        served: Any = serve(expected, histories, config, decay=config.history_decay)
        vectors = served[0][:, 0] if config.model == "wals" else served
        np.testing.assert_allclose(answers(made), vectors, rtol=1e-6)
    assert not np.allclose(answers(plain), answers(changed), rtol=1e-4)


def mean_of_hinges(plain: Trainer, changed: Trainer) -> None:
    fed, task = effects.fed(changed), changed.prepared.task
    given = changed.state.params, fed, task.catalogue
    assert effects.loss(changed) == maxmf.loss(*given, plain.config, pair_loss="auc")[0]
    expected = [np.isin(fed.shared.negatives, task.sequences.row(int(row))) for row in fed.rows]
    np.testing.assert_array_equal(fed.is_known, expected)
    effects.in_training_alone(plain, changed)


SOME = 12  # users whose answers are compared
KNN: dict[str, Any] = {"model": "item_knn"}
WALS: dict[str, Any] = {"model": "wals", "sweeps": 2}
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
    "votes": [Effect("items", every(effects.in_both, is_now(0, matrix)), PLUS)],
    "head": [
        Effect("residual", effects.in_both, PLUS),
        Effect("none", every(effects.in_both, is_now((), lambda m: m.state.params.layers)), PLUS),
    ],
    "contexts": [Effect(2, every(effects.in_both, is_now(2, columns), is_now(24, inputs)), PLUS)],
    "dropout": [Effect(0.5, half_is_dropped, PLUS)],
    "pair_loss": [Effect("auc", mean_of_hinges, {"model": "maxmf"})],
    "similarity": [Effect(name, fits_and_answers, KNN) for name in ("tfidf", "cosine")],
    "neighbours": [Effect(3, fits_and_answers, KNN)],
    "k1": [Effect(50.0, fits_and_answers, KNN)],
    "b": [Effect(0.0, fits_and_answers, KNN)],
    "regularization": [Effect(5.0, fits_and_answers, WALS)],
    "confidence": [Effect(20.0, fits_and_answers, WALS)],
    "sweeps": [Effect(1, fits_and_answers, WALS)],
    "history_decay": [Effect(0.5, fits_and_answers, base) for base in (KNN, WALS)],
}
