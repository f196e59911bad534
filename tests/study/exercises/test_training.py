"""E11: the trainer of exercise 18 is that of the library, and is led by what it is handed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import mindref.ops as library
from mindref.backend import NumpyBackend
from mindref.models.parameters import flatten, init
from mindref.study.exercises.training import by_the_library, course, losses_of
from mindref.training import engine, loop, optimiser

each = pytest.mark.parametrize(("gradient", "power"), [("all", 2.0), ("last", float("inf"))])


@each
def test_the_losses_are_those_of_the_library_s_own_engine(gradient: str, power: float) -> None:
    config, catalogue, sizes, batches = course(gradient, power, 50)
    params = init(np.random.default_rng(6), config, sizes)
    own = engine.engine_of(
        NumpyBackend(), params, optimiser.init(flatten(params)), catalogue, config
    )
    losses = [own.step(batch, loop.rate(config, i)) for i, batch in enumerate(batches)]
    found, shares = by_the_library(gradient, power, 50)
    assert np.abs(found - losses).max() < 1e-12
    assert np.abs(shares.mean(axis=1) - losses).max() < 1e-12
    assert np.mean(losses[-10:]) < np.mean(losses[:10]), "nothing is learned"


def test_every_operator_and_the_step_of_the_items_are_those_that_are_handed_over() -> None:
    called: set[str] = set()

    def noted(name: str, function: object) -> object:
        def calling(*given: object, **options: object) -> object:
            called.add(name)
            return function(*given, **options)  # type: ignore[operator]

        return calling

    names = ("embedding", "routing", "relu_layer", "label_attention", "sampled_softmax")
    ops = {
        n: SimpleNamespace(
            forward=noted(f"{n}.forward", library.OPS[n].forward),
            backward=noted(f"{n}.backward", library.OPS[n].backward),
        )
        for n in names
    }

    def adam_step(table, first, second, steps, rows, *others):  # type: ignore[no-untyped-def]
        called.add("adam_step")
        assert steps == 0
        assert (np.diff(rows) > 0).all()
        return table, first, second

    losses_of(SimpleNamespace(**ops), adam_step, "all", 2.0, 1)
    both = {f"{n}.{way}" for n in names for way in ("forward", "backward")}
    assert called == both | {"adam_step"}


def test_without_a_step_the_items_stand_still() -> None:
    moved = by_the_library("all", 2.0, 50)[0]
    still = losses_of(library, lambda table, first, second, *_: (table, first, second), "all", 2.0,
                      50)  # fmt: skip
    assert still[0] == moved[0]
    assert np.abs(still[1:] - moved[1:]).max() > 0.01
