"""Every setting in a complete training: its effect, and the size of the effect.

An effect holds another value than that of the small log's settings (or of `base`), and a check
that is given two trainers, one without and one with that value. A setting without one is an error.
"""

import dataclasses
import itertools

import numpy as np
import pytest

import mindref.ops
from mindref.backend import NumpyBackend
from mindref.config import Config
from mindref.models import serving
from mindref.models.parameters import flatten
from mindref.recommender import evaluate_run
from mindref.run.training_data import sample_cases
from tests import effects, family_effects
from tests.effects import Effect, another, batch, every, gradient, is_now
from tests.runs import stepped, trainer


class Counting(NumpyBackend):
    """A backend that counts how often its operators are used."""

    name, asked = "counting", 0

    @property
    def ops(self):
        self.asked += 1
        return mindref.ops


NUMBERS = {"learning_rate": 0.05, "decay": "linear", "beta1": 0.9, "beta2": 0.99, "epsilon": 0.1}


def by_hand(made, name, numbers):
    """Take two of seven steps; return a parameter and its expected value under Adam."""
    expected = flatten(made.state.params)[name].copy()
    first, second = np.zeros_like(expected), np.zeros_like(expected)
    for t in (1, 2):
        g = gradient(made, name)
        first = numbers["beta1"] * first + (1 - numbers["beta1"]) * g
        second = numbers["beta2"] * second + (1 - numbers["beta2"]) * g**2
        m, v = first / (1 - numbers["beta1"] ** t), second / (1 - numbers["beta2"] ** t)
        left = 1 - (t - 1) / 7 if numbers["decay"] == "linear" else 1
        expected -= left * numbers["learning_rate"] * m / (np.sqrt(v) + numbers["epsilon"])
        step = made.state.moments.step
        visited = batch(made, step)
        stepped(made, visited)
    return flatten(made.state.params)[name], expected


def adam(name):
    """Return the check of two steps with another setting of Adam."""

    def check(plain, changed):
        numbers = {**NUMBERS, name: getattr(changed.config, name)}
        cases = itertools.product(("numba", "numpy"), ("bilinear", "layers.0.weight"))
        for backend, parameter in cases:  # one takes steps of its own, one has the reference's
            base = {**ADAM, "backend": backend}
            before, _ = by_hand(trainer(**base), parameter, NUMBERS)
            after, expected = by_hand(trainer(**{**base, name: numbers[name]}), parameter, numbers)
            arguments = f"{backend} {parameter}"
            np.testing.assert_allclose(after, expected, rtol=1e-9, err_msg=arguments)
            assert not np.allclose(after, before, rtol=1e-5), arguments

    return check


ADAM = {**NUMBERS, "dtype": "float64"}


def epochs(made):
    """Train to the end; return the steps after which an epoch ended."""
    return [epoch.step for epoch in made.train().epochs]


def ends(before, after):
    """Return the check of where the epochs end."""

    def check(plain, changed):
        assert (epochs(plain), epochs(changed)) == (before, after)

    return check


def stands_still(plain, changed):
    for made in (plain, changed):
        made.validate = lambda params: 0.5
    assert (epochs(plain), epochs(changed)) == ([3, 6, 7], [3, 6])


def validation(made, metric, most=10_000):
    """Return a metric of the initial parameters on these cases."""
    cases = sample_cases(made.prepared.split.validation, most, made.config.seed)
    index = [int(metric.split("@")[1])]
    evaluation_set = made.evaluation_set(cases)
    reports, _ = evaluate_run.evaluate_lists(made.model(), evaluation_set, list_lengths=index)
    return reports["model"].metrics[metric]["value"]


def another_metric(plain, changed):
    for made, metric in ((plain, "hit_rate@10"), (changed, "mrr@30")):
        assert made.validate(made.best) == pytest.approx(validation(made, metric), abs=1e-12)
    assert plain.validate(plain.best) != changed.validate(changed.best)


def seven_cases(plain, changed):
    found = changed.validate(changed.best)
    assert found == pytest.approx(validation(changed, "mrr@30", most=7), abs=1e-12)
    assert plain.validate(plain.best) == pytest.approx(validation(plain, "mrr@30"), abs=1e-12)
    assert found != plain.validate(plain.best)


def types(made):
    """Return the dtypes of all floating-point arrays, from parameters to served vectors."""
    visited, params = batch(made), flatten(made.state.params)
    logs = (visited.target_log_expected, visited.negative_log_expected)
    arrays = [*params.values(), *made.state.moments.first.values(), visited.histories.init_logits]
    arrays += [*logs, effects.served(made).vectors, serving.item_matrix(made.model())]
    return {x.dtype.name for x in arrays}


def asked(plain, changed):
    """The other backend computes the step, and the validation after it."""
    backend = changed.backend
    changed.validate(changed.best)
    assert backend.asked == 1
    stepped(changed, batch(changed))
    assert backend.asked == 2


def histories(made):
    return batch(made).histories


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
    **family_effects.EFFECTS,
    "interests": [
        Effect(2, is_now(2, lambda m: histories(m).init_logits.shape[2], served_size(1)))
    ],
    "width": [Effect(5, is_now(5, size("items", 1), size("bilinear", 0), served_size(2)))],
    "window": [Effect(3, effects.window_of_three)],
    "iterations": [Effect(1, effects.in_both)],
    "sigma": [
        Effect(0.2, effects.twice_the_noise),
        Effect(0.2, effects.twice_the_noise, {"logits": "fixed"}),
        Effect(0.2, effects.twice_the_noise, {"logits": "per_call"}),
    ],
    "logits": [Effect("fixed", effects.keyed_in_training), Effect("per_call", effects.in_serving)],
    "interest_count": [Effect("fixed", effects.in_both)],
    "routing": [Effect("uniform", effects.in_both)],
    "routing_axis": [Effect("behaviours", effects.in_both)],
    "routing_gradient": [Effect("all", effects.another_gradient)],
    "squash": [Effect("unit", effects.in_both), Effect("none", effects.in_both)],
    "hidden": [Effect((5, 6), is_now([5, 6, 8], widths))],
    "last_relu": [Effect(True, effects.in_both)],
    "attention": [Effect("mean", effects.in_training_alone), family_effects.POOLED],
    "power": [Effect(x, effects.in_training_alone) for x in (0.0, 2.0)],
    "score": [Effect("sum", another(effects.scores))],
    "loss": [Effect("full", effects.the_whole_catalogue)],
    "temperature": [Effect(1e6, effects.in_training, {"loss": "full"})],
    "normalise": [Effect(True, effects.in_both)],
    "item_features": [Effect(("shelf",), every(effects.in_both, is_now(2, num_fields)))],
    "user_features": [
        Effect(("age",), every(effects.in_both, is_now(1, lambda m: histories(m).profile.shape[1])))
    ],
    "profile_width": [Effect(3, is_now(3, size("profile", 1)), {"user_features": ("age",)})],
    "negatives": [Effect(24, effects.more_negatives)],
    "sampler": [
        Effect("uniform", effects.by_probability),
        Effect("log_uniform", another(lambda made: batch(made).negatives)),
        Effect("in_batch", is_now(True, negatives_are_targets)),
    ],
    "alpha": [Effect(alpha, effects.by_probability) for alpha in (0.0, 2.0)],
    "cuts": [Effect("user", effects.by_user, {"sampler": "in_batch"})],
    "batch": [Effect(24, effects.more_samples)],
    "steps": [Effect(5, ends([3, 6, 7], [3, 5]))],
    "learning_rate": [Effect(0.02, adam("learning_rate"))],
    "decay": [Effect("none", adam("decay"))],
    "beta1": [Effect(0.5, adam("beta1"))],
    "beta2": [Effect(0.5, adam("beta2"))],
    "epsilon": [Effect(0.01, adam("epsilon"))],
    "evaluate_every": [Effect(2, ends([3, 6, 7], [2, 4, 6, 7]))],
    "patience": [Effect(1, stands_still)],
    "metric": [Effect("mrr@30", another_metric)],
    "validation_users": [Effect(7, seven_cases, {"metric": "mrr@30"})],
    "seed": [Effect(1, every(*map(another, DRAWN), effects.in_serving))],
    "dtype": [Effect("float64", is_now({"float64"}, types))],
    "backend": [Effect("tests.test_settings:Counting", asked)],
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
