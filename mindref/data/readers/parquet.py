"""Parquet, by the extra `mindref[parquet]`. Row numbers stand for line numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
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


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read a batch of rows at a time."""
    file = opened(place)
    names = list(file.schema_arrow.names)
    layout = table.plan(columns, names, len(names), tally.file)
    if layout.time >= 0 and is_moment(file.schema_arrow.field(layout.time).type):
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
    with place.open() as stream:
        whole = io.BytesIO(stream.read())
    try:
        return ParquetFile(whole)
    except pa.ArrowException as error:
        raise DataError(say(str(place), "a whole Parquet file", error)) from error


def is_moment(kind: Any) -> bool:
    """Tell whether a column holds dates or timestamps."""
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def records(file: Any, layout: table.Plan, separator: str, tally: Tally) -> Iterator[table.Record]:
    """Yield the rows as text; timestamps as seconds."""
    for batch in batches(file, tally):
        columns = [values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            tally.lines += 1
            try:
                yield tally.lines, as_fields(row, layout, separator)
            except ValueError as error:
                tally.damaged(tally.lines, str(error))


def batches(file: Any, tally: Tally) -> Iterator[Any]:
    """Yield batches of rows. Errors: DataError where the file is damaged."""
    try:
        yield from file.iter_batches()
    except (OSError, ValueError) as error:  # pyarrow's errors are of these two kinds
        where = f"{tally.file}, after row {tally.lines}"
        raise DataError(say(where, "a whole Parquet file", error)) from error


def values(column: Any) -> Sequence[Any]:
    """Return a column as Python values; dates and timestamps as seconds since 1970."""
    import pyarrow as pa

    if not is_moment(column.type):
        return list(column.to_pylist())
    micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
    return [None if one is None else one / 1e6 for one in micro]
