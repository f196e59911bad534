"""All arrays are on the selected device: here the second of two."""

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

SCRIPT = """
import jax
import numpy as np
from mindref.bench.workload import Workload, WorkloadSettings
from mindref.models.parameters import flatten
from mindref_jax.backend import JaxBackend

settings = WorkloadSettings(batch=4, length=5, width=4, hidden=(3,), negatives=5, catalogue=20)
workload = Workload(settings)
arguments = (workload.catalogue, workload.config)
second = jax.devices()[1]
backend = JaxBackend(second)
state = backend.init(workload.params(), workload.config)
before = [x.devices() for x in flatten(backend.parameters(state)).values()]  # invalid after a step
state, loss = backend.step(state, workload.batches[0], *arguments, 1e-3)
arrays = [loss, *flatten(backend.parameters(state)).values()]
arrays += backend.moments(state).first.values()
arrays += backend.interests(workload.params(), workload.batches[0].histories, *arguments)
loss, gradients = backend.loss_and_gradients(workload.params(), workload.batches[0], *arguments)
arrays += [loss, gradients.bilinear, backend.from_numpy(np.ones(3))]
all_devices = before + [x.devices() for x in arrays]
print(len(all_devices), {devices == {second} for devices in all_devices})
"""


def test_parameters_moments_and_results_are_on_the_device() -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == "27 {True}"


def test_programs_are_dropped_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = []
    monkeypatch.setattr(devices, "MAX_PROGRAMS", 3)
    monkeypatch.setattr(devices, "num_compiled", 0)
    monkeypatch.setattr(jax, "clear_caches", lambda: dropped.append(devices.num_compiled))
    for users in range(11, 19):
        JaxBackend().ops.squash.forward(np.ones((users, 7)), kind="squash")
    assert dropped == [4, 4]


def test_device_name_is_the_device_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JaxBackend().on("cpu").device_name == "cpu"
    gpu = SimpleNamespace(platform="gpu")
    monkeypatch.setattr("jax.devices", lambda *name: [gpu])  # the platform of CUDA devices in JAX
    assert JaxBackend().on("auto").device_name == "cuda"
