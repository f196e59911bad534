"""bfloat16 storage, sums in float32, one rounding. The conformance suite tests the values."""

from __future__ import annotations

import ml_dtypes  # noqa: F401  # registers the dtype in NumPy
import pytest
import torch
from sample_model import CONFIG, LENGTH, USERS, make_batch, make_model

from mindref.config import Config
from mindref.conformance.bounds.precision import TYPES, Precision
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.plan import (
    RunSettings,
    claimed_precisions,
    covers_check,
    planned_checks,
    run_planned_check,
)
from mindref.conformance.tolerances import ROUNDING
from mindref.errors import ShapeError
from mindref_torch import Batch, routing
from mindref_torch.backend import TorchBackend
from mindref_torch.embedding import embedding
from mindref_torch.relu_layer import relu_layer
from mindref_torch.softmax import softmax

UNIT = TYPES["bfloat16"].unit


def test_the_conformance_suite_covers_bfloat16() -> None:
    *_, precision = claimed_precisions(BackendImplementation(TorchBackend()))
    assert precision == ("bfloat16", "float32", "float32")
    assert covers_check(precision, "ops", agreement=True)


@pytest.mark.rules("conformance-R12")
def test_the_suite_detects_rounded_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that claims only sums in float32 may round them."""
    subject = BackendImplementation(TorchBackend())
    *_, single_rounding = claimed_precisions(subject)
    names = {
        "routing/one_iteration_matches_the_reference",
        "routing/two_iterations_match_the_reference",
    }
    checks = [
        check for check in planned_checks(all_checks(), single_rounding) if check.name in names
    ]

    def failing_checks(precision: Precision) -> set[str]:
        results = [run_planned_check(c, subject, precision, RunSettings("smoke")) for c in checks]
        return {r.check for r in results if r.status == "failed"}

    assert not failing_checks(single_rounding)
    project_votes = routing.project_votes
    monkeypatch.setattr(
        routing, "project_votes", lambda *arguments: project_votes(*arguments).bfloat16().float()
    )
    assert failing_checks(single_rounding) == names
    assert not failing_checks(Precision.of(("bfloat16", "float32")))


@pytest.mark.rules("numerics-R1")
def test_bfloat16_with_another_dtype_raises_a_shape_error() -> None:
    x, weight, bias = torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)
    for arguments in ((x.bfloat16(), weight, bias), (x, weight, bias.bfloat16())):
        with pytest.raises(ShapeError, match="expected one dtype"):
            relu_layer(*arguments, relu=True)
    with pytest.raises(ShapeError, match="expected one dtype"):
        embedding(weight.bfloat16(), torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1))


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_of_a_repeated_row_are_summed_in_float32(sparse: bool) -> None:
    table = torch.zeros(3, 1, dtype=torch.bfloat16, requires_grad=True)
    rows = torch.ones(1000, 1, dtype=torch.long)
    out = embedding(table, rows, torch.ones(1000, 1, dtype=torch.bfloat16), sparse=sparse)
    out.sum().backward()
    assert out.dtype == table.grad.dtype == torch.bfloat16
    assert table.grad.to_dense().flatten().tolist() == [0, 1000, 0]  # 256 + 1 is 256 in bfloat16


def test_a_sum_is_rounded_once() -> None:
    logits = torch.zeros(1, 1000, dtype=torch.bfloat16, requires_grad=True)
    weights = softmax(logits, torch.ones(1, 1, dtype=torch.bool), axis=1)
    assert weights.dtype == torch.bfloat16
    assert (weights == torch.tensor(1e-3).bfloat16()).all()


@pytest.mark.parametrize("preset", ["mind", "recommended"])
def test_a_bfloat16_module_learns(preset: str) -> None:
    config = CONFIG
    if preset != "mind":
        config = Config.of(preset, {"interests": CONFIG.interests, "width": CONFIG.width})
    model, batch = make_model(config), make_batch()
    if config.dropout:
        factors = torch.full((USERS, LENGTH, CONFIG.width), 1 - config.dropout)
        batch = batch._replace(keep=factors.bernoulli() / (1 - config.dropout))
    float32_loss = model(batch).item()
    model.bfloat16()
    converted = (None if x is None else x.bfloat16() for x in batch[3:])
    histories = batch.histories._replace(init_logits=batch.histories.init_logits.bfloat16())
    batch = Batch(histories, *batch[1:3], *converted)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = model(batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert loss.dtype == torch.bfloat16
    assert losses[0] == pytest.approx(float32_loss, rel=ROUNDING * UNIT)
    assert losses[-1] < 0.9 * losses[0]
