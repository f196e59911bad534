"""Convert a batch of a Parquet file to a block of interactions, with the result of the reference.

`parquet.iterate_parquet_rows` is the reference. Each difference is a reason to return None.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from mindref.data.log import Floats
from mindref.data.numbering import IdColumn, InteractionBlock
from mindref.data.readers.column_blocks import make_block, text_columns
from mindref.data.readers.parquet import time_integers
from mindref.data.readers.table import ColumnLayout, ReaderInput
from mindref.data.times import SECOND_UNITS, time_parser

EXACT_INTEGER = 1 << 53  # larger integers are no float64


def is_plain_schema(types: list[Any]) -> bool:
    """Return whether no value of these columns can damage a row: no bytes and no lists."""
    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating,
        pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_date,
    )  # fmt: skip
    values = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in types]
    return all(any(is_kind(value) for is_kind in tests) for value in values)


def convert_batch(batch: Any, layout: ColumnLayout, source: ReaderInput) -> InteractionBlock | None:
    """Return the interactions of a batch of rows, or None if the reference must read them."""
    try:
        columns = {i: text_column(batch.column(i), i, layout) for i in text_columns(layout)}
        times = time_column(batch.column(layout.time), source) if layout.time >= 0 else None
        times = np.zeros(batch.num_rows) if times is None else times
        return make_block(columns, times, layout, source)
    except (ValueError, OverflowError, TypeError, pa.ArrowException):
        return None


def text_column(column: Any, index: int, layout: ColumnLayout) -> IdColumn:
    """Return the distinct values as text, and the codes of the rows. Raises ValueError."""
    if pa.types.is_dictionary(column.type):
        return dictionary_column(column)
    if column.null_count:
        raise ValueError("a missing value")
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind in "iu":
        numbers, codes = np.unique(values, return_inverse=True)
        return IdColumn([str(number) for number in numbers.tolist()], codes)
    if values.dtype.kind != "f" or index in (layout.user, layout.item):
        raise ValueError("neither text nor an integer")
    bits, codes = np.unique(values.astype(np.float64).view(np.int64), return_inverse=True)
    numbers = bits.view(np.float64).tolist()
    return IdColumn(["" if number != number else str(number) for number in numbers], codes)


def dictionary_column(column: Any) -> IdColumn:
    """Return the texts that a batch uses, and the codes of the rows; a missing text is empty."""
    size = len(column.dictionary)
    used, codes = np.unique(column.indices.fill_null(size).to_numpy(), return_inverse=True)
    names = column.dictionary.take(pa.array(used[used < size])).to_pylist()
    return IdColumn([*names, ""] if used[-1:] == size else names, codes)


def time_column(column: Any, source: ReaderInput) -> Floats:
    """Return times in seconds, (E,). Raises ValueError for a missing or infinite time."""
    if column.null_count:
        raise ValueError("a missing time")
    if pa.types.is_dictionary(column.type):
        parse_time, texts = time_parser(source.columns.time_format), dictionary_column(column)
        return np.array([parse_time(text) for text in texts.names], np.float64)[texts.codes]
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        integers, per_second = time_integers(column)
        values = integers.to_numpy()
        if np.abs(values).max(initial=0) > EXACT_INTEGER:
            raise ValueError("a time that is no float64")
        return values / per_second
    unit = SECOND_UNITS.get(source.columns.time_format)
    values = column.to_numpy(zero_copy_only=False)
    if unit is None or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ValueError("a time that is no number")
    return values.astype(np.float64) / unit
