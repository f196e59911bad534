"""Matrix products within compiled code, and their arguments."""

import ast
from pathlib import Path

import numpy as np
import pytest

from mindref.kernels import fused
from mindref.kernels.contiguous import (
    contiguous_arrays,
    readonly_contiguous,
    writable_contiguous,
)
from mindref.kernels.matmul import matmul_into
from tests.kernels.cases import TYPES, odd_layout


@pytest.mark.rules("model-R5")
@pytest.mark.parametrize("convert", [readonly_contiguous, writable_contiguous])
@pytest.mark.parametrize("layout", ["", "columns", "apart", "unaligned", "read-only"])
def test_an_array_is_copied_only_if_needed(layout, convert):
    x = np.arange(12.0).reshape(3, 4)
    is_odd, is_writable = layout not in ("", "read-only"), layout != "read-only"
    array = odd_layout(x, layout) if is_odd else x
    array.flags.writeable = is_writable
    result = convert(array)
    np.testing.assert_array_equal(result, x)
    assert result.flags.c_contiguous
    assert result.flags.aligned
    assert result.flags.writeable == (convert is writable_contiguous)
    assert array.flags.writeable == is_writable, "the caller may still write to it"
    needs_copy = is_odd or (convert is writable_contiguous and not is_writable)
    assert np.shares_memory(result, array) != needs_copy


def test_contiguous_arrays_are_not_copied():
    x, y = np.ones((2, 3)), np.arange(3)
    same = contiguous_arrays((x, (y, None)))
    assert same[0] is x
    assert same[1][0] is y
    (transposed,) = contiguous_arrays((x.T,))
    assert transposed.flags.c_contiguous
    assert contiguous_arrays(y.astype(np.uint8)).dtype == np.int64


SIZES = [(3, 5, 2), (1, 5, 2), (3, 5, 1), (1, 5, 1), (3, 1, 2), (0, 5, 2), (3, 0, 2)]
"""Rows, summed axis, columns: Numba handles one row, one column, or both separately."""


@TYPES
@pytest.mark.parametrize(("rows", "along", "columns"), SIZES)
def test_products_equal_numpy(dtype, rows, along, columns):
    """Small integers, whose sums are exact in any order; earlier content of out is overwritten."""
    a = np.arange(rows * along, dtype=dtype).reshape(rows, along)
    b = np.arange(along * columns, dtype=dtype).reshape(along, columns)
    for left, right in [(a, b), (a, np.asfortranarray(b)), (np.asfortranarray(a), b)]:
        out = np.full((rows, columns), np.nan, dtype)
        matmul_into(left, right, out)
        np.testing.assert_array_equal(out, left @ right)


NAMES = {"matmul", "dot", "einsum", "inner", "vdot", "tensordot"}


def lines_with_numpy_products(text):
    """Return the lines of a program with a product of NumPy."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        attribute = isinstance(node, ast.Attribute) and node.attr in NAMES
        imported = isinstance(node, ast.ImportFrom) and {x.name for x in node.names} & NAMES
        operator = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult)
        if attribute or imported or operator:
            lines.append(node.lineno)
    return sorted(lines)


@pytest.mark.parametrize(
    "path", sorted(Path(fused.__file__).parent.glob("*.py")), ids=lambda x: x.name
)
def test_the_fused_step_uses_no_numpy_product(path):
    """Each library has its own threads, which spin for a while after a product."""
    assert lines_with_numpy_products(path.read_text(encoding="utf-8")) == []


def test_the_check_finds_a_numpy_product():
    lines = ["a @ b", "a.dot(b)", "np.matmul(a, b, out=c)", "from numpy import inner", "a @= b"]
    assert lines_with_numpy_products("\n".join(lines)) == [1, 2, 3, 4, 5]
