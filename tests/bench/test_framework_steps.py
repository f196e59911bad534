"""The steps in PyTorch and JAX compute the same function and Adam as the reference."""

import dataclasses

import numpy as np
import pytest

from mindref.bench import contenders
from mindref.bench.choices import FRAMEWORK_STEPS
from mindref.bench.workload import NUM_BATCHES, Workload, WorkloadSettings
from mindref.evaluation import top_n
from mindref.models import mind
from mindref.models.parameters import flatten
from tests.bench.tiny_workload import SMALL

MIDDLE = WorkloadSettings(
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
    "one iteration": dataclasses.replace(MIDDLE, iterations=1),
    "one interest": dataclasses.replace(MIDDLE, interests=1),
    "no hidden layer": dataclasses.replace(MIDDLE, hidden=()),
    "small": SMALL,
}
NAMES = list(FRAMEWORK_STEPS)
TOLERANCE = {"torch-eager": 2e-2, "jax-jit": 2e-3}
"""Allowed difference of parameters after a few steps, in learning rates. SparseAdam of PyTorch adds
epsilon at another place, which matters in rows with tiny gradients; JAX uses our formula."""


def subject(name, world):
    pytest.importorskip(FRAMEWORK_STEPS[name].framework)
    return contenders.make_contender(name, world)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_equals_the_reference(name, shape):
    world = Workload(SHAPES[shape])
    created, params = subject(name, world), world.params()
    for number in (0, 3):
        batch = world.batches[number]
        expected, _ = mind.loss(params, batch, world.catalogue, world.config)
        got = float(created.step(number))
        created.wait()
        assert abs(got - expected) <= 1e-4 * abs(expected)
        params = created.params


@pytest.mark.parametrize("shape", ["middle", "power", "no hidden layer"])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_after_three_steps_equal_the_reference(name, shape):
    world = Workload(SHAPES[shape])
    created, reference = subject(name, world), contenders.make_contender("numpy", world)
    start = flatten(world.params())
    for number in range(3):
        created.step(number % NUM_BATCHES)
        reference.step(number % NUM_BATCHES)
    created.wait()
    expected = flatten(reference.params)
    for key, got in flatten(created.params).items():
        if got.size:  # user features are empty
            moved = np.abs(expected[key] - start[key]).mean()
            apart = np.abs(got - expected[key]).mean()
            assert apart <= TOLERANCE[name] * world.config.learning_rate, key
            assert moved > 10 * apart, key


@pytest.mark.parametrize("name", NAMES)
def test_item_rows_outside_the_batch_are_unchanged(name):
    world = Workload(dataclasses.replace(MIDDLE, catalogue=3000, negatives=10))
    created, before = subject(name, world), world.params().items
    created.step(0)
    created.wait()
    batch = world.batches[0]
    histories = batch.histories
    by_name = np.unique(
        np.concatenate([histories.items[histories.mask], batch.target, batch.negatives])
    )
    moved = np.flatnonzero((created.params.items != before).any(axis=1))
    assert 0 < len(moved) <= len(by_name)
    assert set(moved) <= set(by_name)


@pytest.mark.parametrize("name", NAMES)
def test_interests_and_top_n_lists_equal_the_reference(name):
    world = Workload(MIDDLE)
    created, reference = subject(name, world), contenders.make_contender("numpy", world)
    users = created.interests(world.histories)
    vectors, active = (np.asarray(x) for x in users)
    expected, expected_active = reference.interests(world.histories)
    assert np.array_equal(active, expected_active)
    assert np.abs(vectors - expected).max() < 1e-4
    for exclude in (None, world.histories):
        ids = created.top(users, 9, exclude)
        assert ids.shape == (50, 9)
        ranked = top_n.search_top_n(
            expected, expected_active, world.params().items, n=9, exclude=exclude
        )
        assert (ids == ranked.items).mean() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_used_on_request(name):
    world = Workload(dataclasses.replace(SMALL, dtype="float64"))
    created = subject(name, world)
    loss = float(created.step(0))
    expected, _ = mind.loss(world.params(), world.batches[0], world.catalogue, world.config)
    assert abs(loss - expected) < 1e-12
