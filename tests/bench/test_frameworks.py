"""The steps of the frameworks compute the same function as the reference, its Adam included."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mindref.bench import subjects
from mindref.bench.world import BATCHES, Settings, World
from mindref.evaluation import top_n
from mindref.models import mind
from mindref.models.parameters import flatten
from tests.bench.small import SMALL

MIDDLE = Settings(
    batch=32,
    length=20,
    width=16,
    hidden=(24,),
    negatives=40,
    catalogue=300,
    users=50,
    top=9,
    threads=1,
)
SHAPES = {
    "middle": MIDDLE,
    "full": dataclasses.replace(MIDDLE, ragged=False),
    "power": dataclasses.replace(MIDDLE, power=2.0),
    "one round": dataclasses.replace(MIDDLE, iterations=1),
    "one interest": dataclasses.replace(MIDDLE, interests=1),
    "no hidden layer": dataclasses.replace(MIDDLE, hidden=()),
    "small": SMALL,
}
NAMES = list(subjects.COMPETITORS)
LIKE = {"torch-eager": 2e-2, "jax-jit": 2e-3}
"""How far parameters may be apart after a few steps, in learning rates: SparseAdam of PyTorch adds
epsilon elsewhere, which shows in rows with tiny gradients; JAX has our own formula."""


def subject(name: str, world: World) -> subjects.Subject:
    pytest.importorskip(subjects.COMPETITORS[name].framework)
    return subjects.make(name, world)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_that_of_the_reference(name: str, shape: str) -> None:
    world = World(SHAPES[shape])
    made, params = subject(name, world), world.params()
    for number in (0, 3):
        batch = world.batches[number]
        expected, _ = mind.loss(params, batch, world.catalogue, world.config)
        got = float(made.step(number))
        made.wait()
        assert abs(got - expected) <= 1e-4 * abs(expected)
        params = made.params


@pytest.mark.parametrize("shape", ["middle", "power", "no hidden layer"])
@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lead_where_the_reference_is_led(name: str, shape: str) -> None:
    world = World(SHAPES[shape])
    made, reference = subject(name, world), subjects.make("numpy", world)
    start = flatten(world.params())
    for number in range(3):
        made.step(number % BATCHES)
        reference.step(number % BATCHES)
    made.wait()
    expected = flatten(reference.params)
    for key, got in flatten(made.params).items():
        if got.size:  # there are no user features
            moved = np.abs(expected[key] - start[key]).mean()
            apart = np.abs(got - expected[key]).mean()
            assert apart <= LIKE[name] * world.config.learning_rate, key
            assert moved > 10 * apart, key


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_no_batch_names_stay_as_they_were(name: str) -> None:
    world = World(dataclasses.replace(MIDDLE, catalogue=3000, negatives=10))
    made, before = subject(name, world), world.params().items
    made.step(0)
    made.wait()
    batch = world.batches[0]
    histories = batch.histories
    named = np.unique(
        np.concatenate([histories.items[histories.mask], batch.target, batch.negatives])
    )
    moved = np.flatnonzero((made.params.items != before).any(axis=1))
    assert 0 < len(moved) <= len(named)
    assert set(moved) <= set(named)


@pytest.mark.parametrize("name", NAMES)
def test_interests_and_lists_are_those_of_the_reference(name: str) -> None:
    world = World(MIDDLE)
    made, reference = subject(name, world), subjects.make("numpy", world)
    users = made.interests(world.histories)
    vectors, active = (np.asarray(x) for x in users)
    expected, its = reference.interests(world.histories)
    assert np.array_equal(active, its)
    assert np.abs(vectors - expected).max() < 1e-4
    for exclude in (None, world.histories):
        found = made.top(users, 9, exclude)
        assert found.shape == (50, 9)
        ranked = top_n.top_n(expected, its, world.params().items, n=9, exclude=exclude)
        assert (found == ranked.items).mean() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_double_length_are_used_when_asked(name: str) -> None:
    world = World(dataclasses.replace(SMALL, dtype="float64"))
    made: Any = subject(name, world)
    loss = float(made.step(0))
    expected, _ = mind.loss(world.params(), world.batches[0], world.catalogue, world.config)
    assert abs(loss - expected) < 1e-12
