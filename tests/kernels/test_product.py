"""What products in compiled code are given, and what they write."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from mindref.kernels import fused
from mindref.kernels.product import product, product_by_rows, steady
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


SIZES = [(3, 5, 2), (1, 5, 2), (3, 5, 1), (1, 5, 1), (3, 1, 2), (0, 5, 2), (3, 0, 2)]
"""Rows, what is summed over, columns: Numba has a way of its own for a row, a column and both."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "along", "columns"), SIZES)
def test_a_product_is_that_of_numpy(dtype: str, rows: int, along: int, columns: int) -> None:
    """Of small whole numbers, whose sums are exact in any order; what was there before is gone."""
    a = np.arange(rows * along, dtype=dtype).reshape(rows, along)
    b = np.arange(along * columns, dtype=dtype).reshape(along, columns)
    for left, right in [(a, b), (a, np.asfortranarray(b)), (np.asfortranarray(a), b)]:
        out = np.full((rows, columns), np.nan, dtype)
        product(left, right, out)
        np.testing.assert_array_equal(out, left @ right)
    out = np.full((rows, columns), np.nan, dtype)
    product_by_rows(np.ascontiguousarray(a.T), b, out)
    np.testing.assert_array_equal(out, a @ b)


NAMES = {"matmul", "dot", "einsum", "inner", "vdot", "tensordot"}


def asked_of_numpy(text: str) -> list[int]:
    """Return the lines of a program that have a product from NumPy."""
    found = []
    for node in ast.walk(ast.parse(text)):
        named = isinstance(node, ast.Attribute) and node.attr in NAMES
        taken = isinstance(node, ast.ImportFrom) and {x.name for x in node.names} & NAMES
        sign = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult)
        if named or taken or sign:
            found.append(node.lineno)
    return sorted(found)


@pytest.mark.parametrize(
    "path", sorted(Path(fused.__file__).parent.glob("*.py")), ids=lambda x: x.name
)
def test_a_step_has_no_product_from_another_library(path: Path) -> None:
    """Each has threads of its own, which look out for work a while after every product."""
    assert asked_of_numpy(path.read_text(encoding="utf-8")) == []


def test_a_product_from_numpy_would_be_seen() -> None:
    lines = ["a @ b", "a.dot(b)", "np.matmul(a, b, out=c)", "from numpy import inner", "a @= b"]
    assert asked_of_numpy("\n".join(lines)) == [1, 2, 3, 4, 5]
