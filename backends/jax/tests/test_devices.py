"""Everything is computed on the device that was asked for: here the second of two."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from mindref_jax import devices
from mindref_jax.backend import JaxBackend

CODE = """
import jax
import numpy as np
from mindref.bench.world import Settings, World
from mindref.models.parameters import flatten
from mindref_jax.backend import JaxBackend

world = World(Settings(batch=4, length=5, width=4, hidden=(3,), negatives=5, catalogue=20))
given = (world.catalogue, world.config)
second = jax.devices()[1]
backend = JaxBackend(second)
state = backend.init(world.params(), world.config)
before = [x.devices() for x in flatten(backend.parameters(state)).values()]  # a step uses them up
state, loss = backend.step(state, world.batches[0], *given, 1e-3)
found = [loss, *flatten(backend.parameters(state)).values()]
found += backend.moments(state).first.values()
found += backend.interests(world.params(), world.batches[0].histories, *given)
loss, gradients = backend.loss_and_gradients(world.params(), world.batches[0], *given)
found += [loss, gradients.bilinear, backend.from_numpy(np.ones(3))]
on = before + [x.devices() for x in found]
print(len(on), {devices == {second} for devices in on})
"""


def test_a_device_holds_parameters_moments_and_results() -> None:
    two = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-W", "error", "-c", CODE]
    done = subprocess.run(command, env=two, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "27 {True}"


def test_programs_are_dropped_when_they_become_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = []
    monkeypatch.setattr(devices, "MOST", 3)
    monkeypatch.setattr(devices, "compiled", 0)
    monkeypatch.setattr(jax, "clear_caches", lambda: dropped.append(devices.compiled))
    for users in range(11, 19):
        JaxBackend().ops.squash.forward(np.ones((users, 7)), kind="squash")
    assert dropped == [4, 4]


def test_a_backend_says_where_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JaxBackend().on("cpu").device_name == "cpu"
    gpu = SimpleNamespace(platform="gpu")
    monkeypatch.setattr("jax.devices", lambda *name: [gpu])  # as JAX calls a card of CUDA
    assert JaxBackend().on("auto").device_name == "cuda"
