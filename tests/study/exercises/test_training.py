"""The trainer of exercise 18 is that of the library and uses the given operators."""

from types import SimpleNamespace

import numpy as np
import pytest

import mindref.ops as library
from mindref.backend import NumpyBackend
from mindref.models.parameters import flatten, init
from mindref.study.exercises.training import (
    compute_losses,
    compute_reference_losses,
    make_training_setup,
)
from mindref.training import engine, loop, optimiser

each = pytest.mark.parametrize(("gradient", "power"), [("all", 2.0), ("last", float("inf"))])


@each
def test_the_losses_equal_those_of_the_engine_of_the_library(gradient, power):
    config, catalogue, sizes, batches = make_training_setup(gradient, power, 50)
    params = init(np.random.default_rng(6), config, sizes)
    library_engine = engine.make_engine(
        NumpyBackend(), params, optimiser.init(flatten(params)), catalogue, config
    )
    losses = [
        library_engine.step(batch, loop.step_learning_rate(config, i))
        for i, batch in enumerate(batches)
    ]
    reference, user_losses = compute_reference_losses(gradient, power, 50)
    assert np.abs(reference - losses).max() < 1e-12
    assert np.abs(user_losses.mean(axis=1) - losses).max() < 1e-12
    assert np.mean(losses[-10:]) < np.mean(losses[:10]), "the loss does not decrease"


def test_the_trainer_calls_the_given_operators_and_adam_step():
    called = set()

    def record_calls(name, function):
        def recorded(*arguments, **options):
            called.add(name)
            return function(*arguments, **options)  # type: ignore[operator]

        return recorded

    names = ("embedding", "routing", "relu_layer", "label_attention", "sampled_softmax")
    ops = {
        n: SimpleNamespace(
            forward=record_calls(f"{n}.forward", library.OPS[n].forward),
            backward=record_calls(f"{n}.backward", library.OPS[n].backward),
        )
        for n in names
    }

    def adam_step(table, first, second, steps, rows, *_):  # type: ignore[no-untyped-def]
        called.add("adam_step")
        assert steps == 0
        assert (np.diff(rows) > 0).all()
        return table, first, second

    compute_losses(SimpleNamespace(**ops), adam_step, "all", 2.0, 1)
    functions = {f"{n}.{f}" for n in names for f in ("forward", "backward")}
    assert called == functions | {"adam_step"}


def test_an_adam_step_that_changes_nothing_gives_other_losses():
    def no_step(*arrays):  # type: ignore[no-untyped-def]
        return arrays[:3]

    reference = compute_reference_losses("all", 2.0, 50)[0]
    losses = compute_losses(library, no_step, "all", 2.0, 50)
    assert losses[0] == reference[0]
    assert np.abs(losses[1:] - reference[1:]).max() > 0.01
