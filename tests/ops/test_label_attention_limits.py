"""label_attention at its limits: small and large powers, ties, slopes that are not finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.tolerances import WORKED_EXAMPLE, rounding, same_math
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


@pytest.mark.rules("label_attention-R2")
@pytest.mark.parametrize("power", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_larger_score_has_a_larger_weight_whatever_its_sign(power):
    scores = [-2.0, -1.1, -0.4, 0.0, 0.3, 1.0, 1.7]
    assert (np.diff(of_scores(scores, power)) > 0).all()
    assert (np.diff(of_scores(scores[:3], power)) > 0).all(), "all negative"


@pytest.mark.rules("label_attention-R6")
@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([1.0, 2.0, 2.0], 1),
        ([-5.0, -3.0, -4.0], 1),
        ([-0.2, 1e-300, 0.0], 1),  # any power of it is zero
        ([0.0, 0.0, 0.0], 0),
        ([-9.0, 3.0, 9.0], 2),
    ],
)
def test_power_infinity_compares_scores_not_powers(scores, best):
    assert of_scores(scores, np.inf).tolist() == [float(k == best) for k in range(3)]


@pytest.mark.rules("label_attention-R11")
@given(rng=strategies.generators(), power=st.sampled_from([20.0, 100.0, 1e3, 1e6]))
def test_a_large_power_tends_to_the_largest_score(rng, power):
    sizes = np.exp(rng.uniform(np.log(1e-3), np.log(1e3), 6))
    scores = (sizes * rng.choice([-1, 1], 6)).astype(np.float32)
    scores[0] = 1.5 * np.float32(max(1.0, scores.max()))  # one well above the others and above 1
    weights = of_scores(rng.permutation(scores).tolist(), power, np.float32)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(
        sorted(weights), [0, 0, 0, 0, 0, 1], rtol=0, atol=same_math(np.float32), err_msg="weights"
    )


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
def test_a_score_of_zero_has_no_gradient_if_the_slope_is_infinite():
    interests, target = np.array([[[0.0, 1.0], [1.0, 1.0]]]), np.array([[1.0, 0.0]])
    _, saved = label_attention.forward(interests, target, np.ones((1, 2), bool), power=0.5)
    d_interests, d_target = label_attention.backward(np.array([[1.0, 2.0]]), saved)
    weights = saved.weights.out
    # the first interest, at score zero, is reached as value only
    assert_close(d_interests[0, 0], weights[0, 0] * np.array([1.0, 2.0]), atol=0)
    assert np.isfinite(d_interests).all()
    # only the second interest, of score 1 and slope 1/2, leads on to the target
    d_s = weights[0, 1] * (3 - weights[0] @ [2.0, 3.0]) * 0.5
    assert_close(d_target[0], d_s * interests[0, 1], "target", atol=0)


@pytest.mark.rules("label_attention-R12")
def test_the_slope_of_the_first_power_is_one_even_at_zero():
    d = signed_power_backward(np.ones((1, 3)), np.array([[0.0, 2.0, -2.0]]), 1.0)
    assert d.tolist() == [[1, 1, 1]]


@pytest.mark.rules("label_attention-R13")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_is_zero_if_the_slope_overflows(dtype):
    interests = np.array([[[20.0, 1.0], [20.0, 3.0], [1.0, 1.0]]], dtype)
    target = np.array([[1.0, 0.0]], dtype)
    _, saved = label_attention.forward(interests, target, np.ones((1, 3), bool), power=1e3)
    d_out = np.array([[1.0, -1.0]], dtype)
    d_interests, d_target = label_attention.backward(d_out, saved)
    np.testing.assert_allclose(
        d_interests[0, 0], [0.5, -0.5], rtol=rounding(dtype), err_msg="a tie: value only"
    )
    assert not d_interests[0, 2].any(), "no weight"
    assert not d_target.any()


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
