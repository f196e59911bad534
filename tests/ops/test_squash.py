"""Each rule of specs/squash.md, and its worked example."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import distinct_sizes, generators, normal
from mindref.conformance.tolerances import rounding, same_math
from mindref.errors import ShapeError
from mindref.kernels import squash as kernel
from mindref.ops import squash
from tests import naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@st.composite
def capsules(draw):
    """Draw (B, K, D), some long, some short, some zero."""
    users, interests, width = draw(distinct_sizes(3))
    rng = draw(generators())
    scale = rng.choice([0, 0.1, 1, 10], size=(users, interests, 1))
    return scale * normal(rng, users, interests, width)


def extremes(dtype):
    """Return capsules (M, 3) from subnormal to the largest float, along an axis and askew."""
    dtype = np.dtype(dtype).type
    info = np.finfo(dtype)
    tiny, huge = (1e-300, 1e300) if dtype is np.float64 else (1e-38, 1e38)
    lengths = [info.smallest_subnormal, info.tiny, tiny, info.eps, 1, 1 / info.eps, huge, info.max]
    shapes = np.array([[1, 0, 0], [-1, 1, 1], [1, -0.5, 0.25]], dtype)
    with np.errstate(under="ignore"):
        return np.concatenate([dtype(length) * shapes for length in lengths]).astype(dtype)


@pytest.mark.rules("squash-R1")
@pytest.mark.parametrize("length", [1e-3, 0.5, 1.0, 2.0, 1e3])
def test_the_new_length_is_exact_in_fractions(length):
    out, _ = squash.forward(np.array([0.0, length, 0.0]))
    square = Fraction(length) ** 2
    expected = [0, float(square / (1 + square)), 0]
    np.testing.assert_allclose(out, expected, rtol=rounding(np.float64))


@pytest.mark.rules("squash-R2")
@given(capsules(), generators())
def test_backward_equals_the_complex_step_of_the_loops(x, rng):
    d_out = rng.standard_normal(x.shape)
    found = squash.backward(d_out, squash.forward(x)[1])
    for index in np.ndindex(x.shape[:-1]):
        if x[index].any():
            (expected,) = naive.derivative(naive.squash, [x[index]], d_out[index])
            assert_close(found[index], expected)


@pytest.mark.rules("squash-R3")
def test_the_gradient_tends_to_its_limits_at_zero_and_far_out():
    """Near zero 2 n along and n across; far out 2 / n^3 along and 1 / n across."""
    a, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    for n, slope_along, slope_across in [(1e-9, 2e-9, 1e-9), (1e9, 2e-27, 1e-9)]:
        _, saved = squash.forward(n * a)
        assert_close(squash.backward(across, saved), slope_across * across, atol=0)
        _, along = squash.forward(np.array([n]))  # one axis alone: no cancellation
        assert_close(squash.backward(np.ones(1), along), [slope_along], atol=0)


@pytest.mark.rules("squash-R4")
@pytest.mark.parametrize("module", [squash, kernel])
@TYPES
def test_the_length_of_rounded_components_is_at_most_four_eps_above_one(dtype, module):
    """Below one only in exact arithmetic: rounded components of long vectors can be longer."""
    rng, eps, longest = np.random.default_rng(1), np.finfo(dtype).eps, 0.0
    for width in (2, 8, 64, 1024):
        out, _ = module.forward((1e20 * rng.standard_normal((1000, width))).astype(dtype))
        longest = max(longest, np.linalg.norm(out.astype(np.longdouble), axis=1).max())
    assert 1 < longest <= 1 + 4 * eps


@pytest.mark.rules("squash-R2", "squash-R4")
@pytest.mark.parametrize("module", [squash, kernel])
@TYPES
def test_both_slopes_are_zero_if_the_length_exceeds_the_largest_float(dtype, module):
    info = np.finfo(dtype)
    _, saved = module.forward(np.full((1, 4), info.max, dtype))
    np.testing.assert_array_equal(module.backward(np.eye(4, dtype=dtype)[:1], saved), 0)
    assert 1 / (2 * np.longdouble(info.max)) < info.tiny, "the exact slope across x"


@pytest.mark.rules("squash-R5")
def test_an_epsilon_under_the_root_shortens_short_vectors_as_the_page_states():
    for length, left in [(3e-5, 0.69), (1e-6, 0.03)]:
        assert round(float(length / np.hypot(length, 1e-9**0.5)), 2) == left
    assert 1 - 0.1 / np.hypot(0.1, 1e-9**0.5) < 1e-7


@pytest.mark.rules("squash-R5")
@TYPES
def test_short_vectors_keep_every_digit(dtype):
    """Below sqrt(eps) the result is n x to rounding, as long as n^2 is a normal float."""
    info = np.finfo(dtype)
    for exponent in range(int(np.log2(info.tiny)) // 2 + 4, int(np.log2(info.eps)) // 2 - 2, 7):
        n = dtype(2.0**exponent)
        out, saved = squash.forward(np.array([3 * n, 4 * n], dtype))
        np.testing.assert_allclose(out, [15 * n * n, 20 * n * n], rtol=same_math(dtype))
        assert saved.across[0] == pytest.approx(float(5 * n), rel=same_math(dtype))


@pytest.mark.rules("squash-R6", "numerics-R16")
@TYPES
def test_unit_has_length_one_for_extreme_vectors(dtype):
    x = extremes(dtype)
    out, saved = squash.forward(x, kind="unit")
    lengths = np.linalg.norm(out.astype(float), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=rounding(dtype))
    np.testing.assert_array_equal(np.sign(out), np.sign(x))
    assert np.isfinite(saved.across).all()
    assert not np.isnan(squash.backward(np.zeros_like(x), saved)).any()


@pytest.mark.rules("squash-R8")
def test_another_kind_raises():
    message = "squash: kind: expected squash or unit or none, got tanh"
    with raises_exactly(ShapeError, message):
        squash.forward(np.zeros((2, 3)), kind="tanh")


@pytest.mark.rules("squash-R9")
@pytest.mark.parametrize("kind", squash.KINDS)
def test_a_number_without_an_axis_raises(kind):
    message = "squash: x: expected at least one axis, got a number"
    with raises_exactly(ShapeError, message):
        squash.forward(np.array(3.0), kind=kind)


@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3")
def test_the_worked_example_matches_the_page():
    (example,) = spec_pages.examples("squash")
    x, d_out = (np.array(example[name], float) for name in ("x", "d_out"))
    out, saved = squash.forward(x)
    assert_example({"out": out, "d_x": squash.backward(d_out, saved)}, example)


@pytest.mark.rules("squash-R7")
@given(capsules(), generators())
def test_none_does_not_change_vectors_and_gradients(x, rng):
    out, saved = squash.forward(x, kind="none")
    d_out = rng.standard_normal(x.shape)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(squash.backward(d_out, saved), d_out)
