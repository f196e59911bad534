"""label_attention: values, limits of the power, gradients, extreme numbers, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal, read_only
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.errors import ShapeError
from mindref.ops import label_attention
from tests import kinked_gradients, naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly, raises_with

EXAMPLE = spec_pages.examples("label_attention")[0]
POWERS = [0.0, 0.5, 1.0, 2.0, 3.0, np.inf]


@st.composite
def cases(draw: st.DrawFn, dtype: Any = np.float64) -> tuple[Any, ...]:
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
def test_the_worked_example_matches_the_page(expected: dict[str, Any]) -> None:
    interests, target, active, d_out = (
        np.array(EXAMPLE[k]) for k in ("interests", "target", "active", "d_out")
    )
    power = float(expected["power"])
    out, saved = label_attention.forward(interests, target, active, power=power)
    d_interests, d_target = label_attention.backward(d_out, saved)
    got = {"out": out, "weights": saved.weights.out, "d_interests": d_interests}
    assert_example({**got, "d_target": d_target}, expected)
    np.testing.assert_allclose(saved.scores, EXAMPLE["scores"], rtol=0, atol=VANISHING)


@pytest.mark.rules("label_attention-R1", "label_attention-R3", "label_attention-R7")
@pytest.mark.parametrize("power", [*POWERS, 0.1, 1.5, 7.0])
@given(case=cases())
def test_it_agrees_with_loops_over_numbers(case: tuple[Any, ...], power: float) -> None:
    interests, target, active, _ = case
    out, saved = label_attention.forward(interests, target, active, power=power)
    for b, mine in enumerate(active):
        expected = naive.attention(interests[b][mine].tolist(), target[b].tolist(), power)
        assert_close(out[b], expected, f"user {b}")
    weights = saved.weights.out
    assert (weights >= 0).all()
    assert not weights[~active].any()
    assert_close(weights.sum(axis=1), 1, "sum of weights", atol=0)


@pytest.mark.rules("label_attention-R8", "label_attention-R9", "label_attention-R10")
@pytest.mark.parametrize("power", POWERS)
@given(case=cases())
def test_the_gradient_agrees_with_central_differences(case: tuple[Any, ...], power: float) -> None:
    interests, target, active, rng = case
    _, saved = label_attention.forward(interests, target, active, power=power)
    # the power has its kink at zero, and near it a square root is too steep for any step
    assume(power in (0, 1, 3) or np.abs(saved.scores[active]).min() > 0.05)

    def function(*moved: Any) -> Any:
        out, other = label_attention.forward(*moved, active, power=power)
        best = np.argmax(np.where(active, other.scores, -np.inf), axis=1)
        return out, [other.scores > 0, best]

    kinked_gradients.check(
        function, lambda d: label_attention.backward(d, saved), (interests, target), rng
    )


@pytest.mark.rules("label_attention-R4")
@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30, -7.0])
def test_inactive_interests_have_no_influence(power: float, garbage: float) -> None:
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


@pytest.mark.rules("label_attention-R5", "label_attention-R6")
@given(case=cases())
def test_power_zero_is_the_mean_and_power_infinity_the_best_interest(case: tuple[Any, ...]) -> None:
    interests, target, active, _ = case
    mean, best = (
        label_attention.forward(interests, target, active, power=p)[0] for p in (0.0, np.inf)
    )
    for b, of_user in enumerate(active):
        assert_close(mean[b], interests[b][of_user].mean(axis=0), "mean")
        scores = interests[b] @ target[b]
        k = max(np.flatnonzero(of_user), key=lambda k: (scores[k], -k))
        assert best[b].tobytes() == interests[b, k].tobytes()


@pytest.mark.rules("label_attention-R10")
@pytest.mark.parametrize("power", [0.0, np.inf])
def test_constant_weights_give_no_gradient_of_the_query(power: float) -> None:
    rng = np.random.default_rng(2)
    _, saved = label_attention.forward(
        normal(rng, 2, 3, 4), normal(rng, 2, 4), np.ones((2, 3), bool), power=power
    )
    d_out = normal(rng, 2, 4)
    d_interests, d_target = label_attention.backward(d_out, saved)
    assert not d_target.any()
    assert_close(d_interests.sum(axis=1), d_out, "the weights sum to one", atol=0)


@pytest.mark.parametrize("power", POWERS)
def test_a_single_interest_is_returned_unchanged(power: float) -> None:
    interests = normal(np.random.default_rng(3), 5, 1, 4)
    out, _ = label_attention.forward(
        interests, interests[::-1, 0], np.ones((5, 1), bool), power=power
    )
    assert out.tobytes() == interests[:, 0].tobytes()


@given(case=cases(np.float32), power=st.sampled_from(POWERS))
def test_float32_stays_float32_and_agrees_with_float64(case: tuple[Any, ...], power: float) -> None:
    interests, target, active, _ = case
    wide = interests.astype(np.float64), target.astype(np.float64)
    out, saved = label_attention.forward(interests, target, active, power=power)
    exact, other = label_attention.forward(*wide, active, power=power)
    grads = label_attention.backward(out, saved)
    assert {a.dtype for a in (out, *grads)} == {np.dtype(np.float32)}
    atol = same_math(np.float32) * (1 + np.abs(other.scores).max() ** (power if power < 4 else 0))
    np.testing.assert_allclose(out, exact, rtol=0, atol=atol, err_msg=f"p = {power}")


ONES = read_only(np.ones((2, 3), bool))


@pytest.mark.rules("label_attention-R14")
@pytest.mark.parametrize(
    ("target", "active", "message"),
    [
        (np.ones((2, 4)), ONES, "target has shape (2, 4) but interests (2, 3, 5) needs (B, D)"),
        (np.ones((2, 5)), ONES[:1], "active has shape (1, 3) but interests (2, 3, 5) needs (B, K)"),
        (np.ones((2, 5), np.float32), ONES, "expected one dtype, float32 or float64"),
        (np.ones((2, 5)), ONES * 1, "active: expected a mask of dtype bool, got int64"),
    ],
)
def test_invalid_arrays_raise(target: Any, active: Any, message: str) -> None:
    with raises_with(ShapeError, f"label_attention: {message}"):
        label_attention.forward(np.ones((2, 3, 5)), target, active, power=1.0)


@pytest.mark.rules("label_attention-R15")
@pytest.mark.parametrize("power", [-1.0, np.nan, -np.inf])
def test_a_power_below_zero_raises(power: float) -> None:
    message = f"label_attention: power: expected a number from 0 to infinity, got {power}"
    with raises_exactly(ShapeError, message):
        label_attention.forward(np.ones((2, 3, 5)), np.ones((2, 5)), ONES, power=power)


@pytest.mark.rules("label_attention-R16")
def test_a_user_without_an_active_interest_raises() -> None:
    active = np.array([[True, False, False], [False, False, False]])
    message = "label_attention: active: expected an active interest for every user, got none"
    with raises_exactly(ShapeError, message):
        label_attention.forward(np.ones((2, 3, 5)), np.ones((2, 5)), active, power=1.0)
