"""Every setting in a complete training: its effect, and the size of the effect.

An effect holds another value than that of the small log's settings (or of `base`), and a check
that is given two trainers, one without and one with that value. A setting without one is an error.
tests/models/test_families.py compares the models with loops over numbers under each of their
options. The checks of these options are therefore that training, serving or both change.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from mindref.config import Config
from mindref.models import mind, serving
from mindref.models.family import family_of
from mindref.models.parameters import ScoreTerms, flatten, flatten_gradients
from mindref.models.registry import RECALL_FAMILIES
from mindref.recommender import evaluate_run
from mindref.recommender.training.trainer import Trainer
from mindref.training.batch_loader import BatchLoader
from tests.runs import stepped, trainer

Check = Callable[[Trainer, Trainer], None]


class Effect(NamedTuple):
    """A changed value, the check of two trainers, and the settings of both."""

    value: Any
    check: Check
    base: dict[str, Any] = {}  # noqa: RUF012  # never changed


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


def in_own_counts(plain: Trainer, changed: Trainer) -> None:
    """Check that validation chooses a term of own counts where lists may have seen items."""
    before = ScoreTerms(own_counts=9.0, decay=0.9)
    for made, has_term in ((plain, False), (changed, True)):
        cases = made.evaluation_set(made.prepared.split.validation)
        for exclude_seen in (False, True):
            given = cases._replace(exclude_seen=exclude_seen)
            validator = evaluate_run.Validator(made.model(), given, made.backend)
            validator.terms = before
            validator(made.best)
            assert (validator.terms != before) == (has_term and not exclude_seen)


def in_popularity(plain: Trainer, changed: Trainer) -> None:
    """Check that the exponent of popularity is chosen for the best parameters."""
    for made, expected in ((plain, 0.0), (changed, 0.5)):
        made.validator.choose_popularity = lambda params, terms: terms._replace(popularity=0.5)
        made.choose_terms()
        assert made.terms.popularity == expected


PLUS: dict[str, Any] = {"model": "mind_plus"}
KNN: dict[str, Any] = {"model": "item_knn"}
WALS: dict[str, Any] = {"model": "wals", "sweeps": 2}

ADAM = {
    "learning_rate": 0.05, "decay": "linear", "beta1": 0.9, "beta2": 0.99, "epsilon": 0.1,
    "dtype": "float64", "backend": "numpy",
}  # fmt: skip


def after_two_steps(name):
    """Return a function: a parameter after two of seven steps.

    tests/training/test_optimiser.py and tests/kernels compare the steps with the formula.
    """

    def train(made):
        for step in range(2):
            stepped(made, batch(made, step))
        return flatten(made.state.params)[name]

    return train


in_two_steps = another(after_two_steps("bilinear"))


def validations(made):
    return [validation.step for validation in made.train().validations]


def ends(before, after):

    def check(plain, changed):
        assert (validations(plain), validations(changed)) == (before, after)

    return check


def stands_still(plain, changed):
    for made in (plain, changed):
        made.validate = lambda params: 0.5
    assert (validations(plain), validations(changed)) == ([3, 6, 7], [3, 6])


def types(made):
    """Return the dtypes of all floating-point arrays, from parameters to served vectors."""
    visited, params = batch(made), flatten(made.state.params)
    logs = (visited.target_log_expected, visited.negative_log_expected)
    arrays = [*params.values(), *made.state.moments.first.values(), visited.histories.init_logits]
    arrays += [*logs, served(made).vectors, serving.item_matrix(made.model())]
    return {x.dtype.name for x in arrays}


def asked(plain, changed):
    """The other backend computes the step, and the validation after it."""
    calls = changed.backend.calls
    changed.validate(changed.best)
    assert (calls["routing"], "routing backward" in calls) == (1, False)
    stepped(changed, batch(changed))
    assert (calls["routing"], calls["routing backward"]) == (2, 1)


def histories(made):
    return batch(made).histories


def served_size(axis):
    """Return a function: the size of an axis of the served vectors."""
    return lambda made: served(made).vectors.shape[axis]


def size(name, axis):
    """Return a function: the size of an axis of a parameter."""
    return lambda made: getattr(made.state.params, name).shape[axis]


def validated(made):
    return made.validate(made.best)


EFFECTS: dict[str, list[Effect]] = {
    "init_scale": [Effect(0.5, in_both)],
    "model": [Effect(name, another_family) for name in RECALL_FAMILIES if name != "mind"],
    "sharpness": [
        Effect(float("inf"), in_training_alone, {**PLUS, "attention": "pooled"}),
        Effect(0.0, in_training_alone, {**PLUS, "attention": "pooled"}),
    ],
    "recency": [
        Effect("shared", every(in_both, is_now(1, size("positions", 1))), PLUS),
        Effect("interests", every(in_both, is_now(4, size("positions", 1))), PLUS),
    ],
    "votes": [Effect("items", every(in_both, is_now(0, size("bilinear", 0))), PLUS)],
    "head": [
        Effect("residual", in_both, PLUS),
        Effect("none", every(in_both, is_now((), lambda m: m.state.params.layers)), PLUS),
    ],
    "contexts": [
        Effect(
            2,
            every(
                in_both,
                is_now(2, size("positions", 1)),
                is_now(24, lambda m: len(m.state.params.layers[0].weight)),
            ),
            PLUS,
        )
    ],
    "dropout": [Effect(0.5, in_training_alone, PLUS)],
    "dropout_by_density": [Effect(True, is_now(0.5, lambda made: made.config.dropout), PLUS)],
    "initial_matrices": [Effect("identity", in_both, PLUS)],
    "own_counts_term": [Effect(True, in_own_counts, PLUS)],
    "popularity_term": [Effect(True, in_popularity, PLUS)],
    "pair_loss": [Effect("auc", in_training_alone, {"model": "maxmf"})],
    "similarity": [Effect(name, in_fit, KNN) for name in ("tfidf", "cosine")],
    "neighbours": [Effect(3, in_fit, KNN)],
    "k1": [Effect(50.0, in_fit, KNN)],
    "b": [Effect(0.0, in_fit, KNN)],
    "regularization": [Effect(5.0, in_fit, WALS)],
    "confidence": [Effect(20.0, in_fit, WALS)],
    "sweeps": [Effect(1, in_fit, WALS)],
    "history_decay": [Effect(0.5, in_fit, base) for base in (KNN, WALS)],
    "interests": [
        Effect(2, is_now(2, lambda m: histories(m).init_logits.shape[2], served_size(1)))
    ],
    "width": [Effect(5, is_now(5, size("items", 1), size("bilinear", 0), served_size(2)))],
    "window": [
        Effect(
            3,
            is_now(
                3,
                lambda m: histories(m).items.shape[1],
                lambda m: served(m).mask.sum(axis=1).max(),
            ),
        )
    ],
    "iterations": [Effect(1, in_both)],
    "sigma": [Effect(0.2, in_both, {"logits": name}) for name in ("keyed", "fixed", "per_call")],
    "logits": [
        Effect("fixed", another(lambda made: histories(made).init_logits)),
        Effect("per_call", in_serving),
    ],
    "interest_count": [Effect("fixed", in_both)],
    "routing": [Effect("uniform", in_both)],
    "routing_axis": [Effect("behaviours", in_both)],
    "routing_gradient": [Effect("all", another_gradient)],
    "squash": [Effect("unit", in_both), Effect("none", in_both)],
    "hidden": [
        Effect((5, 6), is_now([5, 6, 8], lambda m: [len(x.bias) for x in m.state.params.layers]))
    ],
    "last_relu": [Effect(True, in_both)],
    "attention": [Effect("mean", in_training_alone), Effect("pooled", in_training_alone, PLUS)],
    "power": [Effect(x, in_training_alone) for x in (0.0, 2.0)],
    "score": [Effect("sum", another(scores))],
    "loss": [Effect("full", another(lambda made: batch(made).negatives))],
    "temperature": [Effect(1e6, in_training, {"loss": "full"})],
    "normalise": [Effect(True, in_both)],
    "item_features": [
        Effect(
            ("shelf",),
            every(in_both, is_now(2, lambda m: m.prepared.task.catalogue.rows.shape[1])),
        )
    ],
    "user_features": [
        Effect(("age",), every(in_both, is_now(1, lambda m: histories(m).profile.shape[1])))
    ],
    "profile_width": [Effect(3, is_now(3, size("profile", 1)), {"user_features": ("age",)})],
    "negatives": [Effect(24, is_now(24, lambda m: len(batch(m).negatives)))],
    "sampler": [
        Effect("uniform", by_probability),
        Effect("log_uniform", another(lambda made: batch(made).negatives)),
        Effect(
            "in_batch", is_now(True, lambda m: np.array_equal(batch(m).negatives, batch(m).target))
        ),
    ],
    "alpha": [Effect(alpha, by_probability) for alpha in (0.0, 2.0)],
    "target_sampling": [
        Effect("user", another(lambda made: batch(made).target), {"sampler": "in_batch"})
    ],
    "basket_histories": [
        Effect(True, is_now(True, lambda m: m.prepared.task.history_lengths is not None))
    ],
    "batch": [Effect(24, is_now(24, lambda m: len(batch(m).target)))],
    "epochs": [Effect(50, is_now(1156, lambda made: made.config.steps))],
    "steps": [Effect(5, ends([3, 6, 7], [3, 5]))],
    "learning_rate": [Effect(0.02, in_two_steps, ADAM)],
    "decay": [Effect("none", in_two_steps, ADAM)],
    "dense_rate": [Effect(0.1, another(after_two_steps("bilinear")), ADAM)],
    "adam": [Effect("dense", another(after_two_steps("items")), ADAM)],
    "beta1": [Effect(0.5, in_two_steps, ADAM)],
    "beta2": [Effect(0.5, in_two_steps, ADAM)],
    "epsilon": [Effect(0.01, in_two_steps, ADAM)],
    "evaluate_every": [
        Effect(2, ends([3, 6, 7], [2, 4, 6, 7])),
        Effect(0, ends([3, 6, 7], [1, 2, 3, 4, 5, 6, 7])),
    ],
    "patience": [Effect(1, stands_still)],
    "metric": [Effect("mrr@30", another(validated))],
    "validation_users": [Effect(7, another(validated), {"metric": "mrr@30"})],
    "test_users": [Effect(9, is_now(9, lambda made: made.evaluate()["cases"]))],
    "seed": [
        Effect(
            1,
            every(
                another(lambda m: m.state.params.items),
                another(lambda m: batch(m).target),
                another(lambda m: histories(m).init_logits),
                in_serving,
            ),
        )
    ],
    "dtype": [Effect("float64", is_now({"float64"}, types))],
    "backend": [Effect("tests.test_backend:Counting", asked)],
}
ROWS = [(name, effect) for name, some in EFFECTS.items() for effect in some]


def test_every_setting_has_an_effect():
    assert set(EFFECTS) == {setting.name for setting in dataclasses.fields(Config)}


@pytest.mark.rules("model-R29")
@pytest.mark.parametrize(
    ("name", "effect"), ROWS, ids=[f"{name}-{effect.value}" for name, effect in ROWS]
)
def test_a_setting_has_the_effect_in_its_help_text(name, effect):
    plain = trainer(**effect.base)
    assert getattr(plain.config, name) != effect.value
    effect.check(plain, trainer(**{**effect.base, name: effect.value}))
