"""The gradient ledger: 2R - 1 rows that add up, each with finite differences of its own."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.ops import routing, softmax
from mindref.study.gradients import batched_differences, ledger
from mindref.study.record import InstrumentedReference, instrument_reference
from mindref.study.tracing import TrainingPair
from tests.study import small_pair


def replace_in_copies(monkeypatch: pytest.MonkeyPatch, stem: str, name: str, function: Any) -> None:
    """Replace a function of an operator in the copies that the ledger runs."""

    def replaced() -> InstrumentedReference:
        copies = instrument_reference()
        setattr(getattr(copies.modules.ops, stem), name, function)
        return copies

    monkeypatch.setattr(ledger, "instrument_reference", replaced)


@pytest.mark.parametrize("name", small_pair.SETTINGS)
@pytest.mark.parametrize("by", ["Se", "S", "e"])
def test_rows_sum_to_the_total_and_equal_finite_differences(name: str, by: str) -> None:
    pair = small_pair.make_small_pair(0, 2, **small_pair.SETTINGS[name])
    found = ledger.make_ledger(pair, by)
    assert len(found.rows) == 2 * found.iterations - 1
    assert found.residual < 1e-12
    assert found.last_residual < 1e-12
    assert found.check.error < 1e-7
    for row in found.rows:
        assert row.check.error < 1e-6, row.name
        assert row.check.checked == row.closed.size
        assert row.check.norm == pytest.approx(row.norm, rel=1e-6)
        assert row.norm > 0


@pytest.mark.rules("routing-R11", "routing-R12")
def test_sum_and_last_row_equal_the_gradients_of_the_reference() -> None:
    for gradient in ("all", "last"):
        pair = small_pair.make_small_pair(3, 2, power=2.0, iterations=4, routing_gradient=gradient)
        found = ledger.make_ledger(pair, "S")
        returned = mind.backward(mind.loss(*pair)[1]).bilinear
        rows = found.rows if gradient == "all" else [r for r in found.rows if r.kept_by_last]
        np.testing.assert_allclose(
            sum(row.closed for row in rows), returned, rtol=1e-12, atol=1e-14
        )


def test_rows_are_in_backward_order() -> None:
    found = ledger.make_ledger(small_pair.make_small_pair(0, power=2.0, iterations=3))
    assert [row.name for row in found.rows] == ["z3", "b3", "z2", "b2", "z1"]
    tensors = ["from_z[3]", "from_a[2]", "from_z[2]", "from_a[1]"]
    assert [row.tensor for row in found.rows] == [*tensors, "from_z[1]"]
    assert [row.kept_by_last for row in found.rows] == [True, False, False, False, False]
    assert found.rows[0].share > max(row.share for row in found.rows[1:])


def test_a_wrong_softmax_gradient_affects_only_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The softmax Jacobian loses a term: nothing but what goes through weights is wrong."""

    def diagonal(d_out: Any, saved: softmax.Saved) -> Any:
        return saved.out * d_out

    pair = small_pair.make_small_pair(0, power=0.0, iterations=3)
    replace_in_copies(monkeypatch, "softmax", "backward", diagonal)
    found = ledger.make_ledger(pair)
    errors = {row.name: row.check.error for row in found.rows}
    assert errors["z3"] < 1e-7
    assert min(error for name, error in errors.items() if name != "z3") > 1e-3
    assert found.check.error > 1e-3


def test_a_missing_part_of_the_gradient_changes_the_residual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gradient of S is computed from other gradients of the votes than the recorded ones."""
    pair = small_pair.make_small_pair(0, power=2.0, iterations=3)
    real = routing.project_votes_backward

    def lossy(d_votes: Any, history: Any, bilinear: Any) -> Any:
        return real(1.001 * d_votes, history, bilinear)

    replace_in_copies(monkeypatch, "routing", "project_votes_backward", lossy)
    assert ledger.make_ledger(pair, "S").residual == pytest.approx(1e-3, rel=1e-2)


def test_large_arrays_are_compared_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_differences, "MAX_ENTRIES", 10)
    found = ledger.make_ledger(small_pair.make_small_pair(0, power=2.0, iterations=2))
    check = found.rows[0].check
    assert 5 < check.checked <= 10
    assert check.norm is None
    indices = batched_differences.select_indices(found.rows[0].closed)
    largest = np.unravel_index(np.argmax(np.abs(found.rows[0].closed)), found.rows[0].closed.shape)
    assert list(largest) in indices.tolist()


def test_rows_are_restored_from_json() -> None:
    found = ledger.make_ledger(small_pair.make_small_pair(0, power=2.0))
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    read = [
        np.frombuffer(base64.b64decode(row["data"]["data"]), "<f8").reshape(row["data"]["shape"])
        for row in content["rows"]
    ]
    np.testing.assert_array_equal(read, [row.closed for row in found.rows])
    total = float(np.linalg.norm(np.sum(read, axis=0)))
    assert total == pytest.approx(content["sum"]["norm"], rel=1e-12)
    assert content["last"]["keeps"] == [content["rows"][0]["name"]]
    assert (
        ledger.make_ledger(small_pair.make_small_pair(0), "S").to_json()["rows"][0]["data"] is None
    )


def test_a_zero_gradient_has_a_ledger() -> None:
    """Every unit of the last rectifier is shut: nothing reaches routing."""
    pair = small_pair.make_small_pair(0, power=2.0, last_relu=True)
    shut = pair.params.layers[-1]
    layers = (*pair.params.layers[:-1], shut._replace(bias=shut.bias - 1e3))
    pair = pair._replace(params=pair.params._replace(layers=layers))
    found = ledger.make_ledger(pair)
    assert found.residual == found.last_residual == found.check.error == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_an_unknown_ledger_raises() -> None:
    with pytest.raises(ConfigError, match="Se or S or e"):
        ledger.make_ledger(small_pair.make_small_pair(0), "W")


def test_residuals_measure_a_wrong_total(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gradient of the library that is another one, both say by how much."""
    real = ledger.record_terms

    def other(pair: TrainingPair, gradient: str) -> ledger.RecordedTerms:
        found = real(pair, gradient)
        return found._replace(totals={name: 1.01 * x for name, x in found.totals.items()})

    monkeypatch.setattr(ledger, "record_terms", other)
    found = ledger.make_ledger(TrainingPair(*small_pair.make_small_pair(0, iterations=3)))
    assert found.residual == pytest.approx(0.01 / 1.01)
    assert found.last_residual == pytest.approx(0.01 / 1.01)
