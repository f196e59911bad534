"""MIND plus as a whole: composition, loss, limits, and that it is MIND where nothing is added."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.backend import load_backend as backend_of
from mindref.config import Config
from mindref.conformance.tolerances import GRADIENT, VANISHING, WORKED_EXAMPLE, same_math
from mindref.errors import ShapeError
from mindref.models import mind, mind_plus, parameters
from mindref.models.family import operators_of
from mindref.models.mind_plus import Params
from mindref.models.parameters import Catalogue, Layer
from mindref.ops import pooled_softmax
from tests import spec_pages
from tests.models import mind_plus_loops as loops
from tests.models import worlds
from tests.models.mind_plus_worlds import (
    LOSSES,
    OPTIONS,
    World,
    arrays,
    dense,
    drawn,
    interests_of,
    loss_of,
    made,
)

EXAMPLE = spec_pages.examples("mind_plus")[0]
SAME = same_math(np.float64)


@pytest.mark.rules(
    "mind_plus-R1",
    "mind_plus-R3",
    "mind_plus-R4",
    "mind_plus-R6",
    "mind_plus-R8",
    "mind_plus-R9",
    "mind_plus-R10",
    "mind_plus-R14",
    "mind_plus-R17",
    "mind_plus-R18",
    "mind_plus-R19",
)
@pytest.mark.parametrize("case", EXAMPLE["cases"], ids=["each its own", "shared"])
def test_the_worked_example_comes_out_as_printed(case: dict[str, Any]) -> None:
    def a(name: str) -> Any:
        return np.array(case[name] if name in case else EXAMPLE[name])

    config = Config.of("default", {**EXAMPLE["settings"], **case["settings"]})
    layers = (Layer(a("layer_weight"), a("layer_bias")),)
    bilinear = a("bilinear").reshape(-1, 2)
    params = Params(a("items"), a("profile"), bilinear, a("positions"), layers)
    catalogue = Catalogue(a("catalogue_rows"), a("catalogue_weights"))
    logits = np.zeros((2, 4, 2))
    histories = mind.Histories(a("history"), a("mask"), logits, a("profile_rows"))
    logs = a("target_log_expected"), a("negative_log_expected")
    shared = mind.Batch(histories, a("target"), a("negatives"), *logs)
    batch = mind_plus.Batch(shared, a("keep") if "keep" in case else None)
    found, active, _ = mind_plus.mind_plus_interests(
        params, histories, catalogue, config, keep=batch.keep
    )
    loss, saved = mind_plus.loss(params, batch, catalogue, config)
    gradients = mind_plus.backward(saved)
    got = {
        "interests": found,
        "loss": loss,
        "d_items": gradients.items.dense(5),
        "d_profile": gradients.profile.dense(2),
        "d_bilinear": gradients.bilinear,
        "d_positions": gradients.positions,
        "d_layer_weight": gradients.layers[0].weight,
        "d_layer_bias": gradients.layers[0].bias,
    }
    for name, value in got.items():
        expected = a(name).reshape(value.shape)
        np.testing.assert_allclose(value, expected, rtol=0, atol=WORKED_EXAMPLE, err_msg=name)
    assert active.tolist() == EXAMPLE["active"]


@pytest.mark.rules(
    "mind_plus-R1",
    "mind_plus-R3",
    "mind_plus-R4",
    "mind_plus-R6",
    "mind_plus-R7",
    "mind_plus-R10",
    "mind_plus-R17",
)
@pytest.mark.parametrize("of_loss", LOSSES, ids=str)
@given(data=st.data())
def test_it_agrees_with_loops_over_numbers(data: st.DataObject, of_loss: dict[str, Any]) -> None:
    agrees(data.draw(drawn(**of_loss)))


@pytest.mark.rules(
    "mind_plus-R8", "mind_plus-R9", "mind_plus-R11", "mind_plus-R12", "mind_plus-R14"
)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("keep", [False, True])
def test_every_setting_agrees_with_loops(options: dict[str, Any], keep: bool) -> None:
    agrees(made(3, keep=keep, **{"attention": "pooled", **options}))


def agrees(w: World) -> None:
    """Require the interests and the loss of plain loops."""
    out, active, _ = interests_of(w)
    histories = w.batch.shared.histories
    for b in range(len(out)):
        given_ = (w.params, histories, b, w.catalogue, w.config, w.batch.keep)
        expected = loops.user_interests(*given_)
        assert active[b].sum() == len(expected), f"user {b}"
        assert not out[b][~active[b]].any()
        np.testing.assert_allclose(
            out[b][active[b]], expected, rtol=SAME, atol=VANISHING, err_msg=f"user {b}"
        )
    expected_loss = loops.loss(w.params, w.batch, w.catalogue, w.config)
    np.testing.assert_allclose(loss_of(w), expected_loss, rtol=SAME, atol=VANISHING, err_msg="loss")


@pytest.mark.rules("mind_plus-R21")
@pytest.mark.parametrize("options", worlds.OPTIONS, ids=str)
@pytest.mark.parametrize("routing_gradient", ["last", "all"])
@pytest.mark.parametrize("power", [0.5, np.inf])
def test_where_nothing_is_added_it_is_mind_bit_for_bit(
    options: dict[str, Any], routing_gradient: str, power: float
) -> None:
    given_ = {"routing_gradient": routing_gradient, "power": power, **options}
    w = made(0, **given_)
    config = Config.of("default", {**dataclasses.asdict(w.config), "model": "mind"})
    p = w.params
    params = parameters.Params(p.items, p.profile, p.bilinear, p.layers)
    expected, saved = mind.loss(params, w.batch.shared, w.catalogue, config)
    loss, own = mind_plus.loss(p, w.batch, w.catalogue, w.config)
    assert loss == expected
    theirs = parameters.flatten_gradients(mind.backward(saved))
    ours = parameters.flatten_gradients(mind_plus.backward(own))
    assert ours.pop("positions").shape == (17, 0)
    assert list(ours) == list(theirs)
    for name, x in ours.items():
        for got, want in zip(parts(x), parts(theirs[name]), strict=True):
            np.testing.assert_array_equal(got, want, err_msg=name)
    histories = w.batch.shared.histories
    vectors = mind.interests(params, histories, w.catalogue, config)[0]
    np.testing.assert_array_equal(interests_of(w)[0], vectors)


def parts(gradient: Any) -> list[Any]:
    """Return the arrays of a gradient: rows and values of a table's."""
    return list(gradient) if isinstance(gradient, tuple) else [gradient]


@pytest.mark.rules("mind_plus-R17")
@pytest.mark.parametrize("sharpness", [0.0, 0.5, 1.0, np.inf])
def test_the_pooled_loss_is_that_of_the_score_of_serving(sharpness: float) -> None:
    numbers = {"sharpness": sharpness, "temperature": 0.7}
    w = made(0, attention="pooled", recency="interests", contexts=1, **numbers)
    out, active, _ = interests_of(w)
    shared = w.batch.shared
    target, negatives = (
        mind.item_vectors(w.params, ids, w.catalogue)[0]
        for ids in (shared.target, shared.negatives)
    )
    logs = (shared.target_log_expected, shared.negative_log_expected)
    given_ = (out, active, target, negatives, shared.target, shared.negatives, *logs)
    assert loss_of(w) == pooled_softmax.forward(*given_, **numbers)[0]
    for changes in ({"power": 2.0}, {"score": "sum"}):
        changed = w._replace(config=dataclasses.replace(w.config, **changes))
        assert loss_of(changed) == loss_of(w), "nothing else says how interests are read"


@pytest.mark.rules("mind_plus-R17")
@pytest.mark.parametrize("power", [0.5, 2.0, np.inf])
def test_attention_mean_is_that_of_power_zero_and_sharpness_has_no_part_in_it(power: float) -> None:
    w = made(0, recency="interests", power=power, attention="mean")
    plain = dataclasses.replace(w.config, attention="label", power=0.0)
    assert loss_of(w) == loss_of(w._replace(config=plain))
    assert loss_of(w) != loss_of(w._replace(config=dataclasses.replace(plain, power=power)))
    sharp = dataclasses.replace(w.config, sharpness=5.0)
    assert loss_of(w) == loss_of(w._replace(config=sharp))


@pytest.mark.rules("mind_plus-R12")
@pytest.mark.parametrize("head", ["layers", "residual", "none"])
def test_without_behaviours_there_is_one_interest_and_the_profile_alone_speaks(head: str) -> None:
    count = 0 if head == "none" else 2
    w = made(0, (3, 5, 4, 6), np.zeros((3, 5), bool), head=head, contexts=count)
    out, active, _ = interests_of(w)
    assert active.sum(axis=1).tolist() == [1, 1, 1]
    agrees(w)
    assert out.any() == (head != "none")
    loss, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    gradients = mind_plus.backward(saved)
    assert np.isfinite(loss)
    assert not gradients.positions.any()
    assert not gradients.bilinear.any()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.slow
def test_the_compiled_operators_give_the_same(options: dict[str, Any]) -> None:
    w = made(0, keep=True, **{"attention": "pooled", "routing_gradient": "all", **options})
    ops = operators_of(backend_of("numba"), w.config)
    given_ = (w.params, w.batch, w.catalogue, w.config)
    loss, saved = mind_plus.loss(*given_)
    other, own = mind_plus.loss(*given_, ops)
    np.testing.assert_allclose(other, loss, rtol=SAME)
    expected = dense(mind_plus.backward(saved), w.params)
    for x, y in zip(dense(mind_plus.backward(own, ops=ops), w.params), expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=GRADIENT, atol=VANISHING)


@pytest.mark.parametrize("count", [0, 2])
def test_no_users_have_no_interests(count: int) -> None:
    w = made(0, contexts=count, recency="interests")
    nobody = mind.Histories(*(x[:0] for x in w.batch.shared.histories))
    out, active, _ = mind_plus.mind_plus_interests(w.params, nobody, w.catalogue, w.config)
    assert (out.shape, active.shape) == ((0, 4, 5), (0, 4))


@pytest.mark.parametrize("where", ["history", "target", "negatives"])
@pytest.mark.parametrize("item", [-1, 6])
def test_an_item_outside_the_catalogue_is_named(where: str, item: int) -> None:
    w = made(0, (3, 5, 2, 4), np.ones((3, 5), bool))
    batch = w.batch.shared
    if where == "history":
        items = np.where(np.arange(5) == 2, item, 1) * np.ones((3, 1), int)
        batch = batch._replace(histories=batch.histories._replace(items=items))
    elif where == "target":
        batch = batch._replace(target=np.array([0, item, 1]))
    else:
        batch = batch._replace(negatives=np.array([item]), negative_log_expected=np.zeros(1))
    with pytest.raises(ShapeError) as caught:
        loss_of(w._replace(batch=mind_plus.Batch(batch, None)))
    assert str(caught.value) == f"items: rows: expected indices from 0 to 5, got {item}"


def test_nothing_is_written_to_parameters_or_batch() -> None:
    w = made(0, keep=True, contexts=2, recency="interests", attention="pooled")
    shared = w.batch.shared
    for x in [*arrays(w.params), *shared.histories, *shared[1:], w.batch.keep]:
        x.setflags(write=False)
    _, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    first, second = mind_plus.backward(saved), mind_plus.backward(saved)
    for x, y in zip(dense(first, w.params), dense(second, w.params), strict=True):
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("of_loss", LOSSES, ids=str)
@given(data=st.data())
def test_float32_stays_float32(data: st.DataObject, of_loss: dict[str, Any]) -> None:
    w = data.draw(drawn(dtype="float32", **of_loss))
    loss, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    gradients = mind_plus.backward(saved)
    vectors = interests_of(w)[0]
    found = {x.dtype for x in [loss, vectors, *dense(gradients, w.params)]}
    assert found == {np.dtype(np.float32)}
