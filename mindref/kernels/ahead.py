"""Asking for rows of a table before they are needed: a hint, which changes no number.

The rows of a batch lie anywhere in a table that no cache holds. A core waits for each of them,
unless it is told a few rows before; the loop that moves them does so for as long as a row takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mindref.kernels import LINE
from mindref.shapes import Array, Ints

ir: Any = cgutils.ir  # type: ignore[attr-defined]  # llvmlite's
item_pointer: Any = cgutils.get_item_pointer

AHEAD = 12
"""So many rows: one is there before its turn, and none is gone again."""

READ, KEPT, DATA = 0, 3, 1  # what LLVM calls rw, locality and cache type


def fetch(table: Array | Ints, row: int) -> None:
    """Ask for a row of a table (V, D), which need not be there. Plain Python has no such thing."""


@intrinsic
def line(context: Any, table: Any, row: Any, column: Any) -> Any:
    """Ask for the line of memory that holds a place of a table."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, given[0])
        place = item_pointer(context, builder, kind, array, given[1:], False)
        anything, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        called = ir.FunctionType(ir.VoidType(), [anything, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [anything], called)
        numbers = [number(x) for x in (READ, KEPT, DATA)]
        builder.call(prefetch, [builder.bitcast(place, anything), *numbers])
        return context.get_dummy_value()

    return types.void(table, row, column), build


fetch_line: Any = line


@overload(fetch)
def compiled_fetch(table: Any, row: Any) -> Any:
    """Return what `fetch` is in compiled code; a row is of any type of integers."""
    lane = max(1, LINE * 8 // table.dtype.bitwidth)

    def ask(table: Any, row: Any) -> Any:
        for d in range(0, table.shape[1], lane):
            fetch_line(table, np.int64(row), d)

    return ask
