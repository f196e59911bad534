"""What products in compiled code are given, and what they write."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.kernels.product import product, steady
from tests.kernels.cases import odd


@pytest.mark.rules("model-R5")
@pytest.mark.parametrize("way", ["", "columns", "apart", "unaligned"])
def test_what_is_steady_lies_in_one_way_and_is_only_read(way: str) -> None:
    x = np.arange(12.0).reshape(3, 4)
    given = odd(x, way) if way else x
    found = steady(given)
    np.testing.assert_array_equal(found, x)
    assert found.flags.c_contiguous
    assert found.flags.aligned
    assert not found.flags.writeable
    assert given.flags.writeable, "it is somebody's"
    assert np.shares_memory(found, given) == (not way), "a copy only where one is needed"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_is_that_of_numpy(dtype: str) -> None:
    """Of small whole numbers, whose sums are exact in any order."""
    a, b = (np.arange(n, dtype=dtype).reshape(shape) for n, shape in ((15, (3, 5)), (10, (5, 2))))
    columns = [np.asfortranarray(x) for x in (a, b)]
    for left, right in [(a, b), (a, columns[1]), (columns[0], b), (a[:0], b), (a[:, :0], b[:0])]:
        out = np.full((len(left), 2), np.nan, dtype)
        product(left, right, out)
        np.testing.assert_array_equal(out, left @ right)
