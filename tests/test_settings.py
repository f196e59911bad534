"""Every setting in a complete training: its effect, and the size of the effect.

An effect holds another value than that of the small log's settings (or of `base`), and a check
that is given two trainers, one without and one with that value. A setting without one is an error.
"""

import dataclasses

import numpy as np
import pytest

from mindref.config import Config
from mindref.models import serving
from mindref.models.parameters import flatten
from tests import effects
from tests.effects import Effect, another, batch, every, is_now
from tests.runs import stepped, trainer

ADAM = {
    "learning_rate": 0.05, "decay": "linear", "beta1": 0.9, "beta2": 0.99, "epsilon": 0.1,
    "dtype": "float64", "backend": "numpy",
}  # fmt: skip


def after_two_steps(made):
    """Return a parameter after two of seven steps."""
    for step in range(2):
        stepped(made, batch(made, step))
    return flatten(made.state.params)["bilinear"]


def items_after_two_steps(made):
    """Return the item vectors after two of seven steps."""
    after_two_steps(made)
    return flatten(made.state.params)["items"]


def adam(value):
    """Return the effect of a setting of Adam, with the reference.

    tests/training/test_optimiser.py and tests/kernels compare the steps with the formula.
    """
    return [Effect(value, another(after_two_steps), ADAM)]


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


def ends_by_time(plain, changed):
    assert (validations(plain), validations(changed)) == ([3, 6, 7], [1])


def types(made):
    """Return the dtypes of all floating-point arrays, from parameters to served vectors."""
    visited, params = batch(made), flatten(made.state.params)
    logs = (visited.target_log_expected, visited.negative_log_expected)
    arrays = [*params.values(), *made.state.moments.first.values(), visited.histories.init_logits]
    arrays += [*logs, effects.served(made).vectors, serving.item_matrix(made.model())]
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


def longest(made):
    return effects.served(made).mask.sum(axis=1).max()


def served_size(axis):
    """Return a function: the size of an axis of the served vectors."""
    return lambda made: effects.served(made).vectors.shape[axis]


def size(name, axis):
    """Return a function: the size of an axis of a parameter."""
    return lambda made: getattr(made.state.params, name).shape[axis]


def widths(made):
    return [len(layer.bias) for layer in made.state.params.layers]


def num_fields(made):
    return made.prepared.task.catalogue.rows.shape[1]


def validated(made):
    return made.validate(made.best)


def negatives_are_targets(made):
    drawn = batch(made)
    return drawn.negatives is not None and np.array_equal(drawn.negatives, drawn.target)


DRAWN = (
    lambda made: made.state.params.items,
    lambda made: batch(made).target,
    lambda made: histories(made).init_logits,
)
"""What the seed draws."""

EFFECTS = {
    **effects.FAMILY_EFFECTS,
    "interests": [
        Effect(2, is_now(2, lambda m: histories(m).init_logits.shape[2], served_size(1)))
    ],
    "width": [Effect(5, is_now(5, size("items", 1), size("bilinear", 0), served_size(2)))],
    "window": [Effect(3, is_now(3, lambda m: histories(m).items.shape[1], longest))],
    "iterations": [Effect(1, effects.in_both)],
    "sigma": [
        Effect(0.2, effects.in_both, {"logits": name}) for name in ("keyed", "fixed", "per_call")
    ],
    "logits": [
        Effect("fixed", another(lambda made: histories(made).init_logits)),
        Effect("per_call", effects.in_serving),
    ],
    "interest_count": [Effect("fixed", effects.in_both)],
    "routing": [Effect("uniform", effects.in_both)],
    "routing_axis": [Effect("behaviours", effects.in_both)],
    "routing_gradient": [Effect("all", effects.another_gradient)],
    "squash": [Effect("unit", effects.in_both), Effect("none", effects.in_both)],
    "hidden": [Effect((5, 6), is_now([5, 6, 8], widths))],
    "last_relu": [Effect(True, effects.in_both)],
    "attention": [Effect("mean", effects.in_training_alone), effects.POOLED],
    "power": [Effect(x, effects.in_training_alone) for x in (0.0, 2.0)],
    "score": [Effect("sum", another(effects.scores))],
    "loss": [Effect("full", another(lambda made: batch(made).negatives))],
    "temperature": [Effect(1e6, effects.in_training, {"loss": "full"})],
    "normalise": [Effect(True, effects.in_both)],
    "item_features": [Effect(("shelf",), every(effects.in_both, is_now(2, num_fields)))],
    "user_features": [
        Effect(("age",), every(effects.in_both, is_now(1, lambda m: histories(m).profile.shape[1])))
    ],
    "profile_width": [Effect(3, is_now(3, size("profile", 1)), {"user_features": ("age",)})],
    "negatives": [Effect(24, is_now(24, lambda m: len(batch(m).negatives)))],
    "sampler": [
        Effect("uniform", effects.by_probability),
        Effect("log_uniform", another(lambda made: batch(made).negatives)),
        Effect("in_batch", is_now(True, negatives_are_targets)),
    ],
    "alpha": [Effect(alpha, effects.by_probability) for alpha in (0.0, 2.0)],
    "target_sampling": [
        Effect("user", another(lambda made: batch(made).target), {"sampler": "in_batch"})
    ],
    "batch": [Effect(24, is_now(24, lambda m: len(batch(m).target)))],
    "steps": [Effect(5, ends([3, 6, 7], [3, 5]))],
    "learning_rate": adam(0.02),
    "decay": adam("none"),
    "adam": [Effect("dense", another(items_after_two_steps), ADAM)],
    "beta1": adam(0.5),
    "beta2": adam(0.5),
    "epsilon": adam(0.01),
    "evaluate_every": [Effect(2, ends([3, 6, 7], [2, 4, 6, 7]))],
    "time_limit": [Effect(1e-6, ends_by_time)],
    "patience": [Effect(1, stands_still)],
    "metric": [Effect("mrr@30", another(validated))],
    "validation_users": [Effect(7, another(validated), {"metric": "mrr@30"})],
    "test_users": [Effect(9, is_now(9, lambda made: made.evaluate()["cases"]))],
    "seed": [Effect(1, every(*map(another, DRAWN), effects.in_serving))],
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
