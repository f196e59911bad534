"""The extras in one piece: plain, repeatable, and in agreement with the trace."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.study import derived_views
from mindref.study.tracing import TrainingPair
from tests.study import pairs


def user(**changes: Any) -> TrainingPair:
    return TrainingPair(*pairs.make_small_pair(0, 2, **{"iterations": 3, "power": 2.0, **changes}))


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
