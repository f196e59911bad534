"""Exponentials in lanes over the range of numbers, against those of a wider type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.kernels.exponential import raise_all, raise_to_normal

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def below_zero() -> Any:
    """Return numbers <= 0: evenly from -110, from zero on by their bits, and around borders."""
    even = np.linspace(-110, 0, 2_000_001, dtype=np.float32)
    bits = np.arange(0x80000000, 0xC2E00000, 1009, dtype=np.int64).astype(np.uint32)
    halves = -np.arange(0.5, 160) * np.log(2)  # where the power of two changes
    borders = np.concatenate([halves, [-87.33655, -103.27893, -103.97208, -104, -1e30, -np.inf]])
    near = [borders.astype(np.float32)]
    for _ in range(3):
        near.append(np.nextafter(near[-1], np.float32(0)))
    return np.concatenate([even, bits.view(np.float32), *near])


@pytest.mark.rules("routing-R2", "softmax-R3")
def test_single_exponentials_are_within_one_ulp() -> None:
    """The page numerics lets exp be off by one ULP, statistically, and by three at the worst."""
    x = below_zero()
    got = x.copy()
    raise_all(got, np.float32(0))
    exact = np.exp(x.astype(np.float64))
    ulp = np.spacing(exact.astype(np.float32)).astype(np.float64)  # the least one below normal
    assert (np.abs(got - exact) <= ulp).all()
    assert got[x == 0].tolist() == [1.0] * int((x == 0).sum())
    assert not got[x < -104].any()
    assert (np.diff(got[np.argsort(x, kind="stable")]) >= -ulp.min()).all()


@pytest.mark.rules("routing-R2", "softmax-R3")
def test_double_exponentials_are_within_two_ulp() -> None:
    """Against the long doubles of the machine, or NumPy's own where those are no longer."""
    even, borders = np.linspace(-750, 0, 1_000_001), -np.arange(0.5, 1080) * np.log(2)
    x = np.concatenate([even, -np.exp(np.linspace(-40, 6, 200_001)), borders, [-1e300, -np.inf]])
    got = x.copy()
    raise_all(got, 0.0)
    exact = np.exp(x.astype(np.longdouble))
    ulp = np.spacing(exact.astype(np.float64))
    assert (np.abs(got - exact) <= 2 * ulp).all()
    assert got[x == 0].tolist() == [1.0] * int((x == 0).sum())
    assert not got[x < -746].any()


@pytest.mark.rules("sampled_softmax-R11")
def test_to_normal_numbers_they_are_the_same_and_below_zero() -> None:
    """Where the exponential is normal, but for the last hundredth of its logarithm."""
    for dtype in (np.float32, np.float64):
        x = np.concatenate([np.linspace(-800, 0, 100_001), [-1e30, -np.inf]]).astype(dtype)
        x = np.concatenate([x, np.linspace(-89, -86, 3001, dtype=dtype)])
        whole, normal = x.copy(), x.copy()
        raise_all(whole, dtype(0))
        raise_to_normal(normal, dtype(0))
        tiny = np.finfo(dtype).tiny
        assert np.array_equal(normal[whole > 1.01 * tiny], whole[whole > 1.01 * tiny])
        assert not normal[whole < tiny].any()
        assert not ((normal > 0) & (normal < tiny)).any()


@TYPES
def test_what_is_raised_is_the_difference_to_the_top(dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=1001).astype(dtype)
    top, plain = x.max(), x - x.max()
    raise_all(x, top)
    raise_all(plain, dtype(0))
    assert np.array_equal(x, plain)
    assert x.max() == 1


@TYPES
@pytest.mark.rules("numerics-R5")
def test_a_nan_stays_one_beside_its_neighbours(dtype: Any) -> None:
    x = np.array([-1, np.nan, -2, -np.inf, 0], dtype)
    raise_all(x, dtype(0))
    assert np.isnan(x).tolist() == [False, True, False, False, False]
    assert x[3:].tolist() == [0, 1]
