"""YouTube DNN: the mean, its weights, what stands beside it, limits. Gradients have their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.backend import load_backend
from mindref.config import Config
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, same_math
from mindref.errors import ShapeError
from mindref.models import mind, parameters, youtube_dnn
from mindref.models.parameters import Catalogue, Layer, Sizes
from mindref.models.recency import recency
from mindref.models.youtube_dnn import Params
from tests import spec_pages
from tests.models import youtube_dnn_loops as loops
from tests.models.worlds import World
from tests.models.youtube_dnn_worlds import arrays, dense, drawn, loss_of, made

EXAMPLE = spec_pages.examples("youtube_dnn")[0]
SAME = same_math(np.float64)


def vectors_of(w: World, histories: Any = None) -> Any:
    found = w.batch.histories if histories is None else histories
    return youtube_dnn.user_vectors(w.params, found, w.catalogue, w.config)[0][:, 0]


def without_layers(w: World) -> World:
    """Return the world with layers that let the mean through and leave the profile out."""
    width, joined = w.config.width, w.params.layers[0].weight.shape[0]
    layer = Layer(np.eye(joined, width), np.zeros(width))
    return w._replace(params=w.params._replace(layers=(layer,)))


@pytest.mark.rules(
    "youtube_dnn-R1",
    "youtube_dnn-R2",
    "youtube_dnn-R4",
    "youtube_dnn-R5",
    "youtube_dnn-R8",
    "youtube_dnn-R9",
)
@pytest.mark.parametrize("case", EXAMPLE["cases"], ids=["alike", "by recency"])
def test_the_worked_example_comes_out_as_printed(case: dict[str, Any]) -> None:
    def a(name: str) -> Any:
        return np.array(EXAMPLE[name])

    config = Config.of("default", EXAMPLE["settings"])
    positions = np.array(case["positions"]).reshape(-1, 4)
    layers = (Layer(a("layer_weight"), a("layer_bias")),)
    params = Params(a("items"), a("profile"), positions, layers)
    catalogue = Catalogue(a("catalogue_rows"), a("catalogue_weights"))
    logits = np.zeros((2, 4, 1))
    histories = mind.Histories(a("history"), a("mask"), logits, a("profile_rows"))
    logs = a("target_log_expected"), a("negative_log_expected")
    batch = mind.Batch(histories, a("target"), a("negatives"), *logs)
    vectors, active, saved = youtube_dnn.user_vectors(params, histories, catalogue, config)
    loss, for_backward = youtube_dnn.loss(params, batch, catalogue, config)
    gradients = youtube_dnn.backward(for_backward)
    got = {
        "weights": saved.pooled.weights,
        "vectors": vectors[:, 0],
        "loss": loss,
        "d_items": gradients.items.dense(5),
        "d_profile": gradients.profile.dense(2),
        "d_positions": gradients.positions,
        "d_layer_weight": gradients.layers[0].weight,
        "d_layer_bias": gradients.layers[0].bias,
    }
    for name, value in got.items():
        expected = np.array(case[name]).reshape(value.shape)
        np.testing.assert_allclose(value, expected, rtol=0, atol=WORKED_EXAMPLE, err_msg=name)
    assert active.tolist() == [[True], [True]]
    assert gradients.items.rows.tolist() == [0, 1, 2, 4], "row 3 only pads"


@pytest.mark.rules("youtube_dnn-R1", "youtube_dnn-R2", "youtube_dnn-R5", "youtube_dnn-R7")
@given(w=drawn())
def test_it_agrees_with_loops_over_numbers(w: World) -> None:
    for b, vector in enumerate(vectors_of(w)):
        expected = loops.user_vector(w.params, w.batch.histories, b, w.catalogue, w.config)
        np.testing.assert_allclose(vector, expected, rtol=SAME, atol=VANISHING, err_msg=f"user {b}")
    expected_loss = loops.loss(w.params, w.batch, w.catalogue, w.config)
    np.testing.assert_allclose(loss_of(w), expected_loss, rtol=SAME, atol=VANISHING, err_msg="loss")


@pytest.mark.rules("youtube_dnn-R1")
@pytest.mark.parametrize("recency", [False, True])
def test_equal_log_weights_are_the_plain_mean(recency: bool) -> None:
    w = without_layers(made(0, (4, 7, 3), recency=recency, last_relu=False, hidden=[]))
    w = w._replace(params=w.params._replace(positions=0 * w.params.positions - 2.5))
    histories = w.batch.histories
    assert histories.mask.sum(axis=1).max() > 1
    for b, vector in enumerate(vectors_of(w)):
        items = histories.items[b][histories.mask[b]]
        found, _ = mind.item_vectors(w.params, items, w.catalogue)
        expected = found.mean(axis=0) if len(found) else np.zeros(3)
        np.testing.assert_allclose(vector, expected, rtol=SAME, atol=VANISHING, err_msg=f"user {b}")


@pytest.mark.rules("youtube_dnn-R2")
def test_a_heavy_position_is_the_behaviour_that_stands_there() -> None:
    w = without_layers(made(0, (1, 5, 3), np.ones((1, 5), bool), hidden=[]))
    items = np.array([[0, 1, 2, 3, 4]])
    histories = w.batch.histories._replace(items=items)
    for back in range(5):
        positions = np.where(np.arange(5) == back, 700.0, -700.0)[None]
        heavy = w._replace(params=w.params._replace(positions=positions))
        expected, _ = mind.item_vectors(w.params, items[0, [4 - back]], w.catalogue)
        np.testing.assert_allclose(
            vectors_of(heavy, histories), expected, rtol=SAME, err_msg=f"{back} back"
        )


@pytest.mark.rules("youtube_dnn-R3")
@pytest.mark.parametrize("garbage", [0, 5, -3, 10**12])
@pytest.mark.parametrize("recency", [False, True])
@given(data=st.data())
def test_a_padded_place_counts_nothing_and_is_never_looked_up(
    data: st.DataObject, recency: bool, garbage: int
) -> None:
    w = data.draw(drawn())
    positions = w.params.positions if recency else w.params.positions[:0]
    w = w._replace(params=w.params._replace(positions=positions))
    histories = w.batch.histories
    users, places = histories.mask.shape
    items, mask = np.full((users, places + 3), garbage), np.zeros((users, places + 3), bool)
    at = np.sort(data.draw(st.permutations(range(places + 3)))[:places])
    items[:, at] = np.where(histories.mask, histories.items, garbage)
    mask[:, at] = histories.mask
    logits = np.zeros((*mask.shape, 2))
    wider = histories._replace(items=items, mask=mask, init_logits=logits)
    results = [
        youtube_dnn.loss(w.params, w.batch._replace(histories=h), w.catalogue, w.config)
        for h in (histories, wider)
    ]
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=SAME, err_msg="loss")
    first, second = (youtube_dnn.backward(saved) for _, saved in results)
    assert first.items.rows.tolist() == second.items.rows.tolist()
    for x, y in zip(dense(first, w.params), dense(second, w.params), strict=True):
        np.testing.assert_allclose(x, y, rtol=SAME, atol=VANISHING, err_msg="gradient")


@pytest.mark.rules("youtube_dnn-R3")
def test_recency_counts_the_behaviours_that_follow() -> None:
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
    assert recency(mask).tolist() == [2, 1, 0, 1, 0]


@pytest.mark.rules("youtube_dnn-R4", "youtube_dnn-R6")
@pytest.mark.parametrize("recency", [False, True])
def test_without_behaviours_the_mean_is_zero_and_the_profile_speaks(recency: bool) -> None:
    w = made(0, (3, 5, 6), np.zeros((3, 5), bool), recency=recency)
    out, active, saved = youtube_dnn.user_vectors(
        w.params, w.batch.histories, w.catalogue, w.config
    )
    assert out.shape == (3, 1, 6)
    assert active.shape == (3, 1)
    assert active.all()
    assert not saved.pooled.weights.any()
    assert len({tuple(row) for row in w.batch.histories.profile}) > 1
    for b in range(3):
        expected = loops.user_vector(w.params, w.batch.histories, b, w.catalogue, w.config)
        np.testing.assert_allclose(out[b, 0], expected, rtol=SAME, err_msg=f"user {b}")
    loss, for_backward = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)
    gradients = youtube_dnn.backward(for_backward)
    assert np.isfinite(loss)
    assert not gradients.positions.any()
    assert gradients.profile.values.any()


@pytest.mark.rules("youtube_dnn-R6")
def test_every_user_has_one_active_vector_whatever_the_length() -> None:
    w = made(0, (5, 17, 4), np.arange(17) < np.array([[0], [1], [4], [9], [17]]))
    out, active, _ = youtube_dnn.user_vectors(w.params, w.batch.histories, w.catalogue, w.config)
    assert out.shape == (5, 1, 4)
    assert active.tolist() == [[True]] * 5
    nobody = mind.Histories(*(x[:0] for x in w.batch.histories))
    out, active, _ = youtube_dnn.user_vectors(w.params, nobody, w.catalogue, w.config)
    assert (out.shape, active.shape) == ((0, 1, 4), (0, 1))


@pytest.mark.rules("youtube_dnn-R7")
def test_the_target_is_no_query_and_the_settings_of_the_loss_count() -> None:
    w = made(0, (3, 9, 5))
    for changes in ({"power": 0.0}, {"attention": "mean"}, {"iterations": 1}, {"squash": "none"}):
        other = made(0, (3, 9, 5), **changes)
        assert loss_of(other) == loss_of(w), changes
    assert loss_of(made(0, (3, 9, 5), temperature=0.5)) != loss_of(w)
    assert loss_of(made(0, (3, 9, 5), normalise=True)) != loss_of(w)


@pytest.mark.rules("youtube_dnn-R10")
def test_a_behaviour_further_back_than_the_log_weights_is_named() -> None:
    w = made(0, (2, 5, 3), np.ones((2, 5), bool))
    short = w.params._replace(positions=w.params.positions[:, :4])
    with pytest.raises(ShapeError) as caught:
        youtube_dnn.user_vectors(short, w.batch.histories, w.catalogue, w.config)
    assert str(caught.value) == "positions: rows: expected indices from 0 to 3, got 4"


@pytest.mark.rules("youtube_dnn-R11")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tables_and_layers_start_as_those_of_mind(dtype: str) -> None:
    config = Config.of("default", {"dtype": dtype, "hidden": [30], "width": 8})
    sizes = Sizes(20, 25, 7, 2)
    params = youtube_dnn.init(np.random.default_rng(3), config, sizes)
    expected = parameters.init(np.random.default_rng(3), config, sizes)
    assert params.items.tobytes() == expected.items.tobytes()
    assert params.profile.tobytes() == expected.profile.tobytes()
    for got, want in zip(params.layers, expected.layers, strict=True):
        assert got.weight.tobytes() == want.weight.tobytes()
        assert got.bias.tobytes() == want.bias.tobytes()
    assert {x.dtype for x in arrays(params)} == {np.dtype(dtype)}


@pytest.mark.rules("youtube_dnn-R12")
def test_log_weights_start_at_zero_and_are_there_only_when_asked_for() -> None:
    shapes = {}
    for kind in ("none", "shared"):
        settings = {"model": "youtube_dnn", "window": 6, "recency": kind}
        config = Config.of("default", settings)
        params = youtube_dnn.init(np.random.default_rng(3), config, Sizes(20, 20, 0, 0))
        shapes[kind] = params.positions.shape
        assert not params.positions.any()
    assert shapes == {"none": (0, 6), "shared": (1, 6)}


@pytest.mark.parametrize("where", ["history", "target", "negatives"])
@pytest.mark.parametrize("item", [-1, 6])
def test_an_item_outside_the_catalogue_is_named(where: str, item: int) -> None:
    w = made(0, (3, 5, 4), np.ones((3, 5), bool))
    histories, batch = w.batch.histories, w.batch
    if where == "history":
        items = np.where(np.arange(5) == 2, item, 1) * np.ones((3, 1), int)
        batch = batch._replace(histories=histories._replace(items=items))
    elif where == "target":
        batch = batch._replace(target=np.array([0, item, 1]))
    else:
        batch = batch._replace(negatives=np.array([item]), negative_log_expected=np.zeros(1))
    with pytest.raises(ShapeError) as caught:
        youtube_dnn.loss(w.params, batch, w.catalogue, w.config)
    assert str(caught.value) == f"items: rows: expected indices from 0 to 5, got {item}"


def test_nothing_is_written_to_parameters_or_batch() -> None:
    w = made(0, (3, 5, 4))
    given_arrays = [*arrays(w.params), *w.batch.histories, *w.batch[1:]]
    for x in given_arrays:
        x.setflags(write=False)
    _, saved = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)
    first, second = youtube_dnn.backward(saved), youtube_dnn.backward(saved)
    for x, y in zip(dense(first, w.params), dense(second, w.params), strict=True):
        assert x.tobytes() == y.tobytes()


@given(w=drawn(dtype="float32"))
def test_float32_stays_float32(w: World) -> None:
    loss, saved = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)
    gradients = youtube_dnn.backward(saved)
    assert {x.dtype for x in [loss, *dense(gradients, w.params)]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("recency", [False, True])
def test_the_operators_of_a_backend_take_the_place_of_the_reference(recency: bool) -> None:
    w, ops = made(0, (4, 9, 5), recency=recency), load_backend("numba").ops
    given_ = (w.params, w.batch, w.catalogue, w.config)
    expected, saved = youtube_dnn.loss(*given_)
    loss, other = youtube_dnn.loss(*given_, ops)
    np.testing.assert_allclose(loss, expected, rtol=SAME, err_msg="loss")
    pairs = zip(
        dense(youtube_dnn.backward(saved), w.params),
        dense(youtube_dnn.backward(other, ops=ops), w.params),
        strict=True,
    )
    for want, got in pairs:
        np.testing.assert_allclose(got, want, rtol=SAME, atol=VANISHING, err_msg="gradient")
