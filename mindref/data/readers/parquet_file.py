"""The rows of a Parquet file. Importing this module imports pyarrow.

`column_values` is the reference, value by value. The other conversions have the same result, or
raise an error if they could not.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow.parquet import FileMetaData, ParquetFile

from mindref.data.assemble import RawLog
from mindref.data.log import Floats
from mindref.data.numbering import IdColumn
from mindref.data.readers.columns import ColumnLayout, ReaderInput, resolve_columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.interactions import (
    Record,
    RowBlock,
    TextColumns,
    read_blocks,
    values_as_text,
)
from mindref.data.times import SECOND_UNITS, TimeParser, parse_seconds
from mindref.errors import DataError, say

BATCH_ROWS = 8192  # rows that are converted to text at once
MIN_LIMIT = 1 << 20  # rows, always allowed
RATIO = 16  # above MIN_LIMIT: rows per byte on disk; logs have less than one
MIN_TEXT = 1 << 26  # characters, always allowed
TEXT_RATIO = 100  # above MIN_TEXT: characters per byte on disk
TEXT_EXPECTED = f"at most {MIN_TEXT >> 20} MiB of text, or {TEXT_RATIO} times the size of the file"
TEXT_ADVICE = "leave out the title and other long columns, or write it as text, if it is a log"
EXACT_INTEGER = 1 << 53  # larger integers are no float64


def is_time_type(column_type: pa.DataType) -> bool:
    """Return whether a column has dates or timestamps."""
    return bool(pa.types.is_timestamp(column_type) or pa.types.is_date(column_type))


# types of which no value can damage a row: no bytes and no lists
PLAIN_TYPES = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating,
    pa.types.is_boolean, is_time_type,
)  # fmt: skip
# types that may have points in time: no durations and no lists
TIME_TYPES = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string,
    pa.types.is_large_string, pa.types.is_binary, is_time_type, pa.types.is_null,
)  # fmt: skip


def has_type(column_type: pa.DataType, tests: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    """Return whether a column, which may be a dictionary, has values of one of the types."""
    is_dictionary = pa.types.is_dictionary(column_type)
    value_type = column_type.value_type if is_dictionary else column_type
    return any(is_type(value_type) for is_type in tests)


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


def read_rows(source: ReaderInput) -> RawLog:
    """Return the interactions of a file, read in batches of rows of the used columns."""
    file = source.file
    with parquet_errors(file):
        parquet_file = open_parquet(file)
        check_row_count(parquet_file.metadata, file)
        schema = parquet_file.schema_arrow
    layout = resolve_columns(source, schema.names, len(schema.names))
    columns = sorted({*layout.text_columns, layout.time} - {-1})
    names, layout = [schema.names[i] for i in columns], layout.select(columns)
    with parquet_errors(file):
        check_used_columns(parquet_file, names, file)
    types = [schema.field(i).type for i in columns]
    if layout.time >= 0:
        time_type = types[layout.time]
        if not has_type(time_type, TIME_TYPES):
            expected = f"numbers, dates, timestamps or text in the column {names[layout.time]!r}"
            raise DataError(say(str(file), expected, str(time_type), "convert it to timestamps"))
        if is_time_type(time_type):
            layout = layout._replace(parse_time=parse_seconds)
    is_plain = all(has_type(column_type, PLAIN_TYPES) for column_type in types)
    blocks = (
        RowBlock(
            batch.num_rows,
            partial(batch_columns, batch, layout, source, is_plain=is_plain),
            partial(batch_records, batch, layout, source),
        )
        for batch in iterate_batches(parquet_file, names, source)
    )
    interactions = read_blocks(blocks, layout, source)
    return RawLog(interactions, layout.time >= 0, source.items, source.users)


def open_parquet(file: DataFile) -> ParquetFile:
    """Open a Parquet file."""
    source: Path | io.BytesIO = file.path
    if not file.is_unpacked():
        with file.open() as stream:
            source = io.BytesIO()
            shutil.copyfileobj(stream, source)  # `stream.read()` would need the memory twice
    parquet_file = ParquetFile(source)
    text = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string)
    repeating = [
        field.name for field in parquet_file.schema_arrow if any(is_(field.type) for is_ in text)
    ]
    # dictionary types: a value that is in a million rows is stored once
    return ParquetFile(source, read_dictionary=repeating)


def check_row_count(metadata: FileMetaData, file: DataFile) -> None:
    """Raise DataError for too many rows per byte of the file.

    A constant column takes a byte for hundreds of rows, and every row becomes an interaction.
    """
    groups = range(metadata.num_row_groups)
    rows = sum(metadata.row_group(i).num_rows for i in groups)
    if rows > max(MIN_LIMIT, RATIO * file.path.stat().st_size):  # data-R79
        expected = f"at most {MIN_LIMIT:,} rows, or {RATIO} for each byte of the file"
        todo = "write it as text, if it is a log"
        raise DataError(say(str(file), expected, f"{rows:,}", todo))


def check_used_columns(parquet_file: ParquetFile, names: Sequence[str], file: DataFile) -> None:
    """Raise DataError for too many values in the used columns: a row may have a long list."""
    metadata, all_names = parquet_file.metadata, parquet_file.schema_arrow.names
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    limit, unpacked = max(MIN_LIMIT, RATIO * file.path.stat().st_size), 0
    for name in names:
        if all_names.count(name) > 1:
            todo = "rename the others"
            raise DataError(say(str(file), f"one column {name!r}", all_names.count(name), todo))
        leaves = [i for i, path in enumerate(paths) if path == name or path.startswith(f"{name}.")]
        groups = range(metadata.num_row_groups)
        chunks = [metadata.row_group(g).column(i) for g in groups for i in leaves]
        values = sum(chunk.num_values for chunk in chunks)
        unpacked += sum(chunk.total_uncompressed_size for chunk in chunks)
        if values > limit:  # data-R91
            expected = f"at most {MIN_LIMIT:,} values, or {RATIO} for each byte of the file"
            got, todo = f"{values:,} in the column {name!r}", "leave the column out"
            raise DataError(say(str(file), expected, got, todo))
    if unpacked > text_limit(file):  # data-R102
        raise text_error(file, f"{unpacked:,} bytes")


def iterate_batches(
    parquet_file: ParquetFile, names: Sequence[str], source: ReaderInput
) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows of these columns. Errors: DataError for a damaged file."""
    batches, limit = parquet_file.iter_batches(BATCH_ROWS, columns=names), text_limit(source.file)
    while True:
        with parquet_errors(f"{source.tally.file}, after row {source.tally.lines}"):
            batch = next(batches, None)
        check_stored_text(source, limit)
        if batch is None:
            return
        yield batch


def batch_columns(
    batch: pa.RecordBatch, layout: ColumnLayout, source: ReaderInput, *, is_plain: bool
) -> tuple[TextColumns, Floats]:
    """Return the text columns and the times of a batch. Raises as `RowBlock.read_columns`.

    is_plain: whether no value of the columns can damage a row.
    """
    if not is_plain:
        raise ValueError("columns of bytes or lists")
    ids = (layout.user, layout.item)
    try:
        texts = {i: text_column(batch.column(i), is_id=i in ids) for i in layout.text_columns}
        if layout.time < 0:
            return texts, np.zeros(batch.num_rows)
        time_format = source.columns.time_format
        return texts, time_column(batch.column(layout.time), time_format, layout.parse_time)
    except pa.ArrowException as error:
        raise ValueError("a batch that pyarrow cannot convert") from error


def batch_records(
    batch: pa.RecordBatch, layout: ColumnLayout, source: ReaderInput
) -> Iterator[Record]:
    """Yield the rows of a batch as text, timestamps as seconds, and count them."""
    tally, separator, limit = source.tally, source.columns.separator, text_limit(source.file)
    with parquet_errors(f"{tally.file}, after row {tally.lines}"):
        columns = [column_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        check_stored_text(source, limit)
        tally.lines += 1
        try:
            yield tally.lines, values_as_text(row, layout, separator)
        except ValueError as error:
            tally.add_damaged(tally.lines, str(error))


def check_stored_text(source: ReaderInput, limit: int) -> None:
    """Raise DataError for too much text: a file may store a title once that many items have."""
    if source.items.text + source.users.text > limit:  # data-R102
        raise text_error(source.file, "more")


def text_limit(file: DataFile) -> int:
    """Return how many characters of titles and features a file may have."""
    return max(MIN_TEXT, TEXT_RATIO * file.path.stat().st_size)


def text_error(file: DataFile, got: str) -> DataError:
    """Return the error of a file with too much text."""
    return DataError(say(str(file), TEXT_EXPECTED, got, TEXT_ADVICE))


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
