"""The steps in PyTorch and JAX compute the same function and Adam as the reference."""

import dataclasses

import numpy as np
import pytest

from mindref.bench import contenders
from mindref.bench.choices import FRAMEWORK_STEPS, JAX_STEP, MODELS, TORCH_STEP
from mindref.bench.workload import NUM_BATCHES, Workload, WorkloadSettings
from mindref.conformance.tolerances import same_math
from mindref.data.log import Ragged
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
    **{model: dataclasses.replace(MIDDLE, model=model) for model in MODELS[1:]},
    "sparse": dataclasses.replace(MIDDLE, model="sparse", hidden=()),
    "best, one iteration": dataclasses.replace(MIDDLE, model="best", iterations=1),
    "best, two layers": dataclasses.replace(MIDDLE, model="best", hidden=(24, 8)),
}
TOLERANCE = 2e-2
"""Allowed difference of parameters after a few steps, in learning rates. SparseAdam of PyTorch adds
epsilon at another place, which matters in rows with tiny gradients."""

NEEDS = {step: pytest.mark.needs(package) for step, package in FRAMEWORK_STEPS.items()}
steps = pytest.mark.parametrize("step", [pytest.param(x, marks=NEEDS[x]) for x in FRAMEWORK_STEPS])
# JAX compiles a program for each shape
CASES = [
    *(pytest.param(TORCH_STEP, shape, marks=NEEDS[TORCH_STEP]) for shape in SHAPES),
    *(
        pytest.param(JAX_STEP, shape, marks=NEEDS[JAX_STEP])
        for shape in ("power", "small", *MODELS[1:])
    ),
]


class EmptyHistories(Workload):
    """The first two users of a batch, and the first two served users, have no behaviours."""

    def draw_histories(self, rng, rows):
        lengths = super().draw_histories(rng, rows).lengths
        lengths[:2] = 0
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Ragged(offsets, self.draw_items(rng, int(offsets[-1])))


@pytest.mark.parametrize(("step", "shape"), CASES)
def test_losses_and_parameters_of_three_steps_equal_the_reference(step, shape):
    world = EmptyHistories(SHAPES[shape])
    created, reference = (
        contenders.make_contender(step, world),
        contenders.make_contender("numpy", world),
    )
    start = flatten(world.params())
    for number in range(3):
        loss = float(created.step(number % NUM_BATCHES))
        expected_loss = float(reference.step(number % NUM_BATCHES))
        assert abs(loss - expected_loss) <= same_math("float32") * abs(expected_loss)
    expected = flatten(reference.params)
    assert list(flatten(created.params)) == list(expected)
    for key, got in flatten(created.params).items():
        if got.size:
            moved = np.abs(expected[key] - start[key]).mean()
            apart = np.abs(got - expected[key]).mean()
            assert apart <= TOLERANCE * world.config.learning_rate, key
            assert moved > 10 * apart, key


@steps
def test_item_rows_outside_the_batch_are_unchanged(step):
    world = Workload(dataclasses.replace(MIDDLE, catalogue=3000, negatives=10))
    created, before = contenders.make_contender(step, world), world.params().items
    created.step(0)
    (items, mask, *_), target, negatives, *_ = world.batches[0]
    moved = np.flatnonzero((created.params.items != before).any(axis=1))
    assert len(moved)
    assert set(moved) <= {*items[mask], *target, *negatives}
