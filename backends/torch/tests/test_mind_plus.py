"""mind_plus in PyTorch agrees with the reference at levels 2 and 3, and so does pooled_softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.backends.exported_towers import GIVEN_NUMBERS
from tests.backends.families import (
    ITEM_VOTES,
    WITH_LAYERS,
    MindPlus,
    assert_matches_reference,
    large_plus_world,
)
from tests.models.worlds import World, plus_world

from mindref.backend import NumpyBackend
from mindref.config import Config
from mindref.models.mind_plus import ages
from mindref.models.parameters import flatten
from mindref.presets import PRESETS
from mindref_torch import MIND
from mindref_torch.backend import TorchBackend
from mindref_torch.mind_plus import look_up_log_weights

EACH_PRESET = pytest.mark.parametrize(
    "settings", [WITH_LAYERS, ITEM_VOTES], ids=["layers", "item votes"]
)


class TestMindPlus(MindPlus):
    name, backend = "torch", TorchBackend


def check_world(w: World, where: str = "") -> None:
    assert_matches_reference(w, TorchBackend(), NumpyBackend(), where)


@pytest.mark.rules("mind_plus-R14", "mind_plus-R17", "mind_plus-R18", "backend-R19")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings", [WITH_LAYERS, {**ITEM_VOTES, "dropout": 0.5}], ids=["layers", "item votes"]
)
def test_the_settings_of_the_presets_with_many_users(settings: dict[str, Any], dtype: str) -> None:
    check_world(large_plus_world(dtype=dtype, **settings))


@pytest.mark.rules(
    "mind_plus-R2", "mind_plus-R8", "mind_plus-R11", "mind_plus-R20", "mind_plus-R23"
)
@pytest.mark.parametrize("changes", [{}, {"votes": "items", "head": "none", "contexts": 0}])
def test_a_new_module_has_the_parameters_of_the_reference(changes: dict[str, Any]) -> None:
    config = Config.of(
        "recommended", {"width": 8, "profile_width": 2, "dtype": "float64", **changes}
    )
    settings = {**PRESETS["recommended"], **GIVEN_NUMBERS, "hidden": config.hidden, **changes}
    w = plus_world(0, (4, 17, 4, 8), **settings)
    rows, weights = map(torch.tensor, w.catalogue)
    model = MIND(config, rows, weights, profiles=5, features=0 if changes else 2)
    if not changes:
        np.testing.assert_array_equal(model.bilinear.detach(), np.eye(8))
        assert not model.layers[-1].weight.any()
    state = {name: tuple(x.shape) for name, x in model.state_dict().items()}
    expected = {name: x.shape for name, x in flatten(w.params).items()}
    assert {**state, "profile": ()} == {**expected, "profile": ()}
    np.testing.assert_array_equal(model.positions.detach(), ages.start(config))


def test_the_gradient_of_a_log_weight_is_summed_in_float32() -> None:
    positions = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    out = look_up_log_weights(positions, torch.ones(1000, 1, dtype=torch.bool))
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert positions.grad.flatten().tolist() == [1000, 0]  # 256 + 1 is 256 in bfloat16


@EACH_PRESET
def test_every_tensor_is_on_the_device_of_the_parameters(settings: dict[str, Any]) -> None:
    """The default device is `meta`, so a tensor without a device has no values."""
    w, default_device = plus_world(3, keep=True, **settings), torch.get_default_device()
    torch.set_default_device("meta")
    try:
        check_world(w)
    finally:
        torch.set_default_device(default_device)
