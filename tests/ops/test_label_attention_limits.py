"""label_attention at its limits: small and large powers, ties, slopes that are not finite."""

import numpy as np
import pytest

from mindref.conformance.tolerances import WORKED_EXAMPLE, same_math
from mindref.kernels import label_attention as kernel
from mindref.ops import label_attention
from mindref.ops.label_attention import signed_power_backward
from tests import naive
from tests.assertions import assert_close


def of_scores(scores, power, dtype=np.float64):
    """Return the weights of one user's interests with these scores: interests (s), target (1)."""
    interests = np.array(scores, dtype)[None, :, None]
    active = np.ones((1, len(scores)), bool)
    _, saved = label_attention.forward(interests, np.ones((1, 1), dtype), active, power=power)
    return saved.weights.out[0]


@pytest.mark.rules("label_attention-R11")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1e3, 1e-3, -1e3], [1, 0, 0]),
        ([1e3, 1e3, -1e3], [0.5, 0.5, 0]),
        ([-1e3, -1.5, -2.0], [0, 1, 0]),
        ([0.9, 0.2, -0.5], [1 / 3, 1 / 3, 1 / 3]),  # inside (-1, 1) powers vanish: even
        ([0.9, 0.2, -1.5], [0.5, 0.5, 0]),
        ([0.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]),
        ([3e38, -3e38, 1.0], [1, 0, 0]),
    ],
)
def test_a_power_of_a_thousand_overflows_nowhere(scores, expected, dtype):
    weights = of_scores(scores, 1e3, dtype)
    np.testing.assert_allclose(
        weights, expected, rtol=0, atol=same_math(dtype), err_msg=str(scores)
    )


@pytest.mark.rules("label_attention-R12")
def test_the_slope_of_the_first_power_is_one_even_at_zero():
    d = signed_power_backward(np.ones((1, 3)), np.array([[0.0, 2.0, -2.0]]), 1.0)
    assert d.tolist() == [[1, 1, 1]]


@pytest.mark.rules("label_attention-R2", "label_attention-R5")
def test_a_small_power_tends_to_the_signs_and_not_to_power_zero():
    """The numbers of the page; scores of one sign have no jump."""
    for scores, near_zero, at_zero in [
        ([0.5, -0.5], [0.881, 0.119], [0.5, 0.5]),
        ([0.5, 0.2], [0.5, 0.5], [0.5, 0.5]),
        ([-0.5, -0.2], [0.5, 0.5], [0.5, 0.5]),
    ]:
        assert np.round(of_scores(scores, 1e-12), 3).tolist() == near_zero
        assert_close(of_scores(scores, 1e-300), naive.softmax(np.sign(scores)))
        np.testing.assert_allclose(of_scores(scores, 0.0), at_zero, rtol=0, atol=WORKED_EXAMPLE)


@pytest.mark.rules("label_attention-R13")
@pytest.mark.parametrize(
    ("power", "score", "d_powered"),
    [
        (50.0, 10.0, 1e-30),  # the slope is beyond float32, but not its product with d_powered
        (1e39, 1.0, 1e-20),
        (1e39, 0.5, 1e-20),  # power beyond float32: infinity * 0
        (2.0, 1e30, 1e30),  # the product is beyond float32, but not the slope
    ],
)
def test_no_gradient_passes_a_slope_or_a_product_that_is_not_finite(power, score, d_powered):
    arrays = (np.array([[x]], np.float32) for x in (d_powered, score))
    assert signed_power_backward(*arrays, power).tolist() == [[0]]
    scores, nan = np.array([[score]], np.float32), np.array([[np.nan]], np.float32)
    assert np.isnan(signed_power_backward(nan, scores, power)).all()


@pytest.mark.rules("label_attention-R13", "numerics-R10")
@pytest.mark.parametrize("module", [label_attention, kernel])
def test_a_power_beyond_the_largest_float_selects_the_largest_score_without_a_warning(module):
    interests, target = np.array([[[1, 1], [1, 3], [0.5, 0]]], np.float32), np.float32([[1, 0]])
    with np.errstate(all="raise"):
        _, saved = module.forward(interests, target, np.ones((1, 3), bool), power=1e39)
        d_interests, d_target = module.backward(np.float32([[0, 1]]), saved)
    assert not d_target.any()
    assert d_interests[0, :, 0].tolist() == [0, 0, 0]
    limit = of_scores([1, 1, 0.5], 1e300)
    np.testing.assert_allclose(saved.weights.out[0], limit, rtol=same_math(np.float32))
