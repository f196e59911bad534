"""DIN: the composition, its loss and parameters, against loops over numbers and by hand."""

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance import strategies
from mindref.conformance.tolerances import GRADIENT, STANDARD_ERRORS, same_math
from mindref.errors import ConfigError, ShapeError
from mindref.models import din, mind
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Catalogue, Layer, Sizes, flatten, flatten_gradients, unflatten
from tests import naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_with
from tests.models.worlds import DIN_OPTIONS, World, din_world

SAME = same_math(np.float64)
EXAMPLE = spec_pages.examples("din")[0]
EVERY = pytest.mark.parametrize("options", DIN_OPTIONS, ids=str)


def scores(w):
    """Return the logits of a world."""
    return din.logits(w.params, w.histories, w.batch.candidates, w.catalogue, w.config)[0]


def example_world():
    def a(name):
        return np.array(EXAMPLE[name])

    attention, layers = (
        tuple(Layer(np.array(w), np.array(b)) for w, b in EXAMPLE[name])
        for name in ("attention", "layers")
    )
    params = din.Params(a("items"), a("profile"), attention, layers)
    no_logits = np.zeros((*a("mask").shape, 0))
    histories = mind.Histories(a("history"), a("mask"), no_logits, a("profile_rows"))
    batch = din.Batch(histories, a("candidates"), a("labels"))
    catalogue = Catalogue(a("catalogue_rows"), a("catalogue_weights"))
    config = DinConfig(**EXAMPLE["settings"])
    return World(params, batch, catalogue, config, Sizes(3, 4, 2, 1), din)


@pytest.mark.rules("din-R1", "din-R2", "din-R4", "din-R8")
def test_the_worked_example_matches_the_page():
    w = example_world()
    gradients = w.dense(w.gradients())
    got = {"logits": scores(w), "loss": w.loss()[0], "d_layers": gradients["layers.0.weight"]}
    got |= {"d_items": gradients["items"], "d_profile": gradients["profile"]}
    assert_example({**got, "d_attention": gradients["attention.0.weight"]}, EXAMPLE)


@pytest.mark.rules("din-R1", "din-R2", "din-R3", "din-R4")
@EVERY
@given(rng=strategies.generators(), axes=strategies.distinct_sizes(3))
@pytest.mark.slow(every=2)
def test_it_agrees_with_loops_over_numbers(rng, axes, options):
    w = din_world(rng, axes, **options)
    got = scores(w)
    for b, row in enumerate(w.batch.candidates):
        assert_close(got[b], [naive.din_logit(w, b, i) for i in row], atol=SAME)
    if np.abs(got).max() < 20:  # beyond, the loops' own log of a difference from one is rounded
        np.testing.assert_allclose(w.loss()[0], naive.din_loss(w), rtol=GRADIENT)


@pytest.mark.rules("din-R2")
def test_no_item_vectors_give_the_scores():
    """Scores <v, w> of users v and items w in D dimensions have at most rank D."""
    w = din_world(np.random.default_rng(0), (12, 5, 6))
    items, width = len(w.catalogue.rows), w.config.width
    table = w.with_shared(candidates=np.tile(np.arange(items), (12, 1)))
    assert np.linalg.matrix_rank(scores(table)) == items > width


@pytest.mark.rules("din-R5")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_loss_neither_overflows_nor_loses_its_digits(dtype):
    z = np.array([[1e30, -1e30, 1e30, -1e30, 0.0, 40.0]], dtype)
    labels = np.array([[True, False, False, True, True, True]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses, slopes = din.log_loss(z, labels)
    expected = [0, 0, 1e30, 1e30, np.log(2), np.exp(-40.0)]
    np.testing.assert_allclose(losses[0], expected, rtol=GRADIENT)
    np.testing.assert_allclose(slopes[0], [0, 0, 1, -1, -0.5, -np.exp(-40.0)], rtol=GRADIENT)
    assert (losses.dtype, slopes.dtype) == (np.dtype(dtype), np.dtype(dtype))


@pytest.mark.rules("din-R6")
@pytest.mark.parametrize("label", [True, False])
def test_a_logit_that_is_not_finite_makes_its_loss_nan(label):
    logits = np.array([[np.nan, np.inf, -np.inf, 1.0]])
    for values in din.log_loss(logits, np.full((1, 4), label)):
        assert np.isnan(values[0]).tolist() == [True, True, True, False]


@pytest.mark.rules("din-R7")
@EVERY
def test_padding_is_never_looked_up_and_never_matters(options):
    mask = np.array([[True, False, True], [False, False, False]])
    w = din_world(np.random.default_rng(0), (2, 3, 4), mask, **options)
    longer = w.with_histories(
        items=np.concatenate([np.full((2, 2), 5), w.histories.items], axis=1),
        mask=np.concatenate([np.zeros((2, 2), bool), mask], axis=1),
        init_logits=np.zeros((2, 5, 0)),
    )
    assert_close(w.loss()[0], longer.loss()[0], atol=0)
    np.testing.assert_array_equal(w.gradients().items.rows, longer.gradients().items.rows)


@pytest.mark.rules("din-R9")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": np.full((3, 4), 6)}, "items: rows: expected indices from 0 to 5, got 6"),
        ({"candidates": np.full((3, 4), -1)}, "items: rows: expected indices from 0 to 5, got -1"),
        ({"labels": np.zeros((3, 4))}, "din: labels: expected a mask of dtype bool, got float64"),
        ({"labels": np.zeros((3, 1), bool)}, "din: labels has shape (3, 1) but candidates (3, 4)"),
        ({"candidates": np.zeros((3, 0), int), "labels": np.zeros((3, 0), bool)},
         "din: candidates: expected at least one, got none"),
    ],
)  # fmt: skip
def test_invalid_candidates_and_labels_raise(change, message):
    w = din_world(np.random.default_rng(0)).with_shared(**change)
    with raises_with(ShapeError, message):
        w.loss()
    assert scores(din_world(np.random.default_rng(0), (2, 3, 0))).shape == (2, 0)


@pytest.mark.rules("din-R10")
@EVERY
def test_every_parameter_has_one_name_and_comes_back(options):
    w = din_world(np.random.default_rng(0), **options)
    named = flatten(w.params)
    again = flatten(unflatten(dict(reversed(named.items())), din.Params))
    assert list(again) == list(named)
    assert all(x is named[name] for name, x in again.items())
    assert (np.diff(w.gradients().items.rows) > 0).all()
    assert list(flatten_gradients(w.gradients())) == list(named)
    for name, gradient in w.dense(w.gradients()).items():
        assert gradient.shape == named[name].shape


@pytest.mark.rules("din-R11", "din-R12")
@pytest.mark.parametrize("product", [False, True])
def test_the_initial_values(product):
    config = DinConfig(width=40, hidden=(300,), attention_hidden=(200,), product=product)
    params = flatten(din.init(np.random.default_rng(0), config, Sizes(500, 600, 400, 3)))
    joined = (120 if product else 80) + 3 * 8
    assert {name: x.shape for name, x in params.items()} == {
        "items": (600, 40), "profile": (400, 8),
        "attention.0.weight": (160, 200), "attention.0.bias": (200,),
        "attention.1.weight": (200, 1), "attention.1.bias": (1,),
        "layers.0.weight": (joined, 300), "layers.0.bias": (300,),
        "layers.1.weight": (300, 1), "layers.1.bias": (1,),
    }  # fmt: skip
    variances = {"items": 1 / 40, "profile": 1 / 40, "attention.0.weight": 2 / 160}
    variances |= {"layers.0.weight": 2 / joined, "attention.1.weight": 2 / 200}
    for name, variance in variances.items():
        error = variance * np.sqrt(2 / params[name].size)
        assert abs((params[name] ** 2).mean() - variance) < STANDARD_ERRORS * error, name
    assert not any(x.any() for name, x in params.items() if name.endswith("bias"))


@pytest.mark.rules("din-R13")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width: expected 1 to 4096, got 0"),
        ({"window": 2.5}, "window: expected an integer, got 2.5"),
        ({"attention_hidden": (4, 0)}, "attention_hidden: expected at most 64 widths from 1"),
        ({"hidden": (0,)}, "hidden: expected at most 64 widths from 1 to 65,536"),
        ({"product": 1}, "product: expected true or false, got 1"),
        (
            {"recalled_negatives": 0, "popular_negatives": 0},
            "recalled_negatives and popular_negatives: expected at least one negative",
        ),
        ({"decay": "cosine"}, "decay: expected linear or none, got 'cosine'"),
    ],
)
def test_a_setting_out_of_its_range_raises(change, message):
    with raises_with(ConfigError, message):
        DinConfig(**change)
