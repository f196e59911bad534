"""relu_layer: values, gradients, the slope at zero, errors."""

import numpy as np
import pytest

from mindref.ops import relu_layer
from tests import spec_pages
from tests.assertions import assert_example

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
