"""Prefetch of table rows: a hint to the processor that changes no number.

The rows of a batch are scattered over a table that is larger than the caches. Without prefetch a
core waits for every row. A loop therefore requests the row that it needs DISTANCE iterations later.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mindref.kernels import CACHE_LINE

ir: Any = cgutils.ir  # type: ignore[attr-defined]  # llvmlite's
item_pointer: Any = cgutils.get_item_pointer

DISTANCE = 12
"""Rows between request and use: late enough to be cached still, early enough to have arrived."""

READ, KEEP_IN_CACHE, DATA = 0, 3, 1  # rw, locality and cache type of llvm.prefetch


def prefetch_row(table: npt.NDArray[Any], row: int) -> None:
    """Prefetch a row of a table (V, D), in range or not. Does nothing in plain Python."""


@intrinsic
def emit_prefetch(context: Any, table: Any, row: Any, column: Any) -> Any:
    """Prefetch the cache line of one element of a table."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        array = context.make_array(array_type)(context, builder, arguments[0])
        pointer = item_pointer(context, builder, array_type, array, arguments[1:], False)
        byte_pointer, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, int32, int32, int32])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], function_type)
        flags = [int32(x) for x in (READ, KEEP_IN_CACHE, DATA)]
        builder.call(prefetch, [builder.bitcast(pointer, byte_pointer), *flags])
        return context.get_dummy_value()

    return types.void(table, row, column), build


prefetch_line: Any = emit_prefetch


@overload(prefetch_row)
def compiled_prefetch_row(table: Any, row: Any) -> Any:
    """Return the compiled implementation of `prefetch_row`; a row is of any integer type."""
    line_size = max(1, CACHE_LINE * 8 // table.dtype.bitwidth)

    def prefetch_lines(table: Any, row: Any) -> Any:
        for d in range(0, table.shape[1], line_size):
            prefetch_line(table, np.int64(row), d)

    return prefetch_lines
