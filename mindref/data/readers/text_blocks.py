"""Blocks of a text file, whose columns pyarrow splits. Importing this module imports pyarrow."""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import IO

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mindref.data.log import Floats
from mindref.data.numbering import IdColumn
from mindref.data.readers.columns import ColumnLayout, ReaderInput
from mindref.data.readers.interactions import Record, RowBlock, TextColumns
from mindref.data.readers.lines import MAX_LINE_BYTES, decode_lines, iterate_lines, strip_bom
from mindref.data.readers.tally import Tally
from mindref.data.readers.text import BLANKS, TextFormat
from mindref.data.times import SECOND_UNITS

BLOCK_BYTES = 1 << 25  # few blocks, because each block converts its distinct ids
LONG_LINE = 1 << 20  # bytes; the reference reads blocks with a longer line
TEXT = pa.dictionary(pa.int32(), pa.string())


class TextBlocks:
    """The blocks of a text file. `source.tally` counts the lines that have been read."""

    def __init__(self, text_format: TextFormat, layout: ColumnLayout, source: ReaderInput) -> None:
        self.text_format, self.layout = text_format, layout
        self.source, self.tally = source, source.tally
        self.unit = SECOND_UNITS.get(source.columns.time_format, 0.0)
        self.text_types = dict.fromkeys(layout.text_columns, TEXT)
        self.numeric_times = (
            layout.time >= 0 and self.unit > 0 and layout.time not in layout.text_columns
        )

    def __iter__(self) -> Iterator[RowBlock]:
        with self.source.file.open() as stream:
            while raw := self.read_lines(stream):
                lines = iterate_lines(io.BytesIO(raw))
                is_first = self.tally.lines == 0
                data = strip_bom(raw, self.source.file) if is_first else raw
                header = self.header_bytes(data) if is_first else 0
                rows = b"" if header is None else data[header:]
                if header is None or (self.text_format.has_quotes and b'"' in rows):
                    # a quoted field may continue in the next block
                    following = chain(lines, iterate_lines(stream))
                    yield RowBlock(0, partial(self.columns, b""), partial(self.records, following))
                    return
                num_lines = data.count(b"\n") + (not data.endswith(b"\n")) if data else 0
                columns, records = partial(self.columns, rows), partial(self.records, lines)
                yield RowBlock(num_lines, columns, records)

    def header_bytes(self, data: bytes) -> int | None:
        """Return the length of the header line, 0 without one, None if the reference reads it."""
        if not self.text_format.has_header:
            return 0
        length = data.find(b"\n") + 1 or len(data)
        line = data[: min(length, LONG_LINE)]
        text = line.decode(self.text_format.encoding, "replace").rstrip("\r\n")
        tally = Tally("", limit=1)
        records = list(self.text_format.split(iter([(1, text)]), tally))
        is_whole = len(records) == 1 and not tally.bad and bool(text) and not text.isspace()
        return length if is_whole and length <= LONG_LINE and "\ufffd" not in text else None

    def read_lines(self, stream: IO[bytes]) -> bytes:
        """Return the next bytes that end with a line."""
        data = stream.read(BLOCK_BYTES)
        if data and not data.endswith(b"\n"):
            data += stream.readline(MAX_LINE_BYTES + 2)
        return data

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield the records of lines after the header, and count the lines."""
        file, tally, text_format = self.source.file, self.tally, self.text_format
        has_header = text_format.has_header and tally.lines == 0
        keep_blank = text_format.has_quotes
        texts = decode_lines(lines, file, tally, text_format.encoding, keep_blank=keep_blank)
        yield from islice(text_format.split(texts, tally), int(has_header), None)

    def columns(self, rows: bytes) -> tuple[TextColumns, Floats]:
        """Return the text columns and the times of lines without a header.

        Raises ValueError or OverflowError if the reference must read the lines.
        """
        if not rows or not is_plain(rows):
            raise ValueError("lines that pyarrow may split otherwise")
        if not rows.isascii():
            rows = rows.decode(self.text_format.encoding).encode()
        try:
            return self.parse(rows)
        except pa.ArrowException as error:
            raise ValueError("lines that pyarrow cannot read") from error

    def parse(self, data: bytes) -> tuple[TextColumns, Floats]:
        """Return the text columns and the times of lines in UTF-8. Raises as `columns`."""
        time = self.layout.time
        if self.numeric_times:
            try:
                table = self.read_table(data, {**self.text_types, time: pa.float64()})
                seconds: Floats = table.column(str(time)).to_numpy() / self.unit
            except pa.ArrowInvalid:
                pass  # dates, or a damaged line
            else:
                if not np.isfinite(seconds).all():
                    raise ValueError("a time that is not finite")
                return self.texts_of(table), seconds
        if time < 0:
            table = self.read_table(data, self.text_types)
            return self.texts_of(table), np.zeros(len(table))
        table = self.read_table(data, {**self.text_types, time: TEXT})
        texts = self.text_column(table.column(str(time)))
        seconds = np.array([self.layout.parse_time(text) for text in texts.names], np.float64)
        self.numeric_times = False
        return self.texts_of(table), seconds[texts.codes]

    def read_table(self, data: bytes, types: dict[int, pa.DataType]) -> pa.Table:
        """Return columns by index as a table, whose column names are the digits of the index."""
        columns = {str(index): kind for index, kind in types.items()}
        mark = self.text_format.delimiter
        return csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=[str(index) for index in range(self.layout.width)],
            ),
            csv.ParseOptions(delimiter=mark, quote_char=False, double_quote=False),
            csv.ConvertOptions(column_types=columns, include_columns=list(columns), null_values=[]),
        )

    def texts_of(self, table: pa.Table) -> TextColumns:
        """Return the text columns by index."""
        return {index: self.text_column(table.column(str(index))) for index in self.text_types}

    def text_column(self, column: pa.ChunkedArray) -> IdColumn:
        """Return the distinct fields of a column without blanks, and the codes of its rows."""
        chunk = column.combine_chunks()
        names = chunk.dictionary.to_pylist()
        if self.text_format.has_quotes:
            names = [name.strip(BLANKS) for name in names]  # data-R69
        return IdColumn(names, chunk.indices.to_numpy().astype(np.int64))


def is_plain(data: bytes) -> bool:
    """Return whether pyarrow splits these bytes into the same lines as the reference."""
    if data.startswith(BOM_UTF8) or b"\0" in data:
        return False
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return False
    half = LONG_LINE // 2  # a longer line contains a whole half
    starts = range(0, len(data) - half, half)
    has_long_line = any(data.find(b"\n", start, start + half) < 0 for start in starts)
    return not has_long_line and len(data) - data.rfind(b"\n", 0, len(data) - 1) <= LONG_LINE
