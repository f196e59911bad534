"""Columns of a Parquet file as texts and times. Importing this module imports pyarrow.

`column_values` is the reference, value by value. The other conversions have the same result, or
raise an error if they could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from mindref.data.log import Floats
from mindref.data.numbering import IdColumn
from mindref.data.times import SECOND_UNITS, TimeParser
from mindref.errors import DataError, say

EXACT_INTEGER = 1 << 53  # larger integers are no float64


def is_time_type(column_type: pa.DataType) -> bool:
    """Return whether a column has dates or timestamps."""
    return bool(pa.types.is_timestamp(column_type) or pa.types.is_date(column_type))


def value_type(column_type: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, which may be a dictionary."""
    return column_type.value_type if pa.types.is_dictionary(column_type) else column_type


def is_plain_type(column_type: pa.DataType) -> bool:
    """Return whether no value of a column can damage a row: no bytes and no lists."""
    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating,
        pa.types.is_boolean, is_time_type,
    )  # fmt: skip
    return any(is_kind(value_type(column_type)) for is_kind in tests)


def can_have_times(column_type: pa.DataType) -> bool:
    """Return whether a column may have points in time. Durations and lists are none."""
    tests = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string,
        pa.types.is_large_string, pa.types.is_binary, is_time_type, pa.types.is_null,
    )  # fmt: skip
    return any(is_kind(value_type(column_type)) for is_kind in tests)


@contextmanager
def parquet_errors(location: object) -> Iterator[None]:
    """Turn every error of pyarrow into a DataError."""
    try:
        yield
    except DataError:
        raise
    except (
        OSError, ValueError, LookupError, TypeError, NotImplementedError, ArithmeticError,
    ) as error:  # fmt: skip
        raise DataError(say(str(location), "a whole Parquet file", error)) from error


def column_values(column: pa.Array) -> Sequence[object]:
    """Return a column as Python values, dates and timestamps as seconds since 1970."""
    if pa.types.is_dictionary(column.type):
        codes = column.indices.unique().drop_null()  # a batch has few values of a large dictionary
        values = column.dictionary.take(codes).to_pylist()
        value_of_code = {None: None, **dict(zip(codes.to_pylist(), values, strict=True))}
        return [value_of_code[i] for i in column.indices.to_pylist()]
    if not is_time_type(column.type):
        return list(column.to_pylist())
    integers, per_second = time_integers(column)
    return [None if value is None else value / per_second for value in integers.to_pylist()]


def time_integers(column: pa.Array) -> tuple[pa.Array, float]:
    """Return dates or timestamps as a column of int64, and how many of its units are a second."""
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32()).cast(pa.int64()), 1 / 86_400
    unit = "ms" if pa.types.is_date(column.type) else column.type.unit
    if unit == "ns":  # the reference has microseconds
        return column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), 1e6
    return column.cast(pa.int64()), {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]


def text_column(column: pa.Array, *, is_id: bool) -> IdColumn:
    """Return the distinct values as text, and the codes of the rows. Raises ValueError."""
    if pa.types.is_dictionary(column.type):
        return dictionary_column(column)
    if column.null_count:
        raise ValueError("a missing value")
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind in "iu":
        numbers, codes = np.unique(values, return_inverse=True)
        return IdColumn([str(number) for number in numbers.tolist()], codes)
    if values.dtype.kind != "f" or is_id:
        raise ValueError("neither text nor an integer")
    bits, codes = np.unique(values.astype(np.float64).view(np.int64), return_inverse=True)
    numbers = bits.view(np.float64).tolist()
    return IdColumn(["" if number != number else str(number) for number in numbers], codes)


def dictionary_column(column: pa.DictionaryArray) -> IdColumn:
    """Return the texts that a batch uses, and the codes of the rows; a missing text is empty."""
    size = len(column.dictionary)
    used, codes = np.unique(column.indices.fill_null(size).to_numpy(), return_inverse=True)
    names = column.dictionary.take(pa.array(used[used < size])).to_pylist()
    return IdColumn([*names, ""] if used[-1:] == size else names, codes)


def time_column(column: pa.Array, time_format: str, parse_time: TimeParser) -> Floats:
    """Return times in seconds, (E,). Raises ValueError for a missing or infinite time."""
    if column.null_count:
        raise ValueError("a missing time")
    if pa.types.is_dictionary(column.type):
        texts = dictionary_column(column)
        return np.array([parse_time(text) for text in texts.names], np.float64)[texts.codes]
    if is_time_type(column.type):
        integers, per_second = time_integers(column)
        values = integers.to_numpy()
        if np.abs(values).max(initial=0) > EXACT_INTEGER:
            raise ValueError("a time that is no float64")
        return values / per_second
    unit = SECOND_UNITS.get(time_format)
    values = column.to_numpy(zero_copy_only=False)
    if unit is None or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ValueError("a time that is no number")
    return values.astype(np.float64) / unit
