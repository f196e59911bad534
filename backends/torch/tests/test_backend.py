"""What the judge does not ask: what is imported when, and conversions of the thin layer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from mindref.backend import NumpyBackend
from mindref.bench.world import Settings, World
from mindref.config import Config
from mindref.errors import ShapeError
from mindref.models import mind
from mindref_torch import level_model
from mindref_torch.backend import TorchBackend
from mindref_torch.model import MIND, Histories


@pytest.mark.rules("backend-R3")
def test_capabilities_are_read_without_the_framework() -> None:
    code = (
        "import sys; from mindref_torch.backend import TorchBackend;"
        "print(TorchBackend().capabilities().gradients, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["automatic", "False"]


@pytest.mark.rules("numerics-R7")
def test_arrays_turned_round_and_read_only_are_taken() -> None:
    x = np.arange(12.0).reshape(3, 4)[::-1, ::-1]
    x.setflags(write=False)
    out, _ = TorchBackend().ops.squash.forward(x, kind="none")
    assert (out == x).all()


@pytest.mark.rules("numerics-R1")
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.dtype(">f8"), np.dtype("U1")])
def test_types_that_no_operator_takes_are_a_shape_error(dtype: object) -> None:
    with pytest.raises(ShapeError):
        TorchBackend().ops.squash.forward(np.ones((2, 3)).astype(dtype), kind="squash")


@pytest.mark.rules("softmax-R7", "squash-R9")
def test_an_axis_that_is_none_is_a_shape_error() -> None:
    ops, x = TorchBackend().ops, np.ones((2, 3))
    for axis in (1.0, True, None, "1"):
        with pytest.raises(ShapeError, match=f"an axis from -2 to 1, got {axis}"):
            ops.softmax.forward(x, x > 0, axis=axis)
    with pytest.raises(ShapeError, match="at least one axis, got a number"):
        ops.squash.forward(np.array(3.0), kind="unit")


@pytest.mark.rules("numerics-R3", "notation-R1")
@pytest.mark.parametrize(
    "changes",
    [
        {"mask": torch.ones(2, 3)},
        {"mask": torch.ones(2, 4, dtype=torch.bool)},
        {"profile": torch.zeros(3, 0, dtype=torch.long)},
    ],
)
def test_histories_that_do_not_fit_are_a_shape_error(changes: dict) -> None:
    model = MIND(Config(width=4, interests=2), torch.arange(9)[:, None], torch.ones(9, 1))
    items, mask = torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)
    histories = Histories(items, mask, torch.zeros(2, 3, 2), torch.zeros(2, 0, dtype=torch.long))
    model.interests(histories)
    with pytest.raises(ShapeError, match=r"^histories"):
        model.interests(histories._replace(**changes))


def test_serving_hands_over_the_rows_that_are_named_and_no_others(monkeypatch) -> None:
    world = World(Settings(batch=4, length=5, width=4, negatives=5, catalogue=1000))
    original, counts = level_model.module, []

    def module(params, *given):
        counts.append(len(params.items))
        return original(params, *given)

    monkeypatch.setattr(level_model, "module", module)
    histories = world.batches[0].histories
    given = (world.params(), histories, world.catalogue, world.config)
    found, _ = TorchBackend().interests(*given)
    expected = NumpyBackend()
    whole, _ = mind.interests(*given, expected.ops)[:2]
    np.testing.assert_allclose(found.numpy(), whole, rtol=1e-4, atol=1e-5)
    assert counts == [len(np.unique(histories.items[histories.mask]))]


@pytest.mark.rules("softmax-R5")
def test_no_cotangent_of_a_masked_place_has_influence() -> None:
    logits, mask = np.array([[1.0, 2.0, 3.0]]), np.array([[True, True, False]])
    quiet, loud = (np.array([[1.0, -1.0, there]]) for there in (0.0, np.nan))
    found = [
        TorchBackend().differentiate("softmax", (logits, mask), {"axis": 1}, g)[0]
        for g in (quiet, loud)
    ]
    assert found[0].tobytes() == found[1].tobytes()
