"""Parts of the rounds of routing over the range of numbers: exponentials, lengths, capsules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import rounding
from mindref.kernels import rounds
from mindref.ops import squash
from tests.ops.test_squash import extremes

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
    rounds.raise_singles(got)
    exact = np.exp(x.astype(np.float64))
    ulp = np.spacing(exact.astype(np.float32)).astype(np.float64)  # the least one below normal
    assert (np.abs(got - exact) <= ulp).all()
    assert got[x == 0].tolist() == [1.0] * int((x == 0).sum())
    assert not got[x < -104].any()
    assert (np.diff(got[np.argsort(x, kind="stable")]) >= -ulp.min()).all()


@pytest.mark.rules("numerics-R5")
def test_a_nan_stays_one_beside_its_neighbours() -> None:
    x = np.array([-1, np.nan, -2, -np.inf, 0], np.float32)
    rounds.raise_singles(x)
    assert np.isnan(x).tolist() == [False, True, False, False, False]
    assert x[3:].tolist() == [0, 1]


@TYPES
@pytest.mark.rules("squash-R4", "squash-R5")
def test_no_length_leaves_the_type(dtype: Any) -> None:
    for x in extremes(dtype):
        scale, length = rounds.length_of(x)
        size = np.longdouble(np.abs(x).max())
        expected = size * np.sqrt(((x.astype(np.longdouble) / size) ** 2).sum())
        got = np.longdouble(scale) * np.longdouble(length)
        assert abs(got - expected) <= rounding(dtype) * expected, x
    assert rounds.length_of(np.zeros(3, dtype)) == (1, 0)
    assert rounds.length_of(np.zeros(0, dtype)) == (1, 0)


@TYPES
@pytest.mark.parametrize("kind", squash.KINDS)
@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3", "squash-R4", "squash-R6", "squash-R7")
def test_capsules_and_slopes_are_those_of_the_operator(dtype: Any, kind: str) -> None:
    every = [*extremes(dtype), np.zeros(3, dtype), np.array([np.nan, 1, 2], dtype)]
    every += [np.array([0.3, 0.4, 0], dtype), np.array([3, -4, 1], dtype), np.ones(1, dtype)]
    number = squash.KINDS.index(kind)
    for x in every:
        expected, saved = squash.forward(x[None], kind=kind)
        least = 4 * np.finfo(dtype).smallest_subnormal
        near = {"rtol": 2 * rounding(dtype), "atol": least, "err_msg": f"{x}"}
        out, unit = np.full_like(x, 7), np.full_like(x, 7)
        slopes = rounds.shorten(x, number, out, unit)
        among = shortened_among_others(x, number)
        for found in ((out, unit, *slopes), among):
            np.testing.assert_allclose(found[0], expected[0], **near)
            np.testing.assert_allclose(found[1], saved.unit[0], **near)
            np.testing.assert_allclose(found[2:], [saved.across.item(), saved.along.item()], **near)


def shortened_among_others(x: Any, kind: int) -> tuple[Any, ...]:
    """Return capsule, direction and slopes of x as the last of six, of two users."""
    sums = np.broadcast_to(np.ones_like(x), (2, 3, len(x))).copy()
    sums[1, 2] = x
    found = tuple(np.full(shape, 7, x.dtype) for shape in (sums.shape, sums.shape, (2, 3), (2, 3)))
    rounds.shorten_all(sums, kind, found, np.empty((3, 8), x.dtype))
    return tuple(part[1, 2] for part in found)


@pytest.mark.rules("numerics-R13")
def test_an_infinite_capsule_is_no_number() -> None:
    x = np.array([np.inf, 1, 0])
    out, unit = np.empty(3), np.empty(3)
    rounds.shorten(x, 0, out, unit)
    with np.errstate(invalid="ignore"):
        expected = squash.forward(x[None])[0][0]
    np.testing.assert_array_equal(np.isfinite(out), np.isfinite(expected))
