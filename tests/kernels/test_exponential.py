"""Vectorised exponentials over the range of floats, compared with a wider dtype."""

import numpy as np
import pytest

from mindref.kernels.exponential import exp_inplace, exp_inplace_flush

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def arguments_below_zero():
    """Return numbers <= 0: evenly spaced from -110, evenly spaced bits, and around limits."""
    even = np.linspace(-110, 0, 2_000_001, dtype=np.float32)
    bits = np.arange(0x80000000, 0xC2E00000, 1009, dtype=np.int64).astype(np.uint32)
    halves = -np.arange(0.5, 160) * np.log(2)  # where the power of two changes
    borders = np.concatenate([halves, [-87.33655, -103.27893, -103.97208, -104, -1e30, -np.inf]])
    near = [borders.astype(np.float32)]
    for _ in range(3):
        near.append(np.nextafter(near[-1], np.float32(0)))
    return np.concatenate([even, bits.view(np.float32), *near])


def check_exponentials(x, wide, least, ulps):
    """Compare with exponentials in a wider dtype; arguments below `least` give zero."""
    got = x.copy()
    exp_inplace(got, x.dtype.type(0))
    exact = np.exp(x.astype(wide))
    ulp = np.spacing(exact.astype(x.dtype)).astype(np.float64)  # the least one below normal
    assert (np.abs(got - exact) <= ulps * ulp).all()
    assert (got[x == 0] == 1).all()
    assert (x == 0).any()
    assert not got[x < least].any()
    return got, ulp.min()


@pytest.mark.rules("routing-R2", "softmax-R3")
def test_float32_exponentials_are_within_one_ulp():
    """specs/numerics.md allows an error of one ULP statistically, and three at most."""
    x = arguments_below_zero()
    got, least_ulp = check_exponentials(x, np.float64, -104, 1)
    assert (np.diff(got[np.argsort(x, kind="stable")]) >= -least_ulp).all()


@pytest.mark.rules("routing-R2", "softmax-R3")
def test_float64_exponentials_are_within_two_ulp():
    """Compared with the machine's long double, or with NumPy if long double is float64."""
    even, borders = np.linspace(-750, 0, 1_000_001), -np.arange(0.5, 1080) * np.log(2)
    x = np.concatenate([even, -np.exp(np.linspace(-40, 6, 200_001)), borders, [-1e300, -np.inf]])
    check_exponentials(x, np.longdouble, -746, 2)


@pytest.mark.rules("sampled_softmax-R11")
def test_flushed_exponentials_are_the_same_if_normal_and_zero_otherwise():
    """Except for results within one percent of the smallest normal number."""
    for dtype in (np.float32, np.float64):
        x = np.concatenate([np.linspace(-800, 0, 100_001), [-1e30, -np.inf]]).astype(dtype)
        x = np.concatenate([x, np.linspace(-89, -86, 3001, dtype=dtype)])
        unflushed, flushed = x.copy(), x.copy()
        exp_inplace(unflushed, dtype(0))
        exp_inplace_flush(flushed, dtype(0))
        tiny = np.finfo(dtype).tiny
        assert np.array_equal(flushed[unflushed > 1.01 * tiny], unflushed[unflushed > 1.01 * tiny])
        assert not flushed[unflushed < tiny].any()
        assert not ((flushed > 0) & (flushed < tiny)).any()


@TYPES
def test_the_exponent_is_the_difference_from_top(dtype):
    x = np.random.default_rng(0).normal(size=1001).astype(dtype)
    top, plain = x.max(), x - x.max()
    exp_inplace(x, top)
    exp_inplace(plain, dtype(0))
    assert np.array_equal(x, plain)
    assert x.max() == 1


@TYPES
@pytest.mark.rules("numerics-R5")
def test_a_nan_does_not_change_other_elements(dtype):
    x = np.array([-1, np.nan, -2, -np.inf, 0], dtype)
    exp_inplace(x, dtype(0))
    assert np.isnan(x).tolist() == [False, True, False, False, False]
    assert x[3:].tolist() == [0, 1]
