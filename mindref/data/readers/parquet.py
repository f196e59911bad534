"""Format `parquet`, read by the extra `parquet`. Row numbers replace line numbers."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindref.data.assemble import RawLog
from mindref.data.log import Floats
from mindref.data.numbering import Block, Interaction, InteractionBlock
from mindref.data.readers import table
from mindref.data.readers.blocks import Columns, read_blocks, text_columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head
from mindref.data.readers.size_estimate import warn_of_interactions
from mindref.data.readers.table import ColumnLayout, ReaderInput, values_as_text
from mindref.data.times import TimeParser, time_parser
from mindref.errors import DataError, say
from mindref.process.memory import (
    ARROW_ADDRESS_SPACE,
    MIN_ADDRESS_SPACE,
    check_address_space,
)
from mindref.process.requirements import install_extra

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData, ParquetFile

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
    file = source.file
    check_address_space(MIN_ADDRESS_SPACE + ARROW_ADDRESS_SPACE, f"memory, to read {file}")
    require_pyarrow(file)
    from mindref.data.readers import parquet_columns  # imports pyarrow

    with parquet_columns.parquet_errors(file):
        parquet_file = open_parquet(file)
        check_row_count(parquet_file.metadata, file)
        schema = parquet_file.schema_arrow
    layout = table.resolve_columns(source, schema.names, len(schema.names))
    columns = used_columns(layout)
    names, layout = [schema.names[i] for i in columns], select_columns(layout, columns)
    with parquet_columns.parquet_errors(file):
        check_used_columns(parquet_file, columns, file)
    types = [schema.field(i).type for i in columns]
    time_type = types[layout.time] if layout.time >= 0 else None
    if time_type is not None and not parquet_columns.can_have_times(time_type):
        expected = f"numbers, dates, timestamps or text in the column {names[layout.time]!r}"
        raise DataError(say(str(file), expected, str(time_type), "convert it to timestamps"))
    is_converted = time_type is not None and parquet_columns.is_time_type(time_type)
    parse_time = time_parser("seconds" if is_converted else source.columns.time_format)
    warn_of_interactions(str(file), parquet_file.metadata.num_rows)
    is_plain = all(map(parquet_columns.is_plain_type, types))
    blocks = (
        ParquetBlock(batch, layout, source, parse_time, is_plain)
        for batch in iterate_batches(parquet_file, names, source)
    )
    interactions = limit_text(read_blocks(blocks, layout, source, parse_time), source)
    return RawLog(interactions, layout.time >= 0, source.items, source.users)


def used_columns(layout: ColumnLayout) -> list[int]:
    """Return the indices of the columns that are read, ascending."""
    return sorted({*text_columns(layout), layout.time} - {-1})


def select_columns(layout: ColumnLayout, columns: Sequence[int]) -> ColumnLayout:
    """Return a layout whose columns are positions among `columns`."""
    position = {-1: -1, **{column: i for i, column in enumerate(columns)}}
    return ColumnLayout(
        len(columns),
        position[layout.user],
        position[layout.item],
        position[layout.time],
        position[layout.title],
        [(name, position[x]) for name, x in layout.item_features],
        [(name, position[x]) for name, x in layout.user_features],
        [x._replace(column=position[x.column]) for x in layout.row_filters],
    )


class ParquetBlock(NamedTuple):
    """A batch of rows of a Parquet file. `is_plain`: no value of the columns can damage a row."""

    batch: pa.RecordBatch
    layout: ColumnLayout
    source: ReaderInput
    parse_time: TimeParser
    is_plain: bool

    @property
    def num_lines(self) -> int:
        """The number of rows."""
        return int(self.batch.num_rows)

    def columns(self) -> tuple[Columns, Floats]:
        """Return the text columns and the times. Raises as `RowBlock.columns`."""
        import pyarrow as pa

        from mindref.data.readers.parquet_columns import text_column, time_column

        if not self.is_plain:
            raise ValueError("columns of bytes or lists")
        batch, layout = self.batch, self.layout
        ids = (layout.user, layout.item)
        try:
            texts = {i: text_column(batch.column(i), is_id=i in ids) for i in text_columns(layout)}
            if layout.time < 0:
                return texts, np.zeros(batch.num_rows)
            time_format = self.source.columns.time_format
            return texts, time_column(batch.column(layout.time), time_format, self.parse_time)
        except pa.ArrowException as error:
            raise ValueError("a batch that pyarrow cannot convert") from error

    def records(self) -> Iterator[table.Record]:
        """Yield the rows as text, timestamps as seconds, and count them."""
        from mindref.data.readers.parquet_columns import column_values, parquet_errors

        tally, separator = self.source.tally, self.source.columns.separator
        with parquet_errors(f"{tally.file}, after row {tally.lines}"):
            columns = [column_values(column) for column in self.batch.columns]
        for row in zip(*columns, strict=True):
            tally.lines += 1
            try:
                yield tally.lines, values_as_text(row, self.layout, separator)
            except ValueError as error:
                tally.add_damaged(tally.lines, str(error))


def limit_text(blocks: Iterable[Block], source: ReaderInput) -> Iterator[Block]:
    """Yield blocks of interactions. Raises DataError as soon as too much text is stored."""
    limit = text_limit(source.file)

    def check_text() -> None:
        # a file may store a title once that many items have
        if source.items.text + source.users.text > limit:  # data-R91
            raise text_error(source.file, "more")

    for block in blocks:
        if isinstance(block, InteractionBlock):
            check_text()
            yield block
        else:
            yield check_each(block, check_text)


def check_each(
    interactions: Iterable[Interaction], check: Callable[[], None]
) -> Iterator[Interaction]:
    """Yield interactions, and call `check` after each is stored."""
    for interaction in interactions:
        check()
        yield interaction


def text_limit(file: DataFile) -> int:
    """Return how many characters of titles and features a file may have."""
    return max(MIN_TEXT, TEXT_RATIO * file.path.stat().st_size)


def text_error(file: DataFile, got: str) -> DataError:
    """Return the error of a file with too much text."""
    return DataError(say(str(file), TEXT_EXPECTED, got, TEXT_ADVICE))


def require_pyarrow(file: DataFile) -> None:
    """Raise DataError without pyarrow."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        todo = install_extra("parquet")
        raise DataError(say(str(file), "pyarrow, which reads Parquet", "none", todo)) from error


def open_parquet(file: DataFile) -> ParquetFile:
    """Open a Parquet file."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

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


def check_used_columns(parquet_file: ParquetFile, columns: Sequence[int], file: DataFile) -> None:
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


def iterate_batches(
    parquet_file: ParquetFile, names: Sequence[str], source: ReaderInput
) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows of these columns. Errors: DataError for a damaged file."""
    from mindref.data.readers.parquet_columns import parquet_errors

    batches = parquet_file.iter_batches(BATCH_ROWS, columns=names)
    while True:
        with parquet_errors(f"{source.tally.file}, after row {source.tally.lines}"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
