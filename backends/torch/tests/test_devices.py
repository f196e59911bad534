"""Devices: chosen by name, refused where they are not there, and named by every new tensor."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from mindref.backend import load
from mindref.bench.world import Settings, World
from mindref.errors import BackendError
from mindref.models.parameters import flatten
from mindref.training import optimiser
from mindref_torch.backend import TorchBackend

SETTINGS = Settings(
    batch=6, length=7, width=4, interests=3, hidden=(5,), negatives=9, catalogue=30, top=5
)


@pytest.mark.rules("backend-R16")
def test_the_devices_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, best in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert load("torch", "cpu").device == "cpu"
        assert load("torch", "auto").device == best
    assert load("torch", "cuda").device == "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BackendError, match="got cuda, and PyTorch finds none; choose --device cpu"):
        load("torch", "cuda")
    with pytest.raises(BackendError, match="expected cpu, cuda or auto, got 'tpu'"):
        load("torch", "tpu")


@pytest.mark.rules("backend-R16", "backend-R3")
def test_without_pytorch_the_error_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['torch'] = None; from mindref.cli import main;"
        "main(['train', '--backend=torch', '--out=never'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("Error: backend torch: expected PyTorch, got ")
    assert said.stderr.endswith("; pip install 'torch>=2.2'\n")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize("power", [0.0, 2.0, float("inf")])
@pytest.mark.parametrize("changes", [{}, {"routing": "uniform"}, {"normalise": True}], ids=str)
def test_no_tensor_is_made_elsewhere_than_the_parameters_are(power: float, changes: dict) -> None:
    """Where nothing is said, tensors are made on a device that holds no numbers."""
    world = World(dataclasses.replace(SETTINGS, power=power))
    config = dataclasses.replace(world.config, interest_count="fixed", **changes)
    backend, batch = TorchBackend("cpu"), world.batches[0]
    fresh = torch.get_default_device()
    torch.set_default_device("meta")
    try:
        for some in (config, world.config):
            loss, _ = backend.loss_and_gradients(world.params(), batch, world.catalogue, some)
            served = backend.interests(world.params(), batch.histories, world.catalogue, some)
            state, _ = backend.step(
                backend.init(world.params(), some), batch, world.catalogue, some, 0.1
            )
            told = flatten(backend.parameters(state)), backend.moments(state).first
            again = backend.init(world.params(), some, optimiser.init(flatten(world.params())))
            found = [loss, *served, *again.model.parameters(), *told[0].values(), *told[1].values()]
            assert {x.device.type for x in found} == {"cpu"}
        assert operators_answer(backend)
    finally:
        torch.set_default_device(fresh)


def operators_answer(backend: TorchBackend) -> bool:
    """Ask each operator for a result and its gradients."""
    rng, ops = np.random.default_rng(0), backend.ops
    x, mask = rng.normal(size=(2, 3, 4)), np.ones((2, 3), bool)
    square, active = rng.normal(size=(4, 4)), np.ones((2, 2), bool)
    rows = np.array([[0, 1], [1, 2]])
    asked = {
        "embedding": ((square, rows, np.ones((2, 2))), {}),
        "softmax": ((x[0], mask.reshape(3, 2)[:, :1]), {"axis": 1}),
        "squash": ((x,), {"kind": "unit"}),
        "routing": (
            (x, mask, square, rng.normal(size=(2, 3, 2)), active),
            {"iterations": 2, "gradient": "all"},
        ),
        "relu_layer": ((x[0], square, square[0]), {"relu": True}),
        "label_attention": ((x[:, :2], x[:, 2], active), {"power": 1.5}),
        "sampled_softmax": (
            (x[0, :2], x[1, :2], x[1], rows[0], np.arange(3), x[0, 0, :2], x[0, 0, :3]),
            {"normalise": True},
        ),
    }
    for stem, (arrays, numbers) in asked.items():
        out, _ = getattr(ops, stem).forward(*arrays, **numbers)
        gradients = backend.differentiate(stem, arrays, numbers, np.ones_like(out))
        assert np.isfinite(out).all(), stem
        assert gradients, stem
    return True


def test_a_backend_says_where_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, best in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert load("torch", "auto").device_name == best
