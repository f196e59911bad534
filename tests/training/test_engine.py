"""Who takes the steps: the level that a backend claims, and what becomes of its mistakes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from mindref.backend import OPERATORS, Capabilities
from mindref.conformance.runner.composed_backend import ComposedBackend, reference_model
from mindref.errors import BackendError, ConfigError
from mindref.models.family import check_trainable
from mindref.models.parameters import Gradients, flatten, unflatten
from mindref.training.batch_loader import BatchLoader
from mindref.training.divergence import Diverged
from mindref.training.engine import ReferenceEngine, make_engine
from mindref.training.loop import step_learning_rate
from mindref.training.optimiser import State as Moments
from tests.runs import trainer


class Held(NamedTuple):
    """An array on a device that is not NumPy's."""

    x: Any


class Device:
    """A backend of level 2 or 3 that keeps its arrays to itself."""

    name = "device"

    def __init__(self, *levels, fails=""):
        self.levels, self.fails = levels, fails
        self.inner = reference_model()
        self.asked = []

    @property
    def ops(self):
        raise RuntimeError("no operators here")

    def capabilities(self):
        return Capabilities(OPERATORS, ("ops", *self.levels))

    def to_numpy(self, x):
        return x.x if isinstance(x, Held) else x

    def from_numpy(self, x):
        return Held(x)

    def loss_and_gradients(self, *given):
        self.asked.append("loss_and_gradients")
        if self.fails == "raises":
            raise RuntimeError("out of memory")
        loss, found = self.inner.loss_and_gradients(*given)
        items = found.items._replace(values=Held(found.items.values))
        profile = found.profile._replace(values=Held(found.profile.values))
        layers = tuple(type(x)(Held(x.weight), Held(x.bias)) for x in found.layers)
        return Held(loss), Gradients(items, profile, Held(found.bilinear), layers)  # type: ignore[arg-type]

    def init(self, params, config, moments=None):
        return self.inner.init(params, config, moments)

    def step(self, state, *given):
        self.asked.append("step")
        if self.fails == "raises":
            raise RuntimeError("out of memory")
        state, loss = self.inner.step(state, *given)
        return state, Held(loss * np.nan if self.fails == "diverges" else loss)

    def parameters(self, state):
        return unflatten({k: Held(x) for k, x in flatten(state.params).items()})  # type: ignore[misc]

    def moments(self, state):
        step, first, second = self.inner.moments(state)
        counted = step + 1 if self.fails == "miscounts" else step
        return Moments(counted, held(first), held(second))


def held(arrays):
    return {name: Held(x) for name, x in arrays.items()}


def engine(backend, made=None):
    """Return an engine at the first step of a small training, its batches and its settings."""
    made = made or trainer(dtype="float64")
    task, state = made.prepared.task, made.state
    given = (state.params, state.moments, task.catalogue, made.config)
    return make_engine(backend, *given), BatchLoader(task, made.config), made.config


def after(backend, steps=3, made=None):
    """Return losses, parameters and moments after some steps."""
    moving, feed, config = engine(backend, made)
    losses = [moving.step(feed.batch(s), step_learning_rate(config, s)) for s in range(steps)]
    params, moments = moving.fetch_state()
    return losses, dict(flatten(params)), moments


@pytest.mark.parametrize(
    ("levels", "asked"),
    [(("model",), "loss_and_gradients"), (("model", "train"), "step"), (("train",), "step")],
)
def test_the_highest_level_takes_the_steps_and_they_are_those_of_the_reference(levels, asked):
    device, inner = Device(*levels), reference_model()
    operators = ComposedBackend(inner.ops, inner.mind, inner.optimiser, levels=("ops",))
    np.testing.assert_equal(after(device), after(operators))
    assert device.asked == [asked] * 3


@pytest.mark.rules("optimiser-R21")
def test_with_dense_adam_every_item_with_moments_moves_in_each_step():
    made = trainer(adam="dense")
    moving, feed, config = engine(made.backend, made)
    assert isinstance(moving, ReferenceEngine)
    moving.step(feed.batch(0), 0.1)
    params, moments = moving.fetch_state()
    before, touched = params.items.copy(), moments.second["items"].any(axis=1)
    moving.step(feed.batch(1), 0.1)
    assert (params.items != before).any(axis=1)[touched].all()
    with pytest.raises(ConfigError, match="--adam dense: expected one process"):
        check_trainable(made.backend, config, several=True)


@pytest.mark.rules("backend-R15")
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", [Device("train"), "numba"])
def test_a_training_that_is_taken_up_ends_in_the_same_bytes(backend, dtype):
    made = trainer(dtype=dtype)
    backend = made.backend if backend == "numba" else backend
    _, whole, whole_moments = after(backend, 4, trainer(dtype=dtype))
    moving, feed, config = engine(backend, made)
    for step in range(4):
        if step == 2:
            moving = make_engine(backend, *moving.fetch_state(), made.task.catalogue, config)
        moving.step(feed.batch(step), step_learning_rate(config, step))
    params, moments = moving.fetch_state()
    np.testing.assert_equal((flatten(params), moments), (whole, whole_moments))


@pytest.mark.rules("backend-R15")
@pytest.mark.parametrize(
    ("level", "fails", "error", "message"),
    [
        ("train", "raises", BackendError, r"device, step 1: .*RuntimeError: out of memory"),
        ("model", "raises", BackendError, r"device, step 1: .*RuntimeError: out of memory"),
        ("train", "miscounts", BackendError, r"^backend device: moments: expected step 3, got st"),
        ("train", "diverges", Diverged, "step 1: expected a finite loss, got nan"),
    ],
)
def test_a_failing_step_is_an_error_that_names_the_backend_or_the_step(
    level, fails, error, message
):
    with pytest.raises(error, match=message):
        after(Device(level, fails=fails))


def test_batches_come_in_their_order_and_errors_of_theirs_are_heard():
    made = trainer()
    feed = BatchLoader(made.prepared.task, made.config)
    for step, batch in enumerate(feed.prefetch(2, 5), start=2):
        np.testing.assert_array_equal(batch.target, feed.batch(step).target)
    assert list(feed.prefetch(3, 3)) == []

    def broken(step):
        if step == 1:
            raise OSError("no such file")
        return step

    feed.batch = broken  # type: ignore[method-assign]
    seen = []
    with pytest.raises(OSError, match="no such file"):
        seen.extend(feed.prefetch(0, 3))
    assert seen == [0]
