"""Parts of the rounds of routing over the range of numbers: lengths, capsules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import rounding
from mindref.kernels import rounds
from mindref.kernels import squash as twin
from mindref.ops import squash
from tests.ops.test_squash import extremes

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@TYPES
@pytest.mark.rules("squash-R4", "squash-R5")
def test_no_length_leaves_the_type(dtype: Any) -> None:
    for x in extremes(dtype):
        scale, length = twin.length_of(x)
        size = np.longdouble(np.abs(x).max())
        expected = size * np.sqrt(((x.astype(np.longdouble) / size) ** 2).sum())
        got = np.longdouble(scale) * np.longdouble(length)
        assert abs(got - expected) <= rounding(dtype) * expected, x
    assert twin.length_of(np.zeros(3, dtype)) == (1, 0)
    assert twin.length_of(np.zeros(0, dtype)) == (1, 0)


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
        slopes = twin.shorten_one(x, number, out, unit)
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
    twin.shorten_one(x, 0, out, unit)
    with np.errstate(invalid="ignore"):
        expected = squash.forward(x[None])[0][0]
    np.testing.assert_array_equal(np.isfinite(out), np.isfinite(expected))
