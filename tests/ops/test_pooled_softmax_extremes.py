"""pooled_softmax at the edges: sharpness from tiny to huge, huge numbers, NaN, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import rounding, same_math
from mindref.errors import ShapeError
from mindref.ops import pooled_softmax
from tests.ops.pooled_cases import SHARPNESS, Case, cases, fixed_case, of_products

EVERY = pytest.mark.parametrize("sharpness", [0.0, 1e-300, 0.3, 1.0, 50.0, 1e300, np.inf])
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def scores(products: Any, sharpness: float, dtype: Any = np.float64) -> Any:
    """Return the scores of products (K, S), all interests active."""
    x = np.array(products, dtype)[None]
    found, _ = pooled_softmax.pool_scores(x.copy(), np.ones(x.shape[:2], bool), sharpness)
    assert found.dtype == dtype
    return found[0]


@pytest.mark.rules("pooled_softmax-R5")
@TYPES
def test_the_score_rises_from_the_mean_to_the_largest(dtype: Any) -> None:
    products = np.random.default_rng(0).standard_normal((4, 200)).astype(dtype)
    grid = [0.0, 1e-300, 1e-38, 1e-20, *np.geomspace(1e-12, 1e12, 97), 1e38, 1e300, np.inf]
    found = np.array([scores(products, beta, dtype) for beta in grid])
    near = rounding(dtype) * np.abs(products).max()
    assert (np.diff(found, axis=0) >= -near).all()
    np.testing.assert_allclose(found[0], products.mean(axis=0), rtol=0, atol=near, err_msg="mean")
    np.testing.assert_array_equal(found[-1], products.max(axis=0))
    # the largest is missed by log(K) / beta at most, the mean by beta / 8 of the range squared
    for beta, row in zip(grid, found, strict=True):
        least = products.max(axis=0) - np.log(4) / max(beta, 1e-30)
        most = products.mean(axis=0) + min(beta, 1e12) * np.ptp(products, axis=0) ** 2 / 8
        assert (row >= least - near).all()
        assert (row <= most + near).all()


@pytest.mark.rules("pooled_softmax-R5")
@TYPES
@pytest.mark.parametrize("sharpness", [1e-3, 1e-5, 1e-8, 1e-30, 1e-44, 1e-300, 5e-324])
def test_a_small_sharpness_keeps_its_digits(sharpness: float, dtype: Any) -> None:
    products = np.array([[0.5], [-1.25], [3.0]], dtype)
    mean, deviation = products.mean(), products - products.mean()
    # the first three cumulants; what comes after is below the cube of beta
    expected = (
        mean + sharpness * (deviation**2).mean() / 2 + sharpness**2 * (deviation**3).mean() / 6
    )
    near = rounding(dtype) * 4 + sharpness**3
    np.testing.assert_allclose(scores(products, sharpness, dtype), expected, rtol=0, atol=near)


@pytest.mark.rules("pooled_softmax-R12")
@TYPES
@EVERY
def test_huge_products_give_a_finite_loss(sharpness: float, dtype: Any) -> None:
    size = 1e4 if sharpness == 0 else 1e30
    for target in ([size, -size], [-size, -size], [0.0, size]):
        out, saved = of_products(target, [[size, size], [-size, 1.0]], dtype, sharpness=sharpness)
        assert np.isfinite(out)
        assert all(np.isfinite(d).all() for d in pooled_softmax.backward(1.0, saved))
    # nothing but the second negative is far from the target
    out, _ = of_products([size, size], [[size, size], [-size, -size]], dtype, sharpness=sharpness)
    np.testing.assert_allclose(out, np.log(2), rtol=same_math(dtype), err_msg="loss")


@pytest.mark.rules("pooled_softmax-R12")
@pytest.mark.parametrize("sharpness", [0.0, 1e-9, 1.0, 1e300, np.inf])
def test_products_at_the_end_of_the_floats_cause_no_warning(sharpness: float) -> None:
    """Their gaps are beyond the largest float, which is weight 0."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = scores([[1.5e308], [-1.5e308], [1.5e308]], sharpness)
    np.testing.assert_allclose(
        found, 5e307 if sharpness == 0 else 1.5e308, rtol=rounding(np.float64), err_msg="score"
    )


@pytest.mark.rules("pooled_softmax-R12")
@TYPES
def test_finite_inputs_cause_no_warning(dtype: Any) -> None:
    case, info = fixed_case(), np.finfo(dtype)
    for scale in (0.0, info.smallest_subnormal, info.tiny, 1.0, 1e3, float(info.max) ** 0.5 / 100):
        scaled = [(float(scale) * x).astype(dtype) if x.dtype == float else x for x in case]
        for sharpness in (0.0, 1e-44, 1e-3, 1.0, 1e30, np.inf):
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                out, saved = pooled_softmax.forward(*scaled, sharpness=sharpness)
                gradients = pooled_softmax.backward(1.0, saved)
            assert all(np.isfinite(x).all() for x in (out, *gradients)), (scale, sharpness)


@pytest.mark.rules("pooled_softmax-R13")
@EVERY
@pytest.mark.parametrize("ids", [[], [1], [1, 1]])
def test_a_user_without_negatives_has_no_loss(ids: list[int], sharpness: float) -> None:
    rng = np.random.default_rng(0)
    count = len(ids)
    out, saved = pooled_softmax.forward(
        normal(rng, 1, 2, 3), np.ones((1, 2), bool), normal(rng, 1, 3), normal(rng, count, 3),
        np.array([1]), np.array(ids, np.int64), np.array([0.5]), normal(rng, count),
        sharpness=sharpness,
    )  # fmt: skip
    assert out == 0
    assert not any(d.any() for d in pooled_softmax.backward(1.0, saved))


@pytest.mark.rules("pooled_softmax-R15")
@EVERY
def test_the_gradient_of_a_tiny_loss_keeps_its_digits(sharpness: float) -> None:
    out, saved = of_products([0.0, 0.0], [[-50.0, -50.0]], sharpness=sharpness)
    d_interests, d_target, d_negatives = pooled_softmax.backward(1.0, saved)
    near = {"rtol": same_math(np.float64), "err_msg": "of size exp(-50)"}
    np.testing.assert_allclose(out, np.exp(-50.0), **near)
    np.testing.assert_allclose(d_target.sum(), -np.exp(-50.0), **near)
    np.testing.assert_allclose(d_negatives.sum(), np.exp(-50.0), **near)
    np.testing.assert_allclose(d_interests.sum(), -100 * np.exp(-50.0), **near)


@pytest.mark.rules("pooled_softmax-R16")
@TYPES
def test_a_small_weight_keeps_its_digits(dtype: Any) -> None:
    """An interest 30 below the best one learns exp(-30) of what that learns."""
    out, saved = of_products([0.0, -30.0], [[0.0, -60.0]], dtype, sharpness=1.0)
    np.testing.assert_allclose(out, np.log(2), rtol=same_math(dtype), err_msg="loss")
    for found, gap in ((-saved.target_slopes, 30.0), (saved.negative_slopes[..., 0], 60.0)):
        expected = [[0.5, 0.5 * np.exp(-gap)]]
        np.testing.assert_allclose(found, expected, rtol=same_math(dtype), err_msg=f"{gap} below")


@pytest.mark.rules("pooled_softmax-R16")
@TYPES
@pytest.mark.parametrize("sharpness", [0.0, 1e-300, 1.0, 1e300])
def test_equal_scores_share_the_weight_at_every_finite_sharpness(
    sharpness: float, dtype: Any
) -> None:
    _, saved = of_products([2.0, 2.0], [[1.0, 1.0]], dtype, sharpness=sharpness)
    assert saved.target_slopes[0, 0] == saved.target_slopes[0, 1] < 0
    assert saved.negative_slopes[0, 0, 0] == saved.negative_slopes[0, 1, 0] > 0


@pytest.mark.rules("pooled_softmax-R25")
@EVERY
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", ["interests", "target", "negatives", "hit"])
def test_a_product_that_is_not_finite_makes_the_loss_nan(
    place: str, bad: float, sharpness: float
) -> None:
    case = fixed_case()
    name, at = {
        "interests": ("interests", (0, 2, 1)),
        "target": ("target", (0, 3)),
        "negatives": ("negatives", (2, 3)),
        "hit": ("negatives", (0, 3)),
    }[place]
    x = getattr(case, name).copy()
    x[at] = bad
    with np.errstate(invalid="ignore"):  # infinity times zero, as it should be
        out, saved = pooled_softmax.forward(*case._replace(**{name: x}), sharpness=sharpness)
        d_interests, d_target, _ = pooled_softmax.backward(1.0, saved)
    assert np.isnan(out)
    assert np.isnan(d_interests[0][case.active[0]]).all()
    assert np.isnan(d_target[0]).all()
    assert not d_interests[~case.active].any()
    others = np.isfinite(d_interests[1:]).all() and np.isfinite(d_target[1:]).all()
    assert others == (name != "negatives")


@pytest.mark.rules("pooled_softmax-R25")
@EVERY
def test_an_infinity_of_weight_zero_makes_the_loss_nan(sharpness: float) -> None:
    """The largest product alone would not show it: -infinity and -1, and the target is fine."""
    one, two = np.ones((1, 1)), np.array([1, 2])
    with np.errstate(over="ignore"):
        out, _ = pooled_softmax.forward(
            np.array([[[1e200], [1e-200]]]), np.ones((1, 2), bool), 1e-200 * one, -1e200 * one,
            two[:1], two[1:], np.zeros(1), np.zeros(1), sharpness=sharpness,
        )  # fmt: skip
    assert np.isnan(out)


@given(drawn=cases(np.float32), sharpness=st.sampled_from(SHARPNESS))
def test_float32_stays_float32_and_agrees_with_float64(
    drawn: tuple[Case, Any], sharpness: float
) -> None:
    case, _ = drawn
    wide = [x.astype(np.float64) if x.dtype == np.float32 else x for x in case]
    out, saved = pooled_softmax.forward(*case, sharpness=sharpness)
    exact, _ = pooled_softmax.forward(*wide, sharpness=sharpness)
    gradients = pooled_softmax.backward(1.0, saved)
    assert {a.dtype for a in (out, *gradients)} == {np.dtype(np.float32)}
    near = same_math(np.float32)
    np.testing.assert_allclose(out, exact, rtol=near, atol=near, err_msg="loss")


def test_results_are_deterministic_and_inputs_are_unchanged() -> None:
    case = fixed_case()
    before = [x.tobytes() for x in case]
    for sharpness in SHARPNESS:
        found = []
        for _ in range(2):
            out, saved = pooled_softmax.forward(*case, sharpness=sharpness)
            kept = [x.tobytes() for x in saved[:4]]
            gradients = pooled_softmax.backward(1.0, saved)
            assert [x.tobytes() for x in saved[:4]] == kept
            found.append([x.tobytes() for x in (out, *gradients)])
        assert found[0] == found[1]
    assert [x.tobytes() for x in case] == before


@pytest.mark.rules("pooled_softmax-R19")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("negatives", np.ones((5, 3)), "negatives has shape (5, 3) but interests (3, 4, 5) needs"),
        ("target", np.ones((2, 5)), "target has shape (2, 5) but interests (3, 4, 5) needs (B, D)"),
        ("active", np.ones((3, 3), bool), "active has shape (3, 3) but interests (3, 4, 5) needs"),
        ("active", np.ones((3, 4)), "active: expected a mask of dtype bool, got float64"),
        ("target_ids", np.ones(2, int), "target_ids has shape (2,) but interests (3, 4, 5)"),
        ("negative_ids", np.ones(2, int), "negative_ids has shape (2,) but negatives (5, 5)"),
        ("negative_log_expected", np.ones(1), "negative_log_expected has shape (1,) but negatives"),
        ("target_log_expected", np.ones(1), "target_log_expected has shape (1,) but interests"),
        ("target_log_expected", np.ones(3, "f4"), "expected one dtype, float32 or float64"),
        ("target", np.ones((3, 5), int), "expected one dtype, float32 or float64"),
    ],
)
def test_invalid_arrays_raise(name: str, value: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        pooled_softmax.forward(*fixed_case()._replace(**{name: value}), sharpness=1.0)
    assert str(caught.value).startswith("pooled_softmax: ")
    assert message in str(caught.value)


@pytest.mark.rules("pooled_softmax-R20")
@pytest.mark.parametrize("name", ["target_log_expected", "negative_log_expected"])
@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_an_infinite_log_expected_count_raises(name: str, value: float) -> None:
    case = fixed_case()
    log = getattr(case, name).copy()
    log[1] = value
    with pytest.raises(ShapeError) as caught:
        pooled_softmax.forward(*case._replace(**{name: log}), sharpness=1.0)
    expected = f"pooled_softmax: {name}: expected finite logs, got an infinite one or NaN"
    assert str(caught.value) == expected


@pytest.mark.rules("pooled_softmax-R21")
@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_must_be_above_zero_and_finite(temperature: float) -> None:
    with pytest.raises(ShapeError) as caught:
        pooled_softmax.forward(*fixed_case(), sharpness=1.0, temperature=temperature)
    expected = f"pooled_softmax: temperature: expected a finite number above 0, got {temperature}"
    assert str(caught.value) == expected


@pytest.mark.rules("pooled_softmax-R22")
@pytest.mark.parametrize("sharpness", [-1.0, -np.inf, np.nan])
def test_a_sharpness_must_not_be_negative(sharpness: float) -> None:
    with pytest.raises(ShapeError) as caught:
        pooled_softmax.forward(*fixed_case(), sharpness=sharpness)
    expected = f"pooled_softmax: sharpness: expected a number from 0 to infinity, got {sharpness}"
    assert str(caught.value) == expected


@pytest.mark.rules("pooled_softmax-R23")
def test_an_empty_batch_raises() -> None:
    with pytest.raises(ShapeError) as caught:
        pooled_softmax.forward(*fixed_case().first_users(0), sharpness=1.0)
    assert str(caught.value) == "pooled_softmax: interests: expected at least one user, got none"


@pytest.mark.rules("pooled_softmax-R24")
def test_a_user_without_an_active_interest_raises() -> None:
    case = fixed_case()
    active = case.active & (np.arange(3) != 1)[:, None]
    with pytest.raises(ShapeError) as caught:
        pooled_softmax.forward(*case._replace(active=active), sharpness=1.0)
    expected = "pooled_softmax: active: expected an active interest for every user, got none"
    assert str(caught.value) == expected
