"""bfloat16: stored in it, added up in float32, rounded once. The judge compares the numbers."""

from __future__ import annotations

import ml_dtypes  # noqa: F401  # gives NumPy the type
import pytest
import torch
from a_model import batch_of, model_of

from mindref.conformance.bounds.precision import TYPES, Precision
from mindref.conformance.judging.check import all_checks
from mindref.conformance.judging.plan import Settings, judged, judges, planned, precisions
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.tolerances import ROUNDING
from mindref.errors import ShapeError
from mindref_torch import routing
from mindref_torch.backend import TorchBackend
from mindref_torch.embedding import embedding
from mindref_torch.relu_layer import relu_layer
from mindref_torch.softmax import softmax

UNIT = TYPES["bfloat16"].unit


def test_the_judge_is_asked_to_judge_it() -> None:
    *_, narrow = precisions(OfBackend(TorchBackend()))
    assert narrow == ("bfloat16", "float32", "float32")
    assert judges(narrow, "ops", agreement=True)


@pytest.mark.rules("conformance-R12")
def test_votes_that_are_rounded_on_the_way_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are a backend's good right that claims no more than sums in float32."""
    subject = OfBackend(TorchBackend())
    *_, once = precisions(subject)
    rounds = {"routing/one_round_agrees", "routing/two_rounds_agree"}
    asked = [check for check in planned(all_checks(), once) if check.name in rounds]

    def failing(precision: Precision) -> set[str]:
        results = [judged(c, subject, precision, Settings("smoke")) for c in asked]
        return {r.check for r in results if r.status == "failed"}

    assert not failing(once)
    cast = routing.cast
    monkeypatch.setattr(routing, "cast", lambda *given: cast(*given).bfloat16().float())
    assert failing(once) == rounds
    assert not failing(Precision.of(("bfloat16", "float32")))


@pytest.mark.rules("numerics-R1")
def test_bfloat16_beside_another_type_is_refused() -> None:
    x, weight, bias = torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)
    for given in ((x.bfloat16(), weight, bias), (x, weight, bias.bfloat16())):
        with pytest.raises(ShapeError, match="expected one type"):
            relu_layer(*given, relu=True)
    with pytest.raises(ShapeError, match="expected one type"):
        embedding(weight.bfloat16(), torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_row_that_is_used_often_is_added_up_in_float32(sparse: bool) -> None:
    table = torch.zeros(3, 1, dtype=torch.bfloat16, requires_grad=True)
    often = torch.ones(1000, 1, dtype=torch.long)
    out = embedding(table, often, torch.ones(1000, 1, dtype=torch.bfloat16), sparse=sparse)
    out.sum().backward()
    assert out.dtype == table.grad.dtype == torch.bfloat16
    assert table.grad.to_dense().flatten().tolist() == [0, 1000, 0]  # 256 + 1 is 256 in bfloat16


def test_a_sum_is_rounded_once() -> None:
    logits = torch.zeros(1, 1000, dtype=torch.bfloat16, requires_grad=True)
    weights = softmax(logits, torch.ones(1, 1, dtype=torch.bool), axis=1)
    assert weights.dtype == torch.bfloat16
    assert (weights == torch.tensor(1e-3).bfloat16()).all()


def test_a_module_in_bfloat16_learns() -> None:
    model, batch = model_of(), batch_of()
    plain = model(batch).item()
    model.bfloat16()
    narrow = [x.bfloat16() if x.is_floating_point() else x for x in batch[3:]]
    histories = batch.histories._replace(init_logits=batch.histories.init_logits.bfloat16())
    batch = batch._replace(
        histories=histories, target_log_expected=narrow[0], negative_log_expected=narrow[1]
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = model(batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert loss.dtype == torch.bfloat16
    assert losses[0] == pytest.approx(plain, rel=ROUNDING * UNIT)
    assert losses[-1] < 0.9 * losses[0]
