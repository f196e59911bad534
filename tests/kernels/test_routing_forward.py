"""Parts of the iterations of routing over the range of floats: lengths, capsules, slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import rounding
from mindref.kernels import routing_forward
from mindref.kernels import squash as kernel
from mindref.ops import squash
from tests.ops.test_squash import extremes

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@TYPES
@pytest.mark.rules("squash-R4", "squash-R5")
def test_no_length_overflows_or_underflows(dtype: Any) -> None:
    for x in extremes(dtype):
        scale, length = kernel.scaled_length(x)
        size = np.longdouble(np.abs(x).max())
        expected = size * np.sqrt(((x.astype(np.longdouble) / size) ** 2).sum())
        got = np.longdouble(scale) * np.longdouble(length)
        assert abs(got - expected) <= rounding(dtype) * expected, x
    assert kernel.scaled_length(np.zeros(3, dtype)) == (1, 0)
    assert kernel.scaled_length(np.zeros(0, dtype)) == (1, 0)


@TYPES
@pytest.mark.parametrize("kind", squash.KINDS)
@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3", "squash-R4", "squash-R6", "squash-R7")
def test_capsules_and_slopes_equal_the_operator(dtype: Any, kind: str) -> None:
    vectors = [*extremes(dtype), np.zeros(3, dtype), np.array([np.nan, 1, 2], dtype)]
    vectors += [np.array([0.3, 0.4, 0], dtype), np.array([3, -4, 1], dtype), np.ones(1, dtype)]
    number = squash.KINDS.index(kind)
    for x in vectors:
        expected, saved = squash.forward(x[None], kind=kind)
        smallest = 4 * np.finfo(dtype).smallest_subnormal
        near = {"rtol": 2 * rounding(dtype), "atol": smallest, "err_msg": f"{x}"}
        out, unit = np.full_like(x, 7), np.full_like(x, 7)
        slopes = kernel.squash_row(x, number, out, unit)
        in_tile = squash_in_tile(x, number)
        for result in ((out, unit, *slopes), in_tile):
            np.testing.assert_allclose(result[0], expected[0], **near)
            np.testing.assert_allclose(result[1], saved.unit[0], **near)
            np.testing.assert_allclose(
                result[2:], [saved.across.item(), saved.along.item()], **near
            )


def squash_in_tile(x: Any, kind: int) -> tuple[Any, ...]:
    """Return capsule, direction and slopes of x as the last of six rows, of two users."""
    sums = np.broadcast_to(np.ones_like(x), (2, 3, len(x))).copy()
    sums[1, 2] = x
    outputs = tuple(
        np.full(shape, 7, x.dtype) for shape in (sums.shape, sums.shape, (2, 3), (2, 3))
    )
    routing_forward.squash_tile(sums, kind, outputs, np.empty((3, 8), x.dtype))
    return tuple(part[1, 2] for part in outputs)


@pytest.mark.rules("numerics-R13")
def test_an_infinite_vector_gives_nan() -> None:
    x = np.array([np.inf, 1, 0])
    out, unit = np.empty(3), np.empty(3)
    kernel.squash_row(x, 0, out, unit)
    with np.errstate(invalid="ignore"):
        expected = squash.forward(x[None])[0][0]
    np.testing.assert_array_equal(np.isfinite(out), np.isfinite(expected))
