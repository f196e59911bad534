"""Format `parquet`, read by the extra `parquet`. Row numbers replace line numbers."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mindref.data.assemble import RawLog
from mindref.data.numbering import Block, Interaction
from mindref.data.readers import table
from mindref.data.readers.column_blocks import text_columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head
from mindref.data.readers.size_estimate import warn_of_interactions
from mindref.data.readers.table import ReaderInput, values_as_text
from mindref.data.readers.tally import Tally
from mindref.data.times import TimeParser, time_parser
from mindref.errors import DataError, say
from mindref.process.memory import (
    ARROW_ADDRESS_SPACE,
    MIN_ADDRESS_SPACE,
    check_address_space,
)
from mindref.process.requirements import install_extra

MAGIC = b"PAR1"
BATCH_ROWS = 8192  # rows that are converted to text at once
MIN_LIMIT = 1 << 20  # rows, always allowed
RATIO = 16  # above MIN_LIMIT: rows per byte on disk; logs have less than one
MIN_TEXT = 1 << 26  # characters, always allowed
TEXT_RATIO = 100  # above MIN_TEXT: characters per byte on disk
TEXT_EXPECTED = f"at most {MIN_TEXT >> 20} MiB of text, or {TEXT_RATIO} times the size of the file"
TEXT_ADVICE = "leave out the title and other long columns, or write it as text, if it is a log"


def is_parquet(head: Head) -> bool:
    """Return whether the file begins as Parquet files do."""
    return head.start == MAGIC


def read_parquet(source: ReaderInput) -> RawLog:
    """Read one batch of rows after another, of the used columns only."""
    check_address_space(MIN_ADDRESS_SPACE + ARROW_ADDRESS_SPACE, f"memory, to read {source.file}")
    with parquet_errors(source.file):
        parquet_file = open_parquet(source.file)
        check_row_count(parquet_file.metadata, source.file)
        schema = parquet_file.schema_arrow
    from mindref.data.readers.parquet_blocks import is_plain_schema  # imports pyarrow

    layout = table.resolve_columns(source, schema.names, len(schema.names))
    columns = used_columns(layout)
    names, layout = [schema.names[i] for i in columns], select_columns(layout, columns)
    with parquet_errors(source.file):
        check_used_columns(parquet_file, columns, source.file)
    types = [schema.field(i).type for i in columns]
    if layout.time >= 0:
        check_time_type(types[layout.time], names[layout.time], source.file)
    converted = layout.time >= 0 and is_time_type(types[layout.time])  # by `column_values`
    parse_time = time_parser("seconds" if converted else source.columns.time_format)
    warn_of_interactions(str(source.file), parquet_file.metadata.num_rows)
    reader = BatchReader(layout, source, parse_time, is_plain_schema(types))
    batches = iterate_batches(parquet_file, columns, source.tally)
    blocks = (reader.read(batch) for batch in batches)
    return RawLog(blocks, layout.time >= 0, source.items, source.users)


def used_columns(layout: table.ColumnLayout) -> list[int]:
    """Return the indices of the columns that are read, ascending."""
    return sorted({*text_columns(layout), layout.time} - {-1})


def select_columns(layout: table.ColumnLayout, columns: Sequence[int]) -> table.ColumnLayout:
    """Return a layout whose columns are positions among `columns`."""
    position = {-1: -1, **{column: i for i, column in enumerate(columns)}}
    return table.ColumnLayout(
        len(columns),
        position[layout.user],
        position[layout.item],
        position[layout.time],
        position[layout.title],
        [(name, position[x]) for name, x in layout.item_features],
        [(name, position[x]) for name, x in layout.user_features],
        [x._replace(column=position[x.column]) for x in layout.row_filters],
    )


class BatchReader:
    """Converts batches of rows to interactions, and bounds the stored text."""

    def __init__(
        self, layout: table.ColumnLayout, source: ReaderInput, parse_time: TimeParser, fast: bool
    ) -> None:
        self.layout, self.source, self.parse_time, self.fast = layout, source, parse_time, fast
        self.limit = text_limit(source.file)

    def read(self, batch: Any) -> Block:
        """Return the interactions of a batch of rows."""
        from mindref.data.readers.parquet_blocks import convert_batch

        source, layout = self.source, self.layout
        block = convert_batch(batch, layout, source) if self.fast else None  # data-R85
        if block is not None:
            source.tally.lines += batch.num_rows
            self.check_text()
            return block
        rows = iterate_parquet_rows(batch, layout, source.columns.separator, source.tally)
        return self.check_each(table.read_interactions(rows, layout, source, self.parse_time))

    def check_each(self, interactions: Iterator[Interaction]) -> Iterator[Interaction]:
        """Yield interactions, and check the stored text after each."""
        for interaction in interactions:
            self.check_text()
            yield interaction

    def check_text(self) -> None:
        """Raise DataError for too much text. A file may store a title once that many items have."""
        if self.source.items.text + self.source.users.text > self.limit:  # data-R91
            raise text_error(self.source.file, "more")


def text_limit(file: DataFile) -> int:
    """Return how many characters of titles and features a file may have."""
    return max(MIN_TEXT, TEXT_RATIO * file.path.stat().st_size)


def text_error(file: DataFile, got: str) -> DataError:
    """Return the error of a file with too much text."""
    return DataError(say(str(file), TEXT_EXPECTED, got, TEXT_ADVICE))


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


def check_used_columns(parquet_file: Any, columns: Sequence[int], file: DataFile) -> None:
    """Raise DataError for too many values in the used columns: a row may have a long list."""
    metadata, names = parquet_file.metadata, parquet_file.schema_arrow.names
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    limit, unpacked = max(MIN_LIMIT, RATIO * file.path.stat().st_size), 0
    for name in (names[i] for i in columns):
        if names.count(name) > 1:
            todo = "rename the others"
            raise DataError(say(str(file), f"one column {name!r}", names.count(name), todo))
        leaves = [i for i, path in enumerate(paths) if path == name or path.startswith(f"{name}.")]
        groups = range(metadata.num_row_groups)
        chunks = [metadata.row_group(g).column(i) for g in groups for i in leaves]
        values = sum(chunk.num_values for chunk in chunks)
        unpacked += sum(chunk.total_uncompressed_size for chunk in chunks)
        if values > limit:  # data-R91
            expected = f"at most {MIN_LIMIT:,} values, or {RATIO} for each byte of the file"
            got, todo = f"{values:,} in the column {name!r}", "leave the column out"
            raise DataError(say(str(file), expected, got, todo))
    if unpacked > text_limit(file):  # data-R91
        raise text_error(file, f"{unpacked:,} bytes")


def check_time_type(column_type: Any, name: str, file: DataFile) -> None:
    """Raise DataError for a column that has no points in time, such as durations or lists."""
    import pyarrow as pa

    value_type = column_type.value_type if pa.types.is_dictionary(column_type) else column_type
    tests = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string,
        pa.types.is_large_string, pa.types.is_binary, is_time_type, pa.types.is_null,
    )  # fmt: skip
    if not any(is_kind(value_type) for is_kind in tests):
        expected = f"numbers, dates, timestamps or text in the column {name!r}"
        raise DataError(say(str(file), expected, str(column_type), "convert it to timestamps"))


@contextmanager
def parquet_errors(location: object) -> Iterator[None]:
    """Turn every error of pyarrow into a DataError."""
    try:
        yield
    except DataError:
        raise
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        NotImplementedError,
        ArithmeticError,
    ) as error:
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


def iterate_batches(parquet_file: Any, columns: Sequence[int], tally: Tally) -> Iterator[Any]:
    """Yield batches of rows of these columns. Errors: DataError for a damaged file."""
    names = parquet_file.schema_arrow.names
    batches = parquet_file.iter_batches(BATCH_ROWS, columns=[names[i] for i in columns])
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
    values, per_second = time_integers(column)
    return [None if value is None else value / per_second for value in values.to_pylist()]


def time_integers(column: Any) -> tuple[Any, float]:
    """Return dates or timestamps as a column of int64, and how many of its units are a second."""
    import pyarrow as pa

    if pa.types.is_date32(column.type):
        return column.cast(pa.int32()).cast(pa.int64()), 1 / 86_400
    unit = "ms" if pa.types.is_date(column.type) else column.type.unit
    if unit == "ns":  # the reference has microseconds
        return column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), 1e6
    return column.cast(pa.int64()), {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]
