"""Each rule of specs/softmax.md, and its worked example."""

import numpy as np
import pytest

from mindref.errors import ShapeError
from mindref.kernels import softmax as kernel
from mindref.ops import softmax
from tests import spec_pages
from tests.assertions import assert_example, raises_exactly


@pytest.mark.rules("softmax-R5", "numerics-R4")
@pytest.mark.parametrize("rubbish", [np.nan, np.inf])
@pytest.mark.parametrize("module", [softmax, kernel])
def test_the_gradient_at_a_masked_element_has_no_influence(module, rubbish):
    logits, mask = np.array([[1.0, 2.0, 3.0]]), np.array([[True, True, False]])
    _, saved = module.forward(logits, mask, axis=1)
    clean, dirty = (module.backward(np.array([[1.0, -1.0, g]]), saved) for g in (0.0, rubbish))
    assert clean.tobytes() == dirty.tobytes()
    broken = module.backward(np.array([[np.nan, -1.0, 0.0]]), saved)
    np.testing.assert_array_equal(broken, [[np.nan, np.nan, 0]])


@pytest.mark.rules("softmax-R6")
def test_a_mask_broadcasts_and_an_axis_counts_from_either_end():
    logits = np.arange(24.0).reshape(2, 3, 4)
    mask = np.array([[True], [False], [True]])
    wide = np.broadcast_to(mask, logits.shape)
    for axis in range(3):
        out, _ = softmax.forward(logits, mask, axis=axis)
        np.testing.assert_array_equal(softmax.forward(logits, wide, axis=axis - 3)[0], out)
    empty, _ = softmax.forward(np.zeros((2, 0)), np.ones((2, 0), bool), axis=1)
    assert empty.shape == (2, 0)


@pytest.mark.rules("softmax-R4")
@pytest.mark.parametrize("module", [softmax, kernel])
def test_a_slice_of_minus_infinity_is_zero(module):
    out, saved = module.forward(np.full((1, 2), -np.inf), np.ones((1, 2), bool), axis=1)
    np.testing.assert_array_equal(out, 0)
    np.testing.assert_array_equal(module.backward(np.ones((1, 2)), saved), 0)


@pytest.mark.rules("softmax-R1", "softmax-R2", "softmax-R4", "softmax-R5")
def test_the_worked_example_matches_the_page():
    (example,) = spec_pages.examples("softmax")
    logits, d_weights = (np.array(example[n], float) for n in ("logits", "d_weights"))
    out, saved = softmax.forward(logits, np.array(example["mask"]), axis=example["axis"])
    assert_example({"weights": out, "d_logits": softmax.backward(d_weights, saved)}, example)


YES = np.ones((2, 3), bool)


@pytest.mark.rules("softmax-R7", "softmax-R8")
@pytest.mark.parametrize(
    ("mask", "axis", "text"),
    [
        *(
            (YES, axis, f"axis: expected an axis from -2 to 1, got {axis}")
            for axis in (2, -3, 1.0, True, None)
        ),
        *(
            (
                np.ones(shape, bool),
                1,
                f"mask: expected a shape that broadcasts to the logits' (2, 3), got {shape}",
            )
            for shape in ((2, 4), (1, 2, 3))
        ),
        (YES * 1.0, 1, "mask: expected a mask of dtype bool, got float64"),
    ],
)
def test_invalid_inputs_raise(mask, axis, text):
    with raises_exactly(ShapeError, f"softmax: {text}"):
        softmax.forward(np.zeros((2, 3)), mask, axis=axis)
