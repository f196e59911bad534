"""Tests beyond the conformance suite: imports, and conversions of arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.backends.framework_interface import FrameworkInterface
from tests.backends.runs import Runs
from tests.backends.training import Training

from mindref.backend import NumpyBackend
from mindref.bench.workload import Workload, WorkloadSettings
from mindref.config import Config
from mindref.errors import ShapeError
from mindref.models import mind
from mindref_torch import level_model
from mindref_torch.backend import TorchBackend
from mindref_torch.model import MIND, Histories
from mindref_torch.softmax import softmax
from mindref_torch.squash import squash


class TestFrameworkInterface(FrameworkInterface):
    name, backend = "torch", TorchBackend


class TestRuns(Runs):
    name = "torch"


def test_a_masked_position_has_no_weight_beside_the_lowest_logit():
    lowest = torch.finfo(torch.float32).min
    weights = softmax(torch.tensor([[lowest, 1.0]]), torch.tensor([[True, False]]), axis=1)
    assert weights.tolist() == [[1.0, 0.0]]


def test_a_second_derivative_in_closed_form_is_an_error():
    x = torch.ones(2, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(squash(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.sum().backward()


class TestTraining(Training):
    name = "torch"


@pytest.mark.rules("numerics-R3", "notation-R1")
@pytest.mark.parametrize(
    "changes",
    [
        {"mask": torch.ones(2, 3)},
        {"mask": torch.ones(2, 4, dtype=torch.bool)},
        {"profile": torch.zeros(3, 0, dtype=torch.long)},
    ],
)
def test_histories_with_wrong_shapes_raise_a_shape_error(changes: dict) -> None:
    model = MIND(Config(width=4, interests=2), torch.arange(9)[:, None], torch.ones(9, 1))
    items, mask = torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)
    histories = Histories(items, mask, torch.zeros(2, 3, 2), torch.zeros(2, 0, dtype=torch.long))
    model.interests(histories)
    with pytest.raises(ShapeError, match=r"^histories"):
        model.interests(histories._replace(**changes))


def test_serving_converts_only_the_rows_of_the_histories(monkeypatch) -> None:
    workload = Workload(WorkloadSettings(batch=4, length=5, width=4, negatives=5, catalogue=1000))
    original, counts = level_model.build_module, []

    def build_module(params, *arguments):
        counts.append(len(params.items))
        return original(params, *arguments)

    monkeypatch.setattr(level_model, "build_module", build_module)
    histories = workload.batches[0].histories
    arguments = (workload.params(), histories, workload.catalogue, workload.config)
    interests, _ = TorchBackend().interests(*arguments)
    reference = NumpyBackend()
    reference_interests, _ = mind.interests(*arguments, reference.ops)[:2]
    np.testing.assert_allclose(interests.numpy(), reference_interests, rtol=1e-4, atol=1e-5)
    assert counts == [len(np.unique(histories.items[histories.mask]))]
