"""Choice of the device, errors for missing devices, and the device of every new tensor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mindref.backend import load_backend
from mindref.bench.workload import Workload, WorkloadSettings
from mindref.errors import BackendError
from mindref.models.parameters import flatten
from mindref.training import optimiser
from mindref_torch.backend import TorchBackend

SETTINGS = WorkloadSettings(
    batch=6, length=7, width=4, interests=3, hidden=(5,), negatives=9, catalogue=30, top=5
)


@pytest.mark.rules("backend-R16")
def test_only_available_devices_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, best in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr("torch.cuda.is_available", lambda available=available: available)
        assert load_backend("torch", "cpu").device == "cpu"
        assert load_backend("torch", "auto").device == best
        assert load_backend("torch", "auto").device_name == best
    assert load_backend("torch", "cuda").device == "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BackendError, match="got cuda, and PyTorch finds none; choose --device cpu"):
        load_backend("torch", "cuda")
    with pytest.raises(BackendError, match="expected cpu, cuda or auto, got 'tpu'"):
        load_backend("torch", "tpu")


@pytest.mark.parametrize("power", [0.0, 2.0, float("inf")])
@pytest.mark.parametrize("changes", [{}, {"routing": "uniform"}, {"normalise": True}], ids=str)
def test_every_tensor_is_on_the_device_of_the_parameters(power: float, changes: dict) -> None:
    """The default device is `meta`, so a tensor without a device has no values."""
    workload = Workload(dataclasses.replace(SETTINGS, power=power))
    config = dataclasses.replace(workload.config, interest_count="fixed", **changes)
    backend, batch = TorchBackend("cpu"), workload.batches[0]
    default_device = torch.get_default_device()
    torch.set_default_device("meta")
    try:
        for settings in (config, workload.config):
            params = workload.params()
            loss, _ = backend.loss_and_gradients(params, batch, workload.catalogue, settings)
            served = backend.interests(params, batch.histories, workload.catalogue, settings)
            state = backend.init(params, settings)
            state, _ = backend.step(state, batch, workload.catalogue, settings, 0.1)
            tables = flatten(backend.parameters(state)), backend.moments(state).first
            resumed = backend.init(params, settings, optimiser.init(flatten(params)))
            tensors = [loss, *served, *resumed.model.parameters()]
            tensors += [x for table in tables for x in table.values()]
            assert {x.device.type for x in tensors} == {"cpu"}
        x, mask = np.ones((2, 3, 4)), np.ones((2, 3), bool)
        arrays = (x, mask, np.eye(4), np.ones((2, 3, 2)), mask[:, :2])
        numbers = {"iterations": 2, "gradient": "all"}
        capsules, _ = backend.ops.routing.forward(*arrays, **numbers)
        gradients = backend.differentiate("routing", arrays, numbers, capsules)
        assert all(np.isfinite(array).all() for array in (capsules, *gradients))
    finally:
        torch.set_default_device(default_device)
