"""DIN: the composition, its loss and parameters, against loops over numbers and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.tolerances import GRADIENT, STANDARD_ERRORS, WORKED_EXAMPLE, same_math
from mindref.errors import ConfigError, ShapeError
from mindref.models import din, mind
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Catalogue, Layer, Sizes, flatten, flatten_gradients, unflatten
from mindref.ops.embedding import RowGradient
from tests import naive_din, spec_pages
from tests.models.din_worlds import World, loss, scores, world

SAME = same_math(np.float64)
EXAMPLE = spec_pages.examples("din")[0]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"product": True},
    {"normalise_attention": True},
    {"attention_hidden": (), "hidden": ()},
]
EVERY = pytest.mark.parametrize("options", OPTIONS, ids=str)


def example() -> World:
    e = EXAMPLE
    config = DinConfig(**e["settings"])
    attention, layers = (
        tuple(Layer(np.array(w), np.array(b)) for w, b in e[name])
        for name in ("attention", "layers")
    )
    params = din.Params(np.array(e["items"]), np.array(e["profile"]), attention, layers)
    mask = np.array(e["mask"])
    rows = np.array(e["profile_rows"])
    histories = mind.Histories(np.array(e["history"]), mask, np.zeros((*mask.shape, 0)), rows)
    batch = din.Batch(histories, np.array(e["candidates"]), np.array(e["labels"]))
    catalogue = Catalogue(np.array(e["catalogue_rows"]), np.array(e["catalogue_weights"]))
    return World(params, batch, catalogue, config, Sizes(3, 4, 2, 1))


@pytest.mark.rules("din-R1", "din-R2", "din-R4", "din-R8")
def test_the_worked_example_comes_out_as_printed() -> None:
    w = example()
    out, saved = loss(w)
    gradients = din.backward(saved)
    got = {"logits": scores(w), "loss": out, "d_items": gradients.items.dense(4)}
    got |= {"d_profile": gradients.profile.dense(2), "d_attention": gradients.attention[0].weight}
    got |= {"d_layers": gradients.layers[0].weight}
    for name, value in got.items():
        np.testing.assert_allclose(value, EXAMPLE[name], rtol=0, atol=WORKED_EXAMPLE, err_msg=name)


@pytest.mark.rules("din-R1", "din-R2", "din-R3", "din-R4")
@EVERY
@given(rng=strategies.generators(), axes=strategies.distinct_sizes(3))
@pytest.mark.slow(every=2)
def test_it_agrees_with_loops_over_numbers(
    rng: np.random.Generator, axes: tuple[int, ...], options: dict[str, Any]
) -> None:
    w = world(rng, axes, **options)
    got = scores(w)
    for b, row in enumerate(w.batch.candidates):
        for m, i in enumerate(row):
            given_ = w.batch.histories, b, i, w.catalogue, w.config
            expected = naive_din.logit(w.params, *given_)
            np.testing.assert_allclose(got[b, m], expected, rtol=SAME, atol=SAME)
    if np.abs(got).max() < 20:  # beyond, the loops' own log of a difference from one is rounded
        expected = naive_din.loss(w.params, w.batch, w.catalogue, w.config)
        np.testing.assert_allclose(loss(w)[0], expected, rtol=GRADIENT)


@pytest.mark.rules("din-R3")
def test_the_last_layer_is_linear_and_there_is_no_sigmoid() -> None:
    w = world(np.random.default_rng(0), hidden=())
    found = [scores(w)]
    layer = w.params.layers[0]
    for shift in (-50.0, 50.0):
        params = w.params._replace(layers=(Layer(layer.weight, layer.bias + shift),))
        np.testing.assert_allclose(scores(w._replace(params=params)), found[0] + shift, rtol=SAME)


@pytest.mark.rules("din-R4")
@EVERY
def test_a_user_and_a_candidate_count_alike(options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(0), (4, 5, 3), **options)
    losses = []
    for b in range(4):
        histories = mind.Histories(*(x[b : b + 1] for x in w.batch.histories))
        for m in range(3):
            some = (slice(b, b + 1), slice(m, m + 1))
            one = din.Batch(histories, w.batch.candidates[some], w.batch.labels[some])
            losses.append(loss(w._replace(batch=one))[0])
    np.testing.assert_allclose(loss(w)[0], np.mean(losses), rtol=SAME)


@pytest.mark.rules("din-R5")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_loss_neither_overflows_nor_loses_its_digits(dtype: str) -> None:
    z = np.array([[1e30, -1e30, 1e30, -1e30, 0.0, 40.0]], dtype)
    labels = np.array([[True, False, False, True, True, True]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses, slopes = din.log_loss(z, labels)
    expected = [0, 0, 1e30, 1e30, np.log(2), np.exp(-40.0)]
    np.testing.assert_allclose(losses[0], expected, rtol=GRADIENT)
    np.testing.assert_allclose(slopes[0], [0, 0, 1, -1, -0.5, -np.exp(-40.0)], rtol=GRADIENT)
    assert (losses.dtype, slopes.dtype) == (np.dtype(dtype), np.dtype(dtype))


@pytest.mark.rules("din-R5")
@given(z=st.floats(-30, 30), label=st.booleans())
def test_the_slope_is_that_of_the_loss(z: float, label: bool) -> None:
    h = 1e-5
    around, labels = np.array([[z - h, z, z + h]]), np.full((1, 3), label)
    losses, slopes = din.log_loss(around, labels)
    difference = (losses[0, 2] - losses[0, 0]) / (2 * h)
    np.testing.assert_allclose(slopes[0, 1], difference, rtol=GRADIENT, atol=GRADIENT)


@pytest.mark.rules("din-R6")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [True, False])
def test_a_logit_that_is_no_number_makes_the_loss_none(bad: float, label: bool) -> None:
    losses, slopes = din.log_loss(np.array([[bad, 1.0]]), np.array([[label, True]]))
    assert np.isnan([losses[0, 0], slopes[0, 0]]).all()
    assert np.isfinite([losses[0, 1], slopes[0, 1]]).all()


@pytest.mark.rules("din-R7")
@EVERY
def test_padding_is_never_looked_up_and_never_matters(options: dict[str, Any]) -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    w = world(np.random.default_rng(0), (2, 3, 4), mask, **options)
    out, saved = loss(w)
    histories = w.batch.histories
    longer = mind.Histories(
        np.concatenate([np.full((2, 2), 5), histories.items], axis=1),
        np.concatenate([np.zeros((2, 2), bool), mask], axis=1),
        np.zeros((2, 5, 0)),
        histories.profile,
    )
    other, padded = loss(w._replace(batch=w.batch._replace(histories=longer)))
    np.testing.assert_allclose(out, other, rtol=SAME)
    rows = din.backward(saved).items.rows
    np.testing.assert_array_equal(rows, din.backward(padded).items.rows)


@pytest.mark.rules("din-R8")
@EVERY
def test_the_gradient_of_the_table_is_the_sum_over_both_uses(options: dict[str, Any]) -> None:
    """Items of the histories and of the candidates in two halves of a table, or in one."""
    w = world(np.random.default_rng(0), (4, 6, 5), np.ones((4, 6), bool), **options)
    apart = Catalogue(
        np.concatenate([w.catalogue.rows, w.catalogue.rows + 10]),
        np.concatenate([w.catalogue.weights] * 2),
    )
    params = w.params._replace(items=np.concatenate([w.params.items] * 2))
    batch = w.batch._replace(candidates=w.batch.candidates + 6)
    halves = din.backward(din.loss(params, batch, apart, w.config)[1]).items.dense(20)
    assert halves[:10].any()
    assert halves[10:].any()
    together = din.backward(loss(w)[1]).items
    assert (np.diff(together.rows) > 0).all()
    np.testing.assert_allclose(together.dense(10), halves[:10] + halves[10:], rtol=SAME, atol=SAME)


@pytest.mark.rules("din-R9")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": np.full((3, 4), 6)}, "items: rows: expected indices from 0 to 5, got 6"),
        ({"candidates": np.full((3, 4), -1)}, "items: rows: expected indices from 0 to 5, got -1"),
        ({"labels": np.zeros((3, 4))}, "din: labels: expected a mask of dtype bool, got float64"),
        ({"labels": np.zeros((3, 1), bool)}, "din: labels has shape (3, 1) but candidates (3, 4)"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    w = world(np.random.default_rng(0))
    with pytest.raises(ShapeError) as caught:
        loss(w._replace(batch=w.batch._replace(**change)))
    assert message in str(caught.value)


@pytest.mark.rules("din-R9")
def test_an_empty_batch_has_no_loss_and_no_candidates_have_no_scores() -> None:
    w = world(np.random.default_rng(0), (2, 3, 0))
    assert scores(w).shape == (2, 0)
    with pytest.raises(ShapeError, match="din: candidates: expected at least one, got none"):
        loss(w)


@pytest.mark.rules("din-R10")
@EVERY
def test_every_parameter_has_one_name_and_comes_back(options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(0), **options)
    named = flatten(w.params)
    again = unflatten(dict(reversed(named.items())), din.Params)
    assert list(flatten(again)) == list(named)
    for name, value in flatten(again).items():
        assert value is named[name]
    assert again.items is w.params.items
    for field in ("attention", "layers"):
        old, new = getattr(w.params, field), getattr(again, field)
        assert [id(x) for layer in old for x in layer] == [id(x) for layer in new for x in layer]
    gradients = flatten_gradients(din.backward(loss(w)[1]))
    assert list(gradients) == list(named)
    for name, gradient in gradients.items():
        dense = isinstance(gradient, RowGradient)
        full = gradient.dense(len(named[name])) if dense else gradient
        assert full.shape == named[name].shape


@pytest.mark.rules("din-R11", "din-R12")
@pytest.mark.parametrize("product", [False, True])
def test_the_initial_values(product: bool) -> None:
    config = DinConfig(width=40, hidden=(300,), attention_hidden=(200,), product=product)
    params = din.init(np.random.default_rng(0), config, Sizes(500, 600, 400, 3))
    shapes = {name: x.shape for name, x in flatten(params).items()}
    joined = (120 if product else 80) + 3 * 8
    assert shapes == {
        "items": (600, 40), "profile": (400, 8),
        "attention.0.weight": (160, 200), "attention.0.bias": (200,),
        "attention.1.weight": (200, 1), "attention.1.bias": (1,),
        "layers.0.weight": (joined, 300), "layers.0.bias": (300,),
        "layers.1.weight": (300, 1), "layers.1.bias": (1,),
    }  # fmt: skip
    variances = {"items": 1 / 40, "profile": 1 / 40, "attention.0.weight": 2 / 160}
    variances |= {"layers.0.weight": 2 / joined, "attention.1.weight": 2 / 200}
    for name, value in flatten(params).items():
        if name.endswith("bias"):
            assert not value.any()
        elif name in variances:
            error = variances[name] * np.sqrt(2 / value.size)
            got = float((value**2).mean())
            assert abs(got - variances[name]) < STANDARD_ERRORS * error, name


@pytest.mark.rules("din-R13")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width: expected 1 to 4096, got 0"),
        ({"window": 2.5}, "window: expected an integer, got 2.5"),
        ({"attention_hidden": (4, 0)}, "attention_hidden: expected at most 64 widths from 1"),
        ({"hidden": (0,)}, "hidden: expected at most 64 widths from 1 to 65,536"),
        ({"product": 1}, "product: expected true or false, got 1"),
        ({"recalled": 0, "popular": 0}, "recalled and popular: expected at least one negative"),
        ({"decay": "cosine"}, "decay: expected linear or none, got 'cosine'"),
    ],
)
def test_a_setting_out_of_its_range_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DinConfig(**change)
    assert message in str(caught.value)
