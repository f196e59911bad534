"""label_attention: values, the power and its limits, gradients, ties, extreme numbers, errors."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal, read_only
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, same_math
from mindref.errors import ShapeError
from mindref.kernels import label_attention as kernel
from mindref.ops import label_attention
from mindref.ops.label_attention import signed_power_backward
from tests import kinked_gradients, naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_with

EXAMPLE = spec_pages.examples("label_attention")[0]
POWERS = [0.0, 0.5, 1.0, 2.0, 3.0, np.inf]


@st.composite
def cases(draw, dtype=np.float64):
    """Draw interests (B, K, D), target (B, D), active (B, K) and a generator."""
    b, k, d = draw(strategies.distinct_sizes(3))
    rng = draw(strategies.generators())
    return (
        normal(rng, b, k, d, dtype=dtype),
        normal(rng, b, d, dtype=dtype),
        draw(strategies.actives(b, k)),
        rng,
    )


@pytest.mark.rules(
    "label_attention-R1", "label_attention-R2", "label_attention-R3", "label_attention-R5",
    "label_attention-R6", "label_attention-R7", "label_attention-R8", "label_attention-R9",
    "label_attention-R10",
)  # fmt: skip
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=lambda case: f"p={case['power']}")
def test_the_worked_example_matches_the_page(expected):
    interests, target, active, d_out = (
        np.array(EXAMPLE[k]) for k in ("interests", "target", "active", "d_out")
    )
    power = float(expected["power"])
    out, saved = label_attention.forward(interests, target, active, power=power)
    d_interests, d_target = label_attention.backward(d_out, saved)
    got = {"out": out, "weights": saved.weights.out, "d_interests": d_interests}
    assert_example({**got, "d_target": d_target}, expected)
    np.testing.assert_allclose(saved.scores, EXAMPLE["scores"], rtol=0, atol=VANISHING)


@pytest.mark.rules("label_attention-R8", "label_attention-R9", "label_attention-R10")
@pytest.mark.parametrize("power", POWERS)
@given(case=cases())
def test_the_gradient_agrees_with_central_differences(case, power):
    interests, target, active, rng = case
    _, saved = label_attention.forward(interests, target, active, power=power)
    # the power has its kink at zero, and near it a square root is too steep for any step
    assume(power in (0, 1, 3) or np.abs(saved.scores[active]).min() > 0.05)

    def function(*moved):
        out, other = label_attention.forward(*moved, active, power=power)
        best = np.argmax(np.where(active, other.scores, -np.inf), axis=1)
        return out, [other.scores > 0, best]

    kinked_gradients.check(
        function, lambda d: label_attention.backward(d, saved), (interests, target), rng
    )


ONES = read_only(np.ones((2, 3), bool))


@pytest.mark.rules("label_attention-R14", "label_attention-R15", "label_attention-R16")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.ones((2, 4))}, "target has shape (2, 4) but interests (2, 3, 5) needs"),
        ({"active": ONES[:1]}, "active has shape (1, 3) but interests (2, 3, 5) needs (B, K)"),
        ({"target": np.ones((2, 5), np.float32)}, "expected one dtype, float32 or float64"),
        ({"active": ONES * 1}, "active: expected a mask of dtype bool, got int64"),
        *(
            ({"power": power}, f"power: expected a number from 0 to infinity, got {power}")
            for power in (-1.0, np.nan, -np.inf)
        ),
        (
            {"active": ONES & [[True], [False]]},
            "active: expected an active interest for every user",
        ),
    ],
)
def test_invalid_inputs_raise(change, message):
    inputs = {"interests": np.ones((2, 3, 5)), "target": np.ones((2, 5)), "active": ONES}
    with raises_with(ShapeError, f"label_attention: {message}"):
        label_attention.forward(**{**inputs, "power": 1.0, **change})


@pytest.mark.rules("label_attention-R8", "label_attention-R9")
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("score", [0.01, 1.0, 50.0, 1e4, -0.01, -50.0, -1e4])
def test_a_tie_has_a_gradient_at_any_score(score, power):
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
def test_a_score_that_is_not_finite_makes_only_that_user_nan(power, bad):
    interests, target = np.ones((2, 3, 2)), np.ones((2, 2))
    interests[0, 1, 0] = bad
    with np.errstate(invalid="ignore"):
        _, saved = label_attention.forward(interests, target, np.ones((2, 3), bool), power=power)
        d_interests, d_target = label_attention.backward(np.ones((2, 2)), saved)
    for x in (saved.weights.out, d_interests, *([] if np.isinf(power) else [d_target])):
        assert np.isnan(x[0]).all()
        assert np.isfinite(x[1]).all()


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


@pytest.mark.rules("label_attention-R4")
@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30, -7.0])
def test_inactive_interests_have_no_influence(power, garbage):
    rng = np.random.default_rng(1)
    interests, target, d_out = normal(rng, 2, 3, 4), normal(rng, 2, 4), normal(rng, 2, 4)
    active = np.array([[True, False, True], [False, True, False]])
    results = []
    for value in (0.0, garbage):
        filled = np.where(active[..., None], interests, value)
        out, saved = label_attention.forward(filled, target, active, power=power)
        results.append((out, *label_attention.backward(d_out, saved)))
    for clean, dirty in zip(*results, strict=True):
        assert clean.tobytes() == dirty.tobytes()
    assert not results[1][1][~active].any(), "gradient of an inactive interest"
