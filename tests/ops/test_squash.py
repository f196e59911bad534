"""Each rule of specs/squash.md, and its worked example."""

import numpy as np
import pytest

from mindref.conformance.tolerances import rounding, same_math
from mindref.errors import ShapeError
from mindref.kernels import squash as kernel
from mindref.ops import squash
from tests import spec_pages
from tests.assertions import assert_example, raises_exactly

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def extremes(dtype):
    """Return capsules (M, 3) from subnormal to the largest float, along an axis and askew."""
    dtype = np.dtype(dtype).type
    info = np.finfo(dtype)
    tiny, huge = (1e-300, 1e300) if dtype is np.float64 else (1e-38, 1e38)
    lengths = [info.smallest_subnormal, info.tiny, tiny, info.eps, 1, 1 / info.eps, huge, info.max]
    shapes = np.array([[1, 0, 0], [-1, 1, 1], [1, -0.5, 0.25]], dtype)
    with np.errstate(under="ignore"):
        return np.concatenate([dtype(length) * shapes for length in lengths]).astype(dtype)


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


@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3")
def test_the_worked_example_matches_the_page():
    (example,) = spec_pages.examples("squash")
    x, d_out = (np.array(example[name], float) for name in ("x", "d_out"))
    out, saved = squash.forward(x)
    assert_example({"out": out, "d_x": squash.backward(d_out, saved)}, example)


@pytest.mark.rules("squash-R7")
def test_none_does_not_change_vectors_and_gradients():
    x, d_out = np.random.default_rng(0).standard_normal((2, 2, 3, 4))
    out, saved = squash.forward(x, kind="none")
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(squash.backward(d_out, saved), d_out)


@pytest.mark.rules("squash-R8", "squash-R9")
@pytest.mark.parametrize(
    ("x", "kind", "text"),
    [
        (np.zeros((2, 3)), "tanh", "kind: expected squash or unit or none, got tanh"),
        (np.array(3.0), "unit", "x: expected at least one axis, got a number"),
    ],
)
def test_invalid_inputs_raise(x, kind, text):
    with raises_exactly(ShapeError, f"squash: {text}"):
        squash.forward(x, kind=kind)
