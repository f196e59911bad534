"""Format `parquet`, read by the extra `parquet`. Row numbers replace line numbers."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mindref.data.assemble import RawLog
from mindref.data.numbering import Block
from mindref.data.readers import table
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head
from mindref.data.readers.table import ReaderInput, values_as_text
from mindref.data.readers.tally import Tally
from mindref.data.times import TimeParser, time_parser
from mindref.errors import DataError, say
from mindref.process.requirements import install_extra

MAGIC = b"PAR1"
BATCH_ROWS = 8192  # rows that are converted to text at once
MIN_LIMIT = 1 << 20  # rows, always allowed
RATIO = 16  # above MIN_LIMIT: rows per byte on disk; logs have less than one


def is_parquet(head: Head) -> bool:
    """Return whether the file begins as Parquet files do."""
    return head.start == MAGIC


def read_parquet(source: ReaderInput) -> RawLog:
    """Read one batch of rows after another."""
    with parquet_errors(source.file):
        parquet_file = open_parquet(source.file)
        check_row_count(parquet_file.metadata, source.file)
        names = list(parquet_file.schema_arrow.names)
        types = [field.type for field in parquet_file.schema_arrow]
    from mindref.data.readers.parquet_blocks import is_plain_schema  # imports pyarrow

    layout = table.resolve_columns(source, names, len(names))
    converted = layout.time >= 0 and is_time_type(types[layout.time])  # by `column_values`
    parse_time = time_parser("seconds" if converted else source.columns.time_format)
    batches = iterate_batches(parquet_file, source.tally)
    is_plain = is_plain_schema(types)
    blocks = (read_batch(batch, layout, source, parse_time, is_plain) for batch in batches)
    return RawLog(blocks, layout.time >= 0, source.items, source.users)


def read_batch(
    batch: Any, layout: table.ColumnLayout, source: ReaderInput, parse_time: TimeParser, fast: bool
) -> Block:
    """Return the interactions of a batch of rows."""
    from mindref.data.readers.parquet_blocks import convert_batch

    block = convert_batch(batch, layout, source) if fast else None  # data-R85
    if block is not None:
        source.tally.lines += batch.num_rows
        return block
    rows = iterate_parquet_rows(batch, layout, source.columns.separator, source.tally)
    return table.read_interactions(rows, layout, source, parse_time)


def open_parquet(file: DataFile) -> Any:
    """Open a Parquet file. Errors: DataError without pyarrow, or for another format."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        todo = install_extra("parquet")
        raise DataError(say(str(file), "pyarrow, which reads Parquet", "none", todo)) from error
    source: Any = file.path
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


def check_row_count(metadata: Any, file: DataFile) -> None:
    """Raise DataError for too many rows per byte of the file.

    A constant column takes a byte for hundreds of rows, and every row becomes an interaction.
    """
    groups = range(metadata.num_row_groups)
    rows = sum(metadata.row_group(i).num_rows for i in groups)
    if rows > max(MIN_LIMIT, RATIO * file.path.stat().st_size):  # data-R79
        expected = f"at most {MIN_LIMIT:,} rows, or {RATIO} for each byte of the file"
        todo = "write it as text, if it is a log"
        raise DataError(say(str(file), expected, f"{rows:,}", todo))


@contextmanager
def parquet_errors(location: object) -> Iterator[None]:
    """Turn every error of pyarrow into a DataError."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError) as error:
        raise DataError(say(str(location), "a whole Parquet file", error)) from error


def is_time_type(column_type: Any) -> bool:
    """Return whether a column has dates or timestamps."""
    import pyarrow as pa

    return bool(pa.types.is_timestamp(column_type) or pa.types.is_date(column_type))


def iterate_parquet_rows(
    batch: Any, layout: table.ColumnLayout, separator: str, tally: Tally
) -> Iterator[table.Record]:
    """Yield the rows of a batch as text, timestamps as seconds."""
    with parquet_errors(f"{tally.file}, after row {tally.lines}"):
        columns = [column_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        tally.lines += 1
        try:
            yield tally.lines, values_as_text(row, layout, separator)
        except ValueError as error:
            tally.add_damaged(tally.lines, str(error))


def iterate_batches(parquet_file: Any, tally: Tally) -> Iterator[Any]:
    """Yield batches of rows. Errors: DataError for a damaged file."""
    batches = parquet_file.iter_batches(BATCH_ROWS)
    while True:
        with parquet_errors(f"{tally.file}, after row {tally.lines}"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def column_values(column: Any) -> Sequence[Any]:
    """Return a column as Python values, dates and timestamps as seconds since 1970."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        codes = column.indices.unique().drop_null()  # a batch has few values of a large dictionary
        values = column.dictionary.take(codes).to_pylist()
        value_of_code: dict[int | None, Any] = {
            None: None,
            **dict(zip(codes.to_pylist(), values, strict=True)),
        }
        return [value_of_code[i] for i in column.indices.to_pylist()]
    if not is_time_type(column.type):
        return list(column.to_pylist())
    micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
    return [None if value is None else value / 1e6 for value in micro]
