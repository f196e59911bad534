"""pooled_softmax: its scores, its limits, and the weights of the interests.

test_sampled_softmax.py has the rules that both losses share.
"""

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance.tolerances import rounding, same_math
from mindref.errors import ShapeError
from mindref.ops import pooled_softmax, sampled_softmax
from tests import spec_pages
from tests.assertions import assert_example, raises_exactly
from tests.ops.loss_cases import (
    EACH_OPTION,
    EXTREME_SHARPNESS,
    SHARPNESS,
    TYPES,
    Case,
    assert_same_results,
    cases,
    fixed_case,
    forward,
    of_products,
    run,
)

EXAMPLE = spec_pages.examples("pooled_softmax")[0]
EVERY = pytest.mark.parametrize("sharpness", SHARPNESS)


@pytest.mark.rules(
    "pooled_softmax-R1", "pooled_softmax-R2", "pooled_softmax-R3", "pooled_softmax-R6",
    "pooled_softmax-R7", "pooled_softmax-R8", "pooled_softmax-R9", "pooled_softmax-R10",
    "pooled_softmax-R11", "pooled_softmax-R14", "pooled_softmax-R16",
)  # fmt: skip
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=lambda c: f"beta={c['sharpness']}")
def test_the_worked_example_matches_the_page(expected):
    numbers = {k: expected[k] for k in ("temperature", "normalise")}
    sharpness = float(expected["sharpness"])
    case = Case(*(np.array(EXAMPLE[k]) for k in Case._fields))
    names = ("out", "d_interests", "d_target", "d_negatives")
    got = dict(zip(names, run(case, sharpness, **numbers), strict=True))
    interests, items = case.interests, [np.vstack([t, case.negatives]) for t in case.target]
    if numbers["normalise"]:
        interests = interests / np.linalg.norm(interests, axis=-1, keepdims=True)
        items = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in items]
    products = np.einsum("bkd,bsd->bks", interests, np.array(items)) / numbers["temperature"]
    scores_, _ = pooled_softmax.pool_scores(products, case.active, sharpness)
    assert_example({**got, "scores": scores_}, expected)
    assert_example({"mean": got["out"]}, {"mean": np.mean(expected["losses"])})


@pytest.mark.rules("pooled_softmax-R17")
@EVERY
@EACH_OPTION
@given(drawn=cases())
@pytest.mark.slow(every=3)
def test_with_one_interest_it_is_the_sampled_softmax(drawn, sharpness, options):
    case, rng = drawn
    users = np.arange(len(case.active))
    interest = rng.integers(0, case.active.shape[1], len(users))
    one = case.of_one_interest(interest)
    out, d_interests, *d_items = run(one, sharpness, **options)
    expected, saved = sampled_softmax.forward(case.interests[users, interest], *case[2:], **options)
    results = [out, d_interests[users, interest], *d_items]
    assert_same_results(results, [expected, *sampled_softmax.backward(1.0, saved)])
    assert not d_interests[~one.active].any()


@pytest.mark.rules("pooled_softmax-R3")
def test_among_equal_scores_only_the_first_interest_has_a_gradient():
    case = fixed_case()
    interests = case.interests.copy()
    interests[0, 3] = interests[0, 1]
    interests[0, [0, 2]] = -10 * interests[0, 1]  # the better one where the others are worse
    _, d_interests, _, _ = run(case._replace(interests=interests), np.inf)
    assert d_interests[0].any(axis=1).tolist() == [True, True, False, False]


@pytest.mark.rules("pooled_softmax-R4")
@EVERY
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30, -7.0])
def test_inactive_interests_have_no_influence(sharpness, normalise, garbage):
    case, results = fixed_case(), []
    for value in (0.0, garbage):
        filled = np.where(case.active[..., None], case.interests, value)
        results.append(run(case._replace(interests=filled), sharpness, normalise=normalise))
    for clean, dirty in zip(*results, strict=True):
        assert clean.tobytes() == dirty.tobytes()
    assert not results[1][1][~case.active].any(), "gradient of an inactive interest"


def scores(products, sharpness, dtype=np.float64):
    """Return the scores of products (K, S), all interests active."""
    x = np.array(products, dtype)[None]
    pooled, _ = pooled_softmax.pool_scores(x.copy(), np.ones(x.shape[:2], bool), sharpness)
    assert pooled.dtype == dtype
    return pooled[0]


@pytest.mark.rules("pooled_softmax-R5")
@TYPES
def test_the_score_rises_from_the_mean_to_the_largest(dtype):
    products = np.random.default_rng(0).standard_normal((4, 200)).astype(dtype)
    grid = [0.0, 1e-300, 1e-38, 1e-20, *np.geomspace(1e-12, 1e12, 97), 1e38, 1e300, np.inf]
    rows = np.array([scores(products, beta, dtype) for beta in grid])
    near = rounding(dtype) * np.abs(products).max()
    assert (np.diff(rows, axis=0) >= -near).all()
    np.testing.assert_allclose(rows[0], products.mean(axis=0), rtol=0, atol=near, err_msg="mean")
    np.testing.assert_array_equal(rows[-1], products.max(axis=0))
    # the largest is missed by log(K) / beta at most, the mean by beta / 8 of the range squared
    for beta, row in zip(grid, rows, strict=True):
        least = products.max(axis=0) - np.log(4) / max(beta, 1e-30)
        most = products.mean(axis=0) + min(beta, 1e12) * np.ptp(products, axis=0) ** 2 / 8
        assert (row >= least - near).all()
        assert (row <= most + near).all()


@pytest.mark.rules("pooled_softmax-R5")
@TYPES
@pytest.mark.parametrize("sharpness", [1e-3, 1e-5, 1e-8, 1e-30, 1e-44, 1e-300, 5e-324])
def test_a_small_sharpness_keeps_its_digits(sharpness, dtype):
    products = np.array([[0.5], [-1.25], [3.0]], dtype)
    mean, deviation = products.mean(), products - products.mean()
    # the first three cumulants; what comes after is below the cube of beta
    second, third = (deviation**2).mean() / 2, (deviation**3).mean() / 6
    expected = mean + sharpness * second + sharpness**2 * third
    near = rounding(dtype) * 4 + sharpness**3
    np.testing.assert_allclose(scores(products, sharpness, dtype), expected, rtol=0, atol=near)


@pytest.mark.rules("pooled_softmax-R12")
@pytest.mark.parametrize("sharpness", [0.0, 1e-9, 1.0, 1e300, np.inf])
def test_products_at_the_end_of_the_floats_cause_no_warning(sharpness):
    """Their gaps are beyond the largest float, which is weight 0."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        pooled = scores([[1.5e308], [-1.5e308], [1.5e308]], sharpness)
    expected = 5e307 if sharpness == 0 else 1.5e308
    np.testing.assert_allclose(pooled, expected, rtol=rounding(np.float64), err_msg="score")


@pytest.mark.rules("pooled_softmax-R16")
@TYPES
def test_a_small_weight_keeps_its_digits(dtype):
    """An interest 30 below the best one learns exp(-30) of what that learns."""
    out, saved = forward(of_products([0.0, -30.0], [[0.0, -60.0]], dtype), 1.0)
    np.testing.assert_allclose(out, np.log(2), rtol=same_math(dtype), err_msg="loss")
    for slopes, gap in ((-saved.target_slopes, 30.0), (saved.negative_slopes[..., 0], 60.0)):
        expected = [[0.5, 0.5 * np.exp(-gap)]]
        np.testing.assert_allclose(slopes, expected, rtol=same_math(dtype), err_msg=f"{gap} below")


@pytest.mark.rules("pooled_softmax-R16")
@TYPES
@pytest.mark.parametrize("sharpness", [0.0, 1e-300, 1.0, 1e300])
def test_equal_scores_share_the_weight_at_every_finite_sharpness(sharpness, dtype):
    _, saved = forward(of_products([2.0, 2.0], [[1.0, 1.0]], dtype), sharpness)
    assert saved.target_slopes[0, 0] == saved.target_slopes[0, 1] < 0
    assert saved.negative_slopes[0, 0, 0] == saved.negative_slopes[0, 1, 0] > 0


@pytest.mark.rules("pooled_softmax-R25")
@pytest.mark.parametrize("sharpness", EXTREME_SHARPNESS)
def test_an_infinity_of_weight_zero_makes_the_loss_nan(sharpness):
    """The largest product alone would not show it: -infinity and -1, and the target is fine."""
    one, two = np.ones((1, 1)), np.array([1, 2])
    items = 1e-200 * one, -1e200 * one, two[:1], two[1:], np.zeros(1), np.zeros(1)
    case = Case(np.array([[[1e200], [1e-200]]]), np.ones((1, 2), bool), *items)
    with np.errstate(over="ignore"):
        assert np.isnan(forward(case, sharpness)[0])


@pytest.mark.rules("pooled_softmax-R22")
@pytest.mark.parametrize("sharpness", [-1.0, -np.inf, np.nan])
def test_a_sharpness_must_not_be_negative(sharpness):
    message = f"pooled_softmax: sharpness: expected a number from 0 to infinity, got {sharpness}"
    with raises_exactly(ShapeError, message):
        run(fixed_case(), sharpness)
