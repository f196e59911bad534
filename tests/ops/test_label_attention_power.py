"""The power of label_attention: order, limits, scores of any size, slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.tolerances import rounding, same_math
from mindref.ops import label_attention
from mindref.ops.label_attention import signed_power_backward
from tests.assertions import assert_close


def of_scores(scores: list[float], power: float, dtype: Any = np.float64) -> Any:
    """Return the weights of one user's interests with these scores: interests (s), target (1)."""
    interests = np.array(scores, dtype)[None, :, None]
    active = np.ones((1, len(scores)), bool)
    _, saved = label_attention.forward(interests, np.ones((1, 1), dtype), active, power=power)
    return saved.weights.out[0]


@pytest.mark.rules("label_attention-R2")
@pytest.mark.parametrize("power", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_larger_score_has_a_larger_weight_whatever_its_sign(power: float) -> None:
    scores = [-2.0, -1.1, -0.4, 0.0, 0.3, 1.0, 1.7]
    assert (np.diff(of_scores(scores, power)) > 0).all()
    assert (np.diff(of_scores(scores[:3], power)) > 0).all(), "all negative"


@pytest.mark.rules("label_attention-R5")
def test_power_zero_gives_equal_weights_for_scores_of_any_sign() -> None:
    np.testing.assert_allclose(
        of_scores([-3.0, 0.0, 5.0], 0.0), 1 / 3, rtol=rounding(np.float64), err_msg="even"
    )


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
def test_power_infinity_compares_scores_not_powers(scores: list[float], best: int) -> None:
    assert of_scores(scores, np.inf).tolist() == [float(k == best) for k in range(3)]


@pytest.mark.rules("label_attention-R11")
@given(rng=strategies.generators(), power=st.sampled_from([20.0, 100.0, 1e3, 1e6]))
def test_a_large_power_tends_to_the_largest_score(rng: np.random.Generator, power: float) -> None:
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
def test_a_power_of_a_thousand_overflows_nowhere(
    scores: list[float], expected: list[float], dtype: Any
) -> None:
    weights = of_scores(scores, 1e3, dtype)
    np.testing.assert_allclose(
        weights, expected, rtol=0, atol=same_math(dtype), err_msg=str(scores)
    )


@pytest.mark.rules("label_attention-R12")
def test_a_score_of_zero_has_no_gradient_if_the_slope_is_infinite() -> None:
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
def test_the_slope_of_the_first_power_is_one_even_at_zero() -> None:
    d = signed_power_backward(np.ones((1, 3)), np.array([[0.0, 2.0, -2.0]]), 1.0)
    assert d.tolist() == [[1, 1, 1]]


@pytest.mark.rules("label_attention-R13")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_is_zero_if_the_slope_overflows(dtype: Any) -> None:
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


@pytest.mark.rules("label_attention-R8", "label_attention-R9")
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("score", [0.01, 1.0, 50.0, 1e4, -0.01, -50.0, -1e4])
def test_a_tie_has_a_gradient_at_any_score(score: float, power: float) -> None:
    """Away from a tie one weight is 1 at large scores, and a wrong slope would not show."""
    interests, target = np.array([[[score, 1.0], [score, -3.0]]]), np.array([[1.0, 0.0]])
    _, saved = label_attention.forward(interests, target, np.ones((1, 2), bool), power=power)
    d_out = np.array([[0.5, 2.0]])
    d_interests, d_target = label_attention.backward(d_out, saved)
    # weights 1/2; d_w differ by 2 (1 - -3) = 8, so d_a is 2 and -2
    d_score = 2 * power * abs(score) ** (power - 1)
    expected = 0.5 * d_out + d_score * np.array([[1, 0], [-1, 0]])
    assert_close(d_interests[0], expected, atol=0)
    # the first components cancel; the second: d_score (1 - -3)
    assert_close(d_target[0], [0, 4 * d_score], atol=0)


@pytest.mark.rules("label_attention-R17")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, np.inf])
def test_a_score_that_is_not_finite_makes_only_that_user_nan(power: float, bad: float) -> None:
    interests, target = np.ones((2, 3, 2)), np.ones((2, 2))
    interests[0, 1, 0] = bad
    with np.errstate(invalid="ignore"):
        _, saved = label_attention.forward(interests, target, np.ones((2, 3), bool), power=power)
        d_interests, d_target = label_attention.backward(np.ones((2, 2)), saved)
    for x in (saved.weights.out, d_interests, *([] if np.isinf(power) else [d_target])):
        assert np.isnan(x[0]).all()
        assert np.isfinite(x[1]).all()
