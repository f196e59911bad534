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
from mindref.study.gradients import ledger, slopes
from mindref.study.run import Given
from tests.study import small


@pytest.mark.parametrize("name", small.SETTINGS)
@pytest.mark.parametrize("by", ["m", "S", "e"])
def test_rows_add_up_and_each_is_its_own_slope(name: str, by: str) -> None:
    given = small.given(0, 2, **small.SETTINGS[name])
    found = ledger.ledger_of(given, by)
    assert len(found.rows) == 2 * found.rounds - 1
    assert found.residual < 1e-12
    assert found.last_residual < 1e-12
    assert found.check.error < 1e-7
    for row in found.rows:
        assert row.check.error < 1e-6, row.name
        assert row.check.checked == row.closed.size
        assert row.check.norm == pytest.approx(row.norm, rel=1e-6)
        assert row.norm > 0


@pytest.mark.rules("routing-R11", "routing-R12")
def test_the_sum_and_the_last_row_are_what_the_library_returns() -> None:
    for gradient in ("all", "last"):
        given = small.given(3, 2, power=2.0, iterations=4, routing_gradient=gradient)
        found = ledger.ledger_of(given, "S")
        returned = mind.backward(mind.loss(*given)[1]).bilinear
        rows = found.rows if gradient == "all" else [r for r in found.rows if r.kept_by_last]
        np.testing.assert_allclose(
            sum(row.closed for row in rows), returned, rtol=1e-12, atol=1e-14
        )


def test_rows_stand_in_the_order_of_backward() -> None:
    found = ledger.ledger_of(small.given(0, power=2.0, iterations=3))
    assert [row.name for row in found.rows] == ["z3", "b3", "z2", "b2", "z1"]
    tensors = ["from_sums[3]", "from_agreement[2]", "from_sums[2]", "from_agreement[1]"]
    assert [row.tensor for row in found.rows] == [*tensors, "from_sums[1]"]
    assert [row.kept_by_last for row in found.rows] == [True, False, False, False, False]
    assert found.rows[0].share > max(row.share for row in found.rows[1:])


def test_a_wrong_row_is_found_and_the_others_are_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The softmax Jacobian loses a term: nothing but what goes through weights is wrong."""

    def diagonal(d_out: Any, saved: softmax.Saved) -> Any:
        return saved.out * d_out

    given = small.given(0, power=0.0, iterations=3)
    monkeypatch.setattr(softmax, "backward", diagonal)
    found = ledger.ledger_of(given)
    errors = {row.name: row.check.error for row in found.rows}
    assert errors["z3"] < 1e-7
    assert min(error for name, error in errors.items() if name != "z3") > 1e-3
    assert found.check.error > 1e-3


def test_a_part_that_is_lost_shows_in_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mapped behaviours get nothing from the agreement, but the recorder is told of it."""
    given = small.given(0, power=2.0, iterations=3)
    real = routing.project_backward

    def lossy(d_votes: Any, history: Any, bilinear: Any) -> Any:
        return real(1.001 * d_votes, history, bilinear)

    monkeypatch.setattr(routing, "project_backward", lossy)
    assert ledger.ledger_of(given, "S").residual == pytest.approx(1e-3, rel=1e-2)


def test_many_entries_are_compared_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slopes, "MOST", 10)
    found = ledger.ledger_of(small.given(0, power=2.0, iterations=2))
    check = found.rows[0].check
    assert 5 < check.checked <= 10
    assert check.norm is None
    indices = slopes.chosen(found.rows[0].closed)
    largest = np.unravel_index(np.argmax(np.abs(found.rows[0].closed)), found.rows[0].closed.shape)
    assert list(largest) in indices.tolist()


def test_the_rows_can_be_read_back_from_json() -> None:
    found = ledger.ledger_of(small.given(0, power=2.0))
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    read = [
        np.frombuffer(base64.b64decode(row["data"]["data"]), "<f8").reshape(row["data"]["shape"])
        for row in content["rows"]
    ]
    np.testing.assert_array_equal(read, [row.closed for row in found.rows])
    total = float(np.linalg.norm(np.sum(read, axis=0)))
    assert total == pytest.approx(content["sum"]["norm"], rel=1e-12)
    assert content["last"]["keeps"] == [content["rows"][0]["name"]]
    assert ledger.ledger_of(small.given(0), "S").to_json()["rows"][0]["data"] is None


def test_a_gradient_of_zero_has_a_ledger_too() -> None:
    """Every unit of the last rectifier is shut: nothing reaches routing."""
    given = small.given(0, power=2.0, last_relu=True)
    shut = given.params.layers[-1]
    layers = (*given.params.layers[:-1], shut._replace(bias=shut.bias - 1e3))
    given = given._replace(params=given.params._replace(layers=layers))
    found = ledger.ledger_of(given)
    assert found.residual == found.last_residual == found.check.error == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_another_ledger_is_refused() -> None:
    with pytest.raises(ConfigError, match="m or S or e"):
        ledger.ledger_of(small.given(0), "W")


def test_the_residuals_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gradient of the library that is another one, both say by how much."""
    real = ledger.paths

    def other(given: Given, gradient: str) -> ledger.Paths:
        found = real(given, gradient)
        found.whole = {name: 1.01 * x for name, x in found.whole.items()}
        return found

    monkeypatch.setattr(ledger, "paths", other)
    found = ledger.ledger_of(Given(*small.given(0, iterations=3)))
    assert found.residual == pytest.approx(0.01 / 1.01)
    assert found.last_residual == pytest.approx(0.01 / 1.01)
