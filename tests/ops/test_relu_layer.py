"""relu_layer: values, gradients, the slope at zero, errors."""

import numpy as np
import pytest

from mindref.errors import ShapeError
from mindref.ops import relu_layer
from tests import spec_pages
from tests.assertions import assert_example, raises_exactly, raises_with

EXAMPLE = spec_pages.examples("relu_layer")[0]


@pytest.mark.rules("relu_layer-R1", "relu_layer-R2", "relu_layer-R3", "relu_layer-R4")
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=["relu", "linear"])
def test_the_worked_example_matches_the_page(expected):
    x, weight, bias, d_out = (np.array(EXAMPLE[k]) for k in ("x", "weight", "bias", "d_out"))
    out, saved = relu_layer.forward(x, weight, bias, relu=expected["relu"])
    got = dict(zip(("d_x", "d_weight", "d_bias"), relu_layer.backward(d_out, saved), strict=True))
    assert_example({"out": out, **got}, expected)


@pytest.mark.rules("relu_layer-R7")
def test_a_nan_stays_nan():
    x, weight, bias = np.array([[np.nan], [-1.0]]), np.ones((1, 1)), np.zeros(1)
    out, saved = relu_layer.forward(x, weight, bias, relu=True)
    d_x, d_weight, d_bias = relu_layer.backward(np.full((2, 1), 5.0), saved)
    np.testing.assert_array_equal(out.ravel(), [np.nan, 0])
    assert d_x.ravel().tolist() == [5, 0], "as through a linear layer"
    assert np.isnan(d_weight).all()
    assert d_bias.tolist() == [5]


@pytest.mark.rules("relu_layer-R5")
@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        ((3, 2), (2,), "relu_layer: weight has shape (3, 2) but x (4, 5) needs (I, O)"),
        ((5, 2), (1,), "relu_layer: bias has shape (1,) but weight (5, 2) needs (O) = (2)"),
        ((5,), (2,), "relu_layer: weight has shape (5,) but needs 2 axes"),
    ],
)
def test_shapes_that_disagree_raise(weight, bias, message):
    with raises_with(ShapeError, message):
        relu_layer.forward(np.ones((4, 5)), np.ones(weight), np.ones(bias), relu=True)


@pytest.mark.rules("relu_layer-R6")
@pytest.mark.parametrize(
    ("types", "got"),
    [
        (("f4", "f8", "f8"), "x float32, weight float64, bias float64"),
        (("i8", "i8", "i8"), "x int64, weight int64, bias int64"),
    ],
)
def test_dtypes_that_differ_raise(types, got):
    x, weight, bias = np.ones((4, 5), types[0]), np.ones((5, 2), types[1]), np.ones(2, types[2])
    message = f"relu_layer: expected one dtype, float32 or float64, got {got}"
    with raises_exactly(ShapeError, message):
        relu_layer.forward(x, weight, bias, relu=True)
