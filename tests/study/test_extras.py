"""The extras in one piece: plain, repeatable, and in agreement with the trace."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.study import extras
from mindref.study.gradients import differences
from mindref.study.gradients.ledger import ledger_of
from mindref.study.run import Given, trace_of
from tests.study import small


def user(**changes: Any) -> Given:
    return Given(*small.given(0, 2, **{"iterations": 3, "power": 2.0, **changes}))


NO_SLOPE = ("d_items", "d_u.mixed")  # rows of a table under numbers of their own; half of d_u


@pytest.mark.parametrize("name", small.SETTINGS)
@pytest.mark.parametrize("gradient", ["all", "last"])
@pytest.mark.slow(every=5)
def test_every_gradient_of_the_trace_is_the_slope_by_its_tensor(name: str, gradient: str) -> None:
    given = user(**{**small.SETTINGS[name], "routing_gradient": gradient})
    if name == "uniform":  # all interests are one: whichever is taken
        assert given.config.attention == "mean"
    values = trace_of(given, phases=("forward", "backward")).values
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
            found = differences.difference(given, differences.moved_by(gradient_name), place)
            tolerance = 1e-6 * scale + 1e-9
            assert abs(found.difference - closed[place]) < tolerance, (gradient_name, place)
        checked += 1
    assert checked >= 15


def test_rows_of_the_table_have_their_slope_by_number() -> None:
    given = user()
    values = trace_of(given).values
    for r, row in enumerate(values["d_items.rows"][::4]):
        found = differences.difference(given, "items", (int(row), 1))
        assert found.difference == pytest.approx(values["d_items"][4 * r, 1], rel=1e-6, abs=1e-9)


def test_the_ledger_adds_up_to_the_trace() -> None:
    given = user(routing_gradient="all")
    values = trace_of(given).values
    for by in ("m", "S", "e"):
        found = ledger_of(given, by)
        total = np.sum([row.closed for row in found.rows], axis=0)
        np.testing.assert_allclose(total, values[f"d_{by}"], rtol=1e-9, atol=1e-15)
        if by == "m":
            for row in found.rows:
                np.testing.assert_array_equal(row.closed, values[row.tensor])


@pytest.mark.slow
def test_extras_are_plain_and_the_same_twice() -> None:
    given = user()
    once = json.dumps(extras.extras_of(given), allow_nan=False)
    assert once == json.dumps(extras.extras_of(given), allow_nan=False)
    read = json.loads(once)
    assert read["format"] == "mindref.extras/1"
    assert set(read["ledger"]) == {"m", "S", "e"}
    assert {"S", "m", "W[1]", "bias[2]"} <= {curve["tensor"] for curve in read["curves"]}
    plain = [case["name"] for case in read["variants"] if case["reference"] is None]
    assert "softmax-over-behaviours" in plain
    assert "mask-after-softmax" not in plain


def test_every_curve_comes_down_at_the_chosen_step() -> None:
    for curve in extras.curves(user()):
        errors = dict(zip(curve.h, curve.float64, strict=True))
        assert errors[curve.chosen["float64"]] < 1e-6, curve.tensor


def test_titles_stand_in_the_lists() -> None:
    titles = [f"Film {i}" for i in range(30)]
    read = extras.extras_of(user(), titles, ["no-log-q"])
    (case,) = read["variants"]
    assert all(found["title"] == f"Film {found['item']}" for found in case["variant"]["top"])
    assert read["reference"]["top"][0]["title"].startswith("Film")


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="closest"):
        extras.extras_of(user(), only=["no-such"])


@pytest.mark.parametrize(
    ("behaviours", "changes"),
    [(0, {}), (1, {}), (9, {"interests": 1}), (9, {"iterations": 1}), (9, {"hidden": ()})],
)
@pytest.mark.slow(every=5)
def test_users_at_the_edge_have_extras_too(behaviours: int, changes: dict[str, Any]) -> None:
    given = user(**changes)
    histories = given.batch.histories
    mask = np.arange(histories.mask.shape[1])[None] < behaviours
    given = given._replace(batch=given.batch._replace(histories=histories._replace(mask=mask)))
    json.dumps(extras.extras_of(given), allow_nan=False)
