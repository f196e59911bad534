"""The step in PyTorch computes the same function and Adam as the reference."""

import dataclasses

import numpy as np
import pytest

from mindref.bench import contenders
from mindref.bench.choices import TORCH_STEP
from mindref.bench.workload import NUM_BATCHES, Workload, WorkloadSettings
from mindref.evaluation import top_n
from mindref.models import mind
from mindref.models.parameters import flatten
from tests.bench.tiny_workload import SMALL

MIDDLE = WorkloadSettings(
    batch=32, length=20, width=16, hidden=(24,), negatives=40, catalogue=300, users=50, top=9,
    threads=1,
)  # fmt: skip
SHAPES = {
    "middle": MIDDLE,
    "full": dataclasses.replace(MIDDLE, ragged=False),
    "power": dataclasses.replace(MIDDLE, power=2.0),
    "one iteration": dataclasses.replace(MIDDLE, iterations=1),
    "one interest": dataclasses.replace(MIDDLE, interests=1),
    "no hidden layer": dataclasses.replace(MIDDLE, hidden=()),
    "small": SMALL,
}
TOLERANCE = 2e-2
"""Allowed difference of parameters after a few steps, in learning rates. SparseAdam of PyTorch adds
epsilon at another place, which matters in rows with tiny gradients."""


def torch_contender(world):
    pytest.importorskip("torch")
    return contenders.make_contender(TORCH_STEP, world)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_equals_the_reference(shape):
    world = Workload(SHAPES[shape])
    created, params = torch_contender(world), world.params()
    for number in (0, 3):
        batch = world.batches[number]
        expected, _ = mind.loss(params, batch, world.catalogue, world.config)
        got = float(created.step(number))
        assert abs(got - expected) <= 1e-4 * abs(expected)
        params = created.params


@pytest.mark.parametrize("shape", ["middle", "power", "no hidden layer"])
def test_parameters_after_three_steps_equal_the_reference(shape):
    world = Workload(SHAPES[shape])
    created, reference = torch_contender(world), contenders.make_contender("numpy", world)
    start = flatten(world.params())
    for number in range(3):
        created.step(number % NUM_BATCHES)
        reference.step(number % NUM_BATCHES)
    expected = flatten(reference.params)
    for key, got in flatten(created.params).items():
        if got.size:  # user features are empty
            moved = np.abs(expected[key] - start[key]).mean()
            apart = np.abs(got - expected[key]).mean()
            assert apart <= TOLERANCE * world.config.learning_rate, key
            assert moved > 10 * apart, key


def test_item_rows_outside_the_batch_are_unchanged():
    world = Workload(dataclasses.replace(MIDDLE, catalogue=3000, negatives=10))
    created, before = torch_contender(world), world.params().items
    created.step(0)
    (items, mask, *_), target, negatives, *_ = world.batches[0]
    moved = np.flatnonzero((created.params.items != before).any(axis=1))
    assert len(moved)
    assert set(moved) <= {*items[mask], *target, *negatives}


def test_interests_and_top_n_lists_equal_the_reference():
    world = Workload(MIDDLE)
    created, reference = torch_contender(world), contenders.make_contender("numpy", world)
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


def test_float64_is_used_on_request():
    world = Workload(dataclasses.replace(SMALL, dtype="float64"))
    created = torch_contender(world)
    loss = float(created.step(0))
    expected, _ = mind.loss(world.params(), world.batches[0], world.catalogue, world.config)
    assert abs(loss - expected) < 1e-12
