"""The extras in one piece: plain, repeatable, and in agreement with the trace."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.study import derived_views
from mindref.study.gradients import differences
from mindref.study.gradients.ledger import make_ledger
from mindref.study.tracing import TrainingPair, trace_pair
from tests.study import small_pair


def user(**changes: Any) -> TrainingPair:
    return TrainingPair(
        *small_pair.make_small_pair(0, 2, **{"iterations": 3, "power": 2.0, **changes})
    )


NO_SLOPE = ("d_items", "d_v.mixed")  # rows of a table under numbers of their own; half of d_v


@pytest.mark.parametrize("name", small_pair.SETTINGS)
@pytest.mark.parametrize("gradient", ["all", "last"])
@pytest.mark.slow(every=5)
def test_every_gradient_of_the_trace_equals_its_finite_difference(name: str, gradient: str) -> None:
    pair = user(**{**small_pair.SETTINGS[name], "routing_gradient": gradient})
    if name == "uniform":  # all interests are one: whichever is taken
        assert pair.config.attention == "mean"
    values = trace_pair(pair, phases=("forward", "backward")).values
    rng = np.random.default_rng(0)
    checked = 0
    for gradient_name, closed in values.items():
        if not gradient_name.startswith(("d_", "from_")) or closed.dtype != np.float64:
            continue
        if gradient_name in NO_SLOPE or closed.size == 0:
            continue
        scale = np.abs(closed).max()
        for index in rng.permutation(list(np.ndindex(closed.shape)))[:4]:
            place = tuple(int(i) for i in index)
            found = differences.finite_difference(
                pair, differences.perturbed_tensor(gradient_name), place
            )
            tolerance = 1e-6 * scale + 1e-9
            assert abs(found.difference - closed[place]) < tolerance, (gradient_name, place)
        checked += 1
    assert checked >= 15


def test_gradients_of_table_rows_equal_finite_differences() -> None:
    pair = user()
    values = trace_pair(pair).values
    for r, row in enumerate(values["d_items.rows"][::4]):
        found = differences.finite_difference(pair, "items", (int(row), 1))
        assert found.difference == pytest.approx(values["d_items"][4 * r, 1], rel=1e-6, abs=1e-9)


def test_the_ledger_adds_up_to_the_trace() -> None:
    pair = user(routing_gradient="all")
    values = trace_pair(pair).values
    for by in ("Se", "S", "e"):
        found = make_ledger(pair, by)
        total = np.sum([row.closed for row in found.rows], axis=0)
        np.testing.assert_allclose(total, values[f"d_{by}"], rtol=1e-9, atol=1e-15)
        if by == "Se":
            for row in found.rows:
                np.testing.assert_array_equal(row.closed, values[row.tensor])


@pytest.mark.slow
def test_derived_views_are_json_and_reproducible() -> None:
    pair = user()
    once = json.dumps(derived_views.derive_views(pair), allow_nan=False)
    assert once == json.dumps(derived_views.derive_views(pair), allow_nan=False)
    read = json.loads(once)
    assert read["format"] == "mindref.derived-views/1"
    assert set(read["ledger"]) == {"Se", "S", "e"}
    assert {"S", "Se", "W[1]", "bias[2]"} <= {curve["tensor"] for curve in read["curves"]}
    plain = [case["name"] for case in read["variants"] if case["reference"] is None]
    assert "softmax-over-behaviours" in plain
    assert "mask-after-softmax" not in plain


def test_every_curve_has_a_small_error_at_the_default_step() -> None:
    for curve in derived_views.gradient_curves(user()):
        errors = dict(zip(curve.h, curve.float64, strict=True))
        assert errors[curve.chosen["float64"]] < 1e-6, curve.tensor


def test_lists_have_titles() -> None:
    titles = [f"Film {i}" for i in range(30)]
    read = derived_views.derive_views(user(), titles, ["no-log-q"])
    (case,) = read["variants"]
    assert all(found["title"] == f"Film {found['item']}" for found in case["variant"]["top"])
    assert read["reference"]["top"][0]["title"].startswith("Film")


def test_an_unknown_variant_raises() -> None:
    with pytest.raises(ConfigError, match="closest"):
        derived_views.derive_views(user(), only=["no-such"])


@pytest.mark.parametrize(
    ("behaviours", "changes"),
    [(0, {}), (1, {}), (9, {"interests": 1}), (9, {"iterations": 1}), (9, {"hidden": ()})],
)
@pytest.mark.slow(every=5)
def test_users_with_edge_cases_have_derived_views(behaviours: int, changes: dict[str, Any]) -> None:
    pair = user(**changes)
    histories = pair.batch.histories
    mask = np.arange(histories.mask.shape[1])[None] < behaviours
    pair = pair._replace(batch=pair.batch._replace(histories=histories._replace(mask=mask)))
    json.dumps(derived_views.derive_views(pair), allow_nan=False)
