"""Parquet, by the extra `mindref[parquet]`. Row numbers stand for line numbers."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mindref.data.assemble import Reading
from mindref.data.readers import table
from mindref.data.readers.columns import Columns
from mindref.data.readers.jsonl import as_fields
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.side import Side
from mindref.errors import DataError, say

MAGIC = b"PAR1"
ROWS = 8192  # that are text at a time
PLENTY = 1 << 20  # rows that any file may have
RATIO = 16  # beyond these, rows for each byte on disk; logs have less than one


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read a batch of rows at a time."""
    with whole(place):
        file = opened(place)
        check_rows(file.metadata, place)
        names = list(file.schema_arrow.names)
        kinds = [field.type for field in file.schema_arrow]
    layout = table.plan(columns, names, len(names), tally.file)
    if layout.time >= 0 and is_moment(kinds[layout.time]):
        columns = replace(columns, time_format="seconds")  # the type says what it is
    rows = records(file, layout, columns.separator, tally)
    return table.reading(rows, layout, columns, tally, items, users)


def opened(place: Place) -> Any:
    """Open a Parquet file. Errors: DataError without pyarrow, or for another file."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        todo = "pip install 'mindref[parquet]'"
        raise DataError(say(str(place), "pyarrow, which reads Parquet", "none", todo)) from error
    source: Any = place.path
    if not place.is_plain():
        with place.open() as stream:
            source = io.BytesIO()
            shutil.copyfileobj(stream, source)  # at once it would be there twice
    file = ParquetFile(source)
    text = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string)
    repeating = [one.name for one in file.schema_arrow if any(is_(one.type) for is_ in text)]
    # a value that stands in many rows is there once: a small file may hold it a million times
    return ParquetFile(source, read_dictionary=repeating)


def check_rows(metadata: Any, place: Place) -> None:
    """Raise DataError for more rows than the bytes of a file can tell apart.

    A value that stands in every row takes a byte for hundreds of them, and each becomes an event.
    """
    groups = range(metadata.num_row_groups)
    rows = sum(metadata.row_group(i).num_rows for i in groups)
    if rows > max(PLENTY, RATIO * place.path.stat().st_size):  # data-R79
        expected = f"at most {PLENTY:,} rows, or {RATIO} for each byte of the file"
        todo = "write it as text, if it is a log"
        raise DataError(say(str(place), expected, f"{rows:,}", todo))


@contextmanager
def whole(where: object) -> Iterator[None]:
    """Say DataError for whatever pyarrow raises: OSError, ValueError and others of its own."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError) as error:
        raise DataError(say(str(where), "a whole Parquet file", error)) from error


def is_moment(kind: Any) -> bool:
    """Tell whether a column holds dates or timestamps."""
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def records(file: Any, layout: table.Plan, separator: str, tally: Tally) -> Iterator[table.Record]:
    """Yield the rows as text; timestamps as seconds."""
    for columns in batches(file, tally):
        for row in zip(*columns, strict=True):
            tally.lines += 1
            try:
                yield tally.lines, as_fields(row, layout, separator)
            except ValueError as error:
                tally.damaged(tally.lines, str(error))


def batches(file: Any, tally: Tally) -> Iterator[list[Sequence[Any]]]:
    """Yield the columns of some rows at a time. Errors: DataError where the file is damaged."""
    some = file.iter_batches(ROWS)
    while True:
        with whole(f"{tally.file}, after row {tally.lines}"):
            batch = next(some, None)
            if batch is None:
                return
            columns = [values(column) for column in batch.columns]
        yield columns


def values(column: Any) -> Sequence[Any]:
    """Return a column as Python values; dates and timestamps as seconds since 1970."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        codes = column.indices.unique().drop_null()  # a batch has few of a large dictionary
        some = column.dictionary.take(codes).to_pylist()
        known: dict[int | None, Any] = {
            None: None,
            **dict(zip(codes.to_pylist(), some, strict=True)),
        }
        return [known[i] for i in column.indices.to_pylist()]
    if not is_moment(column.type):
        return list(column.to_pylist())
    micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
    return [None if one is None else one / 1e6 for one in micro]
