"""What settings change in models and batches: checks of two trainers, without and with a value.

tests/models/test_families.py compares the models with loops over numbers under each of their
options. The checks of these options are therefore that training, serving or both change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mindref.models import mind, serving
from mindref.models.family import family_of
from mindref.models.parameters import flatten, flatten_gradients
from mindref.recommender import evaluate_run
from mindref.recommender.training.trainer import Trainer
from mindref.training.batch_loader import BatchLoader

Check = Callable[[Trainer, Trainer], None]


class Effect(NamedTuple):
    """A changed value, the check of two trainers, and the settings of both."""

    value: Any
    check: Check
    base: dict[str, Any] = {}  # noqa: RUF012  # nobody writes to it


def family_batch(made: Trainer, step: int = 0) -> Any:
    """Return the batch of a step, in the form of the family."""
    return BatchLoader(made.prepared.task, made.config).batch(step)


def batch(made: Trainer, step: int = 0) -> mind.Batch:
    """Return the part of a batch that all families share."""
    drawn = family_batch(made, step)
    return drawn if isinstance(drawn, mind.Batch) else drawn[0]


def loss(made: Trainer) -> float:
    """Return the loss of the first step; nothing is changed."""
    task, config = made.prepared.task, made.config
    family = family_of(config.model)
    return float(family.loss(made.state.params, family_batch(made), task.catalogue, config)[0])


def served(made: Trainer) -> serving.Interests:
    """Return the interests of the test cases."""
    cases = made.evaluation_set(made.prepared.split.test)
    return serving.compute_interests(
        made.model(), cases.cases.histories, cases.profiles, couplings=True
    )


def scores(made: Trainer) -> Any:
    """Return the scores of the lists of the test cases."""
    cases = made.evaluation_set(made.prepared.split.test)
    return evaluate_run.recommend_cases(made.model(), cases, 5)[0].scores


def fitted_scores(made: Trainer) -> Any:
    """Return the scores of a model that is fitted in one pass."""
    made.train()
    return scores(made)


def gradient(made: Trainer) -> Any:
    """Return the gradient of the bilinear matrix in the first step."""
    drawn = batch(made, made.state.moments.step)
    _, saved = mind.loss(made.state.params, drawn, made.prepared.task.catalogue, made.config)
    return flatten_gradients(mind.backward(saved))["bilinear"]


def parameter_names(made: Trainer) -> list[str]:
    """Return the names of the parameters of a trained model."""
    if not family_of(made.config.model).by_steps:
        made.train()
    return sorted(flatten(made.state.params))


def another(path: Callable[[Trainer], Any]) -> Check:
    """Return the check that two trainers have different values."""

    def check(plain: Trainer, changed: Trainer) -> None:
        before, after = np.asarray(path(plain)), np.asarray(path(changed))
        assert before.shape != after.shape or not np.allclose(before, after, rtol=1e-4)

    return check


def is_now(value: Any, *paths: Callable[[Trainer], Any]) -> Check:
    """Return the check that the changed trainer has this value, and the other another one."""

    def check(plain: Trainer, changed: Trainer) -> None:
        for path in paths:
            assert path(changed) == value
            assert path(plain) != value

    return check


def every(*checks: Check) -> Check:
    """Return the conjunction of checks."""

    def check(plain: Trainer, changed: Trainer) -> None:
        for some in checks:
            some(plain, changed)

    return check


in_training = another(loss)
in_serving = another(lambda made: served(made).vectors)
in_both = every(in_training, in_serving)
by_probability = another(lambda made: batch(made).negative_log_expected)
in_fit = another(fitted_scores)


def in_training_alone(plain: Trainer, changed: Trainer) -> None:
    """Check that only the loss changes."""
    in_training(plain, changed)
    np.testing.assert_array_equal(served(plain).vectors, served(changed).vectors)


def another_gradient(plain: Trainer, changed: Trainer) -> None:
    """Check that only the gradient changes."""
    assert loss(plain) == loss(changed)
    another(gradient)(plain, changed)


def another_family(plain: Trainer, changed: Trainer) -> None:
    """Check that the model has other parameters."""
    assert parameter_names(plain) != parameter_names(changed)


def columns(made: Trainer) -> int:
    return made.state.params.positions.shape[1]


def matrix(made: Trainer) -> int:
    return made.state.params.bilinear.size


def inputs(made: Trainer) -> int:
    return len(made.state.params.layers[0].weight)


PLUS: dict[str, Any] = {"model": "mind_plus"}
KNN: dict[str, Any] = {"model": "item_knn"}
WALS: dict[str, Any] = {"model": "wals", "sweeps": 2}
MODELS = ("mind_plus", "youtube_dnn", "maxmf", "wals", "item_knn", "popularity", "random")
POOLED = Effect("pooled", in_training_alone, PLUS)

FAMILY_EFFECTS: dict[str, list[Effect]] = {
    "init_scale": [Effect(0.5, in_both)],
    "model": [Effect(name, another_family) for name in MODELS],
    "sharpness": [
        Effect(float("inf"), in_training_alone, {**PLUS, "attention": "pooled"}),
        Effect(0.0, in_training_alone, {**PLUS, "attention": "pooled"}),
    ],
    "recency": [
        Effect("shared", every(in_both, is_now(1, columns)), PLUS),
        Effect("interests", every(in_both, is_now(4, columns)), PLUS),
    ],
    "votes": [Effect("items", every(in_both, is_now(0, matrix)), PLUS)],
    "head": [
        Effect("residual", in_both, PLUS),
        Effect("none", every(in_both, is_now((), lambda m: m.state.params.layers)), PLUS),
    ],
    "contexts": [Effect(2, every(in_both, is_now(2, columns), is_now(24, inputs)), PLUS)],
    "dropout": [Effect(0.5, in_training_alone, PLUS)],
    "pair_loss": [Effect("auc", in_training_alone, {"model": "maxmf"})],
    "similarity": [Effect(name, in_fit, KNN) for name in ("tfidf", "cosine")],
    "neighbours": [Effect(3, in_fit, KNN)],
    "k1": [Effect(50.0, in_fit, KNN)],
    "b": [Effect(0.0, in_fit, KNN)],
    "regularization": [Effect(5.0, in_fit, WALS)],
    "confidence": [Effect(20.0, in_fit, WALS)],
    "sweeps": [Effect(1, in_fit, WALS)],
    "history_decay": [Effect(0.5, in_fit, base) for base in (KNN, WALS)],
}
