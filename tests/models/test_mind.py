"""MIND: profile, active interests, padding, limits. test_families.py has what families share."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance import strategies
from mindref.models import logits, mind
from tests.assertions import assert_close
from tests.models.worlds import OPTIONS, World, world


def loss_of(w: World, **changes: Any) -> Any:
    return w._replace(config=dataclasses.replace(w.config, **changes)).loss()[0]


@pytest.mark.rules("model-R2")
def test_the_profile_is_its_features_side_by_side_in_their_order() -> None:
    params = world(np.random.default_rng(0), (2, 3, 4, 5)).params
    vectors, _ = mind.profile_vectors(params, np.array([[0, 2], [2, 1]]))
    q = params.profile
    np.testing.assert_array_equal(vectors, [[*q[0], *q[2]], [*q[2], *q[1]]])


@pytest.mark.rules("model-R3", "model-R7", "model-R17")
@pytest.mark.parametrize(("behaviours", "active"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (9, 3)])
def test_active_interests_count_behaviours_in_the_mask(behaviours: int, active: int) -> None:
    w = world(np.random.default_rng(0), (1, 40, 3, 2))
    mask = np.arange(40)[None] < behaviours
    assert mind.active_interests(mask, w.config).sum() == active
    fixed = dataclasses.replace(w.config, interest_count="fixed")
    assert mind.active_interests(mask, fixed).sum() == (3 if behaviours else 1)


@pytest.mark.rules("model-R5")
@pytest.mark.parametrize("last_relu", [False, True])
def test_only_last_relu_rectifies_the_last_layer(last_relu: bool) -> None:
    w = world(np.random.default_rng(0), (5, 8, 3, 7), last_relu=last_relu, hidden=[6])
    out = w.interests()[0]
    assert (out < 0).any() != last_relu
    assert (out > 0).any()


@pytest.mark.rules("model-R8")
@pytest.mark.parametrize("garbage", [0, 5, -3, 10**12])
def test_a_padded_position_is_never_looked_up(garbage: int) -> None:
    w = world(np.random.default_rng(0), (3, 6, 2, 4))
    mask = w.histories.mask
    assert not mask.all()
    items = np.where(mask, np.clip(w.histories.items, 1, 3), garbage)
    w = w.with_shared(target=np.ones(3, int), negatives=np.array([2]))
    w = w.with_shared(negative_log_expected=np.zeros(1)).with_histories(items=items)
    zeros = w.with_histories(items=np.where(mask, items, 0))
    assert w.loss()[0] == zeros.loss()[0]
    gradient, reached = w.gradients().items, [*items[mask], 1, 2]
    counted = w.catalogue.weights[reached] > 0
    assert set(gradient.rows) == set(w.catalogue.rows[reached][counted])
    assert gradient.values.tobytes() == zeros.gradients().items.values.tobytes()


@pytest.mark.rules("model-R16")
@given(rng=strategies.generators())
def test_with_keyed_logits_a_user_depends_on_nobody_else_and_on_no_order(
    rng: np.random.Generator,
) -> None:
    w = world(rng, (4, 9, 3, 5))
    table = logits.keyed_table(7, 6, 3, 1.0, "float64")

    def served(items: Any, mask: Any, profile: Any) -> Any:
        histories = mind.Histories(items, mask, logits.history_logits(table, items), profile)
        return w.with_shared(histories=histories).interests()[0]

    mask, profile = w.histories.mask, w.histories.profile
    items = np.where(mask, w.histories.items, 0)
    together = served(items, mask, profile)
    for b in range(4):
        order = rng.permutation(np.flatnonzero(mask[b]))
        alone = served(items[b][order][None], np.ones((1, len(order)), bool), profile[b : b + 1])
        assert_close(alone[0], together[b], f"user {b}")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_with_zero_logits_the_interests_of_a_user_stay_equal(options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(0), (4, 17, 3, 5), **options)
    out, active, _ = w.with_histories(init_logits=0 * w.histories.init_logits).interests()
    assert active.any(axis=0).all()
    assert_close(out, np.where(active[..., None], out[:, :1], 0), "sigma = 0")


def test_one_interest_ignores_logits_iterations_and_power() -> None:
    w = world(np.random.default_rng(0), (4, 7, 1, 5))
    expected = loss_of(w, iterations=1, power=0.0)
    other = w.with_histories(init_logits=5 * w.histories.init_logits).loss()[0]
    assert_close(other, expected, "K = 1", atol=0)
