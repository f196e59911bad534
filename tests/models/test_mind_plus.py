"""MIND plus: it is MIND where nothing is added, and its losses.

test_families.py has what families share.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mindref.config import Config
from mindref.models import mind, parameters
from mindref.ops import pooled_softmax
from tests.models.worlds import OPTIONS, World, plus_world


@pytest.mark.rules("mind_plus-R21")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("routing_gradient", ["last", "all"])
@pytest.mark.parametrize("power", [0.5, np.inf])
def test_where_nothing_is_added_it_is_mind_bit_for_bit(
    options: dict[str, Any], routing_gradient: str, power: float
) -> None:
    w = plus_world(0, routing_gradient=routing_gradient, power=power, **options)
    config = Config.of("default", {**dataclasses.asdict(w.config), "model": "mind"})
    p = w.params
    params = parameters.Params(p.items, p.profile, p.bilinear, p.layers)
    of_mind = World(params, w.shared, w.catalogue, config, w.sizes)
    assert w.loss()[0] == of_mind.loss()[0]
    expected = parameters.flatten_gradients(of_mind.gradients())
    gradients = parameters.flatten_gradients(w.gradients())
    assert gradients.pop("positions").shape == (17, 0)
    assert list(gradients) == list(expected)
    for name, x in gradients.items():
        for part, want in zip(parts(x), parts(expected[name]), strict=True):
            np.testing.assert_array_equal(part, want, err_msg=name)
    np.testing.assert_array_equal(w.interests()[0], of_mind.interests()[0])


def parts(gradient: Any) -> list[Any]:
    """Return the arrays of a gradient: rows and values of a table's."""
    return list(gradient) if isinstance(gradient, tuple) else [gradient]


def loss_of(w: World, **changes: Any) -> Any:
    return w._replace(config=dataclasses.replace(w.config, **changes)).loss()[0]


@pytest.mark.rules("mind_plus-R17")
@pytest.mark.parametrize("sharpness", [0.0, 0.5, 1.0, np.inf])
def test_the_pooled_loss_is_that_of_the_score_of_serving(sharpness: float) -> None:
    numbers = {"sharpness": sharpness, "temperature": 0.7}
    w = plus_world(0, attention="pooled", recency="interests", contexts=1, **numbers)
    out, active, _ = w.interests()
    ids = (w.shared.target, w.shared.negatives)
    vectors = [mind.item_vectors(w.params, x, w.catalogue)[0] for x in ids]
    logs = (w.shared.target_log_expected, w.shared.negative_log_expected)
    assert loss_of(w) == pooled_softmax.forward(out, active, *vectors, *ids, *logs, **numbers)[0]
    assert loss_of(w, power=2.0) == loss_of(w, score="sum") == loss_of(w)


@pytest.mark.rules("mind_plus-R17")
@pytest.mark.parametrize("power", [0.5, 2.0, np.inf])
def test_attention_mean_is_that_of_power_zero_and_ignores_sharpness(power: float) -> None:
    w = plus_world(0, recency="interests", power=power, attention="mean")
    assert loss_of(w) == loss_of(w, attention="label", power=0.0)
    assert loss_of(w) != loss_of(w, attention="label")
    assert loss_of(w) == loss_of(w, sharpness=5.0)
