"""MIND as a whole: composition, padding, limits. Options and gradient have files of their own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, same_math
from mindref.errors import ShapeError
from mindref.models import logits, mind
from mindref.models.parameters import Catalogue, Layer, Params
from mindref.ops import squash
from tests import naive, spec_pages
from tests.models.worlds import OPTIONS, World, world, worlds

EXAMPLE = spec_pages.examples("model")[0]


def loss_of(w: World, **changes: Any) -> Any:
    config = dataclasses.replace(w.config, **changes)
    return mind.loss(w.params, w.batch, w.catalogue, config)[0]


def interests_of(w: World, **changes: Any) -> tuple[Any, Any]:
    config = dataclasses.replace(w.config, **changes)
    return mind.interests(w.params, w.batch.histories, w.catalogue, config)[:2]


@pytest.mark.rules(
    "model-R1",
    "model-R2",
    "model-R3",
    "model-R4",
    "model-R6",
    "model-R8",
    "model-R9",
    "model-R10",
    "model-R17",
)
def test_the_worked_example_comes_out_as_printed() -> None:
    def a(name: str) -> Any:
        return np.array(EXAMPLE[name])

    w = world(np.random.default_rng(0), (2, 4, 2, 2), **EXAMPLE["settings"])
    layers = (Layer(a("layer_weight"), a("layer_bias")),)
    params = Params(a("items"), a("profile"), a("bilinear"), layers)
    catalogue = Catalogue(a("catalogue_rows"), a("catalogue_weights"))
    histories = mind.Histories(a("history"), a("mask"), a("init_logits"), a("profile_rows"))
    logs = a("target_log_expected"), a("negative_log_expected")
    batch = mind.Batch(histories, a("target"), a("negatives"), *logs)
    interests, active, saved = mind.interests(params, histories, catalogue, w.config)
    loss, for_backward = mind.loss(params, batch, catalogue, w.config)
    gradients = mind.backward(for_backward)
    got = {
        "active": active,
        "interests": interests,
        "couplings": saved.routing.couplings[0],
        "loss": loss,
        "d_items": gradients.items.dense(5),
        "d_profile": gradients.profile.dense(2),
        "d_bilinear": gradients.bilinear,
        "d_layer_weight": gradients.layers[0].weight,
        "d_layer_bias": gradients.layers[0].bias,
    }
    for name, value in got.items():
        np.testing.assert_allclose(value, EXAMPLE[name], rtol=0, atol=WORKED_EXAMPLE, err_msg=name)
    assert gradients.items.rows.tolist() == [0, 1, 2, 4], "row 3 only pads"


@pytest.mark.rules("model-R1", "model-R4", "model-R5", "model-R7")
@given(data=st.data())
def test_it_agrees_with_loops_over_numbers(data: st.DataObject) -> None:
    w = data.draw(worlds())
    out, active = interests_of(w)
    for b in range(len(out)):
        expected = naive.user_interests(w.params, w.batch.histories, b, w.catalogue, w.config)
        assert active[b].sum() == len(expected), f"user {b}"
        np.testing.assert_allclose(
            out[b][active[b]],
            expected,
            rtol=same_math(np.float64),
            atol=VANISHING,
            err_msg=f"user {b}",
        )
    expected_loss = naive.loss(w.params, w.batch, w.catalogue, w.config)
    np.testing.assert_allclose(
        loss_of(w), expected_loss, rtol=same_math(np.float64), atol=VANISHING, err_msg="loss"
    )


@pytest.mark.rules("model-R2")
def test_the_profile_is_its_features_side_by_side_in_their_order() -> None:
    w = world(np.random.default_rng(0), (2, 3, 4, 5))
    vectors, _ = mind.profile_vectors(w.params, np.array([[0, 2], [2, 1]]))
    q = w.params.profile
    expected = [[*q[0], *q[2]], [*q[2], *q[1]]]
    np.testing.assert_array_equal(vectors, expected)


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
    out, _ = interests_of(w)
    assert (out < 0).any() != last_relu
    assert (out > 0).any()


@pytest.mark.rules("model-R6")
@pytest.mark.parametrize(
    "options", [{}, {"power": 0.0}, {"attention": "mean"}, {"last_relu": True}]
)
def test_bias_and_profile_cannot_revive_an_inactive_interest(options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(0), (3, 5, 4, 6), **options)
    layers = [layer._replace(bias=layer.bias + 10) for layer in w.params.layers]
    params = w.params._replace(profile=w.params.profile + 10, layers=tuple(layers))
    out, active, _ = mind.interests(params, w.batch.histories, w.catalogue, w.config)
    assert not active.all()
    assert not out[~active].any()


@pytest.mark.rules("model-R8")
@pytest.mark.parametrize("garbage", [0, 5, -3, 10**12])
def test_a_padded_place_is_never_looked_up(garbage: int) -> None:
    w = world(np.random.default_rng(0), (3, 6, 2, 4))
    histories = w.batch.histories
    items = np.where(histories.mask, np.clip(histories.items, 1, 3), garbage)
    assert not histories.mask.all()
    batch = w.batch._replace(
        histories=histories._replace(items=items),
        target=np.ones(3, int),
        negatives=np.array([2]),
        negative_log_expected=np.zeros(1),
    )
    loss, saved = mind.loss(w.params, batch, w.catalogue, w.config)
    gradients = mind.backward(saved)
    zeros = batch._replace(histories=histories._replace(items=np.where(histories.mask, items, 0)))
    expected, other = mind.loss(w.params, zeros, w.catalogue, w.config)
    assert loss == expected
    reached = [*items[histories.mask], 1, 2]
    counted = w.catalogue.weights[reached] > 0
    assert set(gradients.items.rows) == set(w.catalogue.rows[reached][counted])
    assert gradients.items.values.tobytes() == mind.backward(other).items.values.tobytes()


@pytest.mark.rules("model-R8", "model-R16")
@given(data=st.data())
def test_more_padding_changes_nothing(data: st.DataObject) -> None:
    w = data.draw(worlds())
    histories, pads = w.batch.histories, 3
    users, _, interests = histories.init_logits.shape
    wider = histories._replace(
        items=np.concatenate([np.full((users, pads), 2), histories.items], axis=1),
        mask=np.concatenate([np.zeros((users, pads), bool), histories.mask], axis=1),
        init_logits=np.concatenate(
            [np.full((users, pads, interests), 7.0), histories.init_logits], axis=1
        ),
    )
    results = [
        mind.loss(w.params, w.batch._replace(histories=h), w.catalogue, w.config)
        for h in (histories, wider)
    ]
    np.testing.assert_allclose(
        results[0][0], results[1][0], rtol=same_math(np.float64), err_msg="loss"
    )
    rows = [mind.backward(saved).items for _, saved in results]
    assert rows[0].rows.tolist() == rows[1].rows.tolist()
    np.testing.assert_allclose(
        rows[0].values, rows[1].values, rtol=same_math(np.float64), atol=VANISHING
    )


@pytest.mark.rules("model-R16")
@given(rng=strategies.generators())
def test_with_keyed_logits_a_user_depends_on_nobody_else_and_on_no_order(
    rng: np.random.Generator,
) -> None:
    w = world(rng, (4, 9, 3, 5))
    table = logits.keyed_table(7, 6, 3, 1.0, "float64")

    def served(items: Any, mask: Any, profile: Any) -> Any:
        histories = mind.Histories(items, mask, logits.history_logits(table, items), profile)
        return mind.interests(w.params, histories, w.catalogue, w.config)[0]

    items, mask, profile = (
        np.where(w.batch.histories.mask, w.batch.histories.items, 0),
        w.batch.histories.mask,
        w.batch.histories.profile,
    )
    together = served(items, mask, profile)
    for b in range(4):
        order = rng.permutation(np.flatnonzero(mask[b]))
        alone = served(items[b][order][None], np.ones((1, len(order)), bool), profile[b : b + 1])
        np.testing.assert_allclose(
            alone[0], together[b], rtol=same_math(np.float64), atol=VANISHING, err_msg=f"{b}"
        )


@pytest.mark.rules("model-R17")
@pytest.mark.parametrize("options", [{}, {"interest_count": "fixed"}, {"routing": "uniform"}])
@pytest.mark.parametrize("kind", squash.KINDS)
def test_without_behaviours_the_profile_alone_speaks(kind: str, options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(0), (3, 5, 4, 6), squash=kind, **options)
    histories = w.batch.histories._replace(mask=np.zeros((3, 5), bool))
    out, active, _ = mind.interests(w.params, histories, w.catalogue, w.config)
    assert active.sum(axis=1).tolist() == [1, 1, 1]
    profile, _ = mind.profile_vectors(w.params, histories.profile)
    for b in range(3):
        x = [0.0] * 6 + profile[b].tolist()
        for i, layer in enumerate(w.params.layers):
            x = naive.layer(x, layer.weight, layer.bias, i < len(w.params.layers) - 1)
        np.testing.assert_allclose(out[b, 0], x, rtol=same_math(np.float64), err_msg=f"user {b}")
    batch = w.batch._replace(histories=histories)
    loss, saved = mind.loss(w.params, batch, w.catalogue, w.config)
    gradients = mind.backward(saved)
    assert np.isfinite(loss)
    assert not gradients.bilinear.any()
    assert gradients.profile.values.any()


@pytest.mark.rules("model-R18")
@pytest.mark.parametrize("where", ["history", "target", "negatives"])
@pytest.mark.parametrize("item", [-1, 6])
def test_an_item_outside_the_catalogue_is_named(where: str, item: int) -> None:
    w = world(np.random.default_rng(0), (3, 5, 2, 4))
    bad = np.array([0, item, 1])
    batch = w.batch
    if where == "history":
        histories = batch.histories
        items, mask = histories.items.copy(), histories.mask.copy()
        items[1, 1], mask[1, 1] = item, True
        batch = batch._replace(histories=histories._replace(items=items, mask=mask))
    elif where == "target":
        batch = batch._replace(target=bad)
    else:
        batch = batch._replace(negatives=bad, negative_log_expected=np.zeros(3))
    with pytest.raises(ShapeError) as caught:
        mind.loss(w.params, batch, w.catalogue, w.config)
    assert str(caught.value) == f"items: rows: expected indices from 0 to 5, got {item}"


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_with_zero_logits_the_interests_of_a_user_stay_equal(options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(0), (4, 17, 3, 5), **options)
    histories = w.batch.histories
    histories = histories._replace(init_logits=0 * histories.init_logits)
    out, active, _ = mind.interests(w.params, histories, w.catalogue, w.config)
    assert active.any(axis=0).all()
    expected = np.where(active[..., None], out[:, :1], 0)
    np.testing.assert_allclose(
        out, expected, rtol=same_math(np.float64), atol=VANISHING, err_msg="sigma = 0"
    )


def test_one_interest_ignores_logits_rounds_and_power() -> None:
    w = world(np.random.default_rng(0), (4, 7, 1, 5))
    expected = loss_of(w, iterations=1, power=0.0)
    histories = w.batch.histories._replace(init_logits=5 * w.batch.histories.init_logits)
    other = mind.loss(w.params, w.batch._replace(histories=histories), w.catalogue, w.config)[0]
    np.testing.assert_allclose(other, expected, rtol=same_math(np.float64), err_msg="K = 1")


def test_nothing_is_written_to_parameters_or_batch() -> None:
    w = world(np.random.default_rng(0), (3, 5, 2, 4))
    batch = [*w.batch.histories, *w.batch[1:]]
    arrays = [*w.params[:3], *(x for layer in w.params.layers for x in layer), *batch]
    before = [x.tobytes() for x in arrays]
    _, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
    first, second = mind.backward(saved), mind.backward(saved)
    assert [x.tobytes() for x in arrays] == before
    assert first.items.values.tobytes() == second.items.values.tobytes()


@given(data=st.data())
def test_float32_stays_float32(data: st.DataObject) -> None:
    w = data.draw(worlds(dtype="float32"))
    loss, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
    gradients = mind.backward(saved)
    dtypes = {loss.dtype, gradients.items.values.dtype, gradients.bilinear.dtype}
    dtypes |= {x.dtype for layer in gradients.layers for x in layer}
    assert dtypes == {np.dtype(np.float32)}
