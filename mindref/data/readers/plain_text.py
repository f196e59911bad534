"""Read plain text in blocks of whole lines. pyarrow splits large blocks into columns.

The result is that of the reference, which splits lines into records (see `blocks`).
"""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from mindref.data.assemble import RawLog
from mindref.data.log import Floats
from mindref.data.numbering import IdColumn
from mindref.data.readers.blocks import Columns, read_blocks, text_columns
from mindref.data.readers.lines import (
    MAX_LINE_BYTES,
    Lines,
    decode_lines,
    iterate_lines,
    read_text_lines,
    strip_bom,
)
from mindref.data.readers.table import ColumnLayout, ReaderInput, Record, make_raw_log
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo
from mindref.data.times import SECOND_UNITS, TimeParser, time_parser
from mindref.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

MIN_BYTES = 1 << 20
"""Size on disk. The import of pyarrow takes longer than the reading of a smaller file."""
BLOCK_BYTES = 1 << 25  # few blocks, because each block converts its distinct ids
LONG_LINE = 1 << 20  # bytes; the reference reads blocks with a longer line


class TextFormat(NamedTuple):
    """The lines of a format. `read_records` is the reference: it splits all lines into records."""

    read_records: Callable[[Lines, Tally], Iterator[Record]]
    delimiter: str
    encoding: str = "utf-8"
    blank_lines: bool = False  # whether `read_records` expects blank lines
    has_header: bool = False  # whether the first record has the names of the columns
    has_quotes: bool = False  # whether double quotes enclose fields
    blanks: str = ""  # characters that are removed around a field


def read_plain_text(text_format: TextFormat, layout: ColumnLayout, source: ReaderInput) -> RawLog:
    """Return the interactions of a text file, read in blocks or by the reference."""
    if not has_fast_blocks(text_format, source):
        return make_raw_log(file_records(text_format, source), layout, source)
    parse_time = time_parser(source.columns.time_format)
    blocks = TextBlocks(text_format, layout, source, parse_time)
    interactions = read_blocks(blocks, layout, source, parse_time)
    return RawLog(interactions, layout.time >= 0, source.items, source.users)


def has_fast_blocks(text_format: TextFormat, source: ReaderInput) -> bool:
    """Return whether pyarrow can read the file: installed, a large file, a usual delimiter."""
    mark = text_format.delimiter
    is_usual = len(mark) == 1 and mark.isascii() and (mark == "\t" or mark.isprintable())
    is_large = source.file.path.stat().st_size >= MIN_BYTES
    return is_usual and is_large and find_spec("pyarrow") is not None


def file_records(text_format: TextFormat, source: ReaderInput) -> Iterator[Record]:
    """Return the records of the whole file after the header, read by the reference."""
    lines = read_text_lines(
        source.file, source.tally, text_format.encoding, text_format.blank_lines
    )
    records = text_format.read_records(lines, source.tally)
    return islice(records, int(text_format.has_header), None)


class TextBlocks:
    """The blocks of a text file. `source.tally` counts the lines that have been read."""

    def __init__(
        self,
        text_format: TextFormat,
        layout: ColumnLayout,
        source: ReaderInput,
        parse_time: TimeParser,
    ) -> None:
        self.text_format, self.layout, self.source = text_format, layout, source
        self.parse_time, self.tally = parse_time, source.tally
        self.unit = SECOND_UNITS.get(source.columns.time_format, 0.0)
        self.text_columns = text_columns(layout)
        self.numeric_times = (
            layout.time >= 0 and self.unit > 0 and layout.time not in self.text_columns
        )

    def __iter__(self) -> Iterator[TextBlock]:
        with self.source.file.open() as stream:
            while raw := self.read_lines(stream):
                is_first = self.tally.lines == 0
                data = strip_bom(raw, self.source.file) if is_first else raw
                header = self.header_bytes(data) if is_first else 0
                rows = data[max(header, 0) :]
                if header < 0 or (self.text_format.has_quotes and b'"' in rows):
                    # a quoted field may continue in the next block
                    lines = chain(split_bytes(raw), self.remaining_lines(stream))
                    yield TextBlock(self, lines, b"")
                    return
                yield TextBlock(self, split_bytes(raw), rows, count_lines(data))

    def header_bytes(self, data: bytes) -> int:
        """Return the length of the header line, 0 without one, -1 if the reference reads it."""
        if not self.text_format.has_header:
            return 0
        length = data.find(b"\n") + 1 or len(data)
        line = data[: min(length, LONG_LINE)]
        text = line.decode(self.text_format.encoding, "replace").rstrip("\r\n")
        tally = Tally("", limit=1)
        records = list(self.text_format.read_records(iter([(1, text)]), tally))
        is_whole = len(records) == 1 and not tally.bad and bool(text) and not text.isspace()
        return length if is_whole and length <= LONG_LINE and "\ufffd" not in text else -1

    def read_lines(self, stream: IO[bytes]) -> bytes:
        """Return the next bytes that end with a line."""
        try:
            data = stream.read(BLOCK_BYTES)
            if data and not data.endswith(b"\n"):
                data += stream.readline(MAX_LINE_BYTES + 2)
        except (OSError, DataError):
            self.raise_as_reference()
            raise
        return data

    def remaining_lines(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield the lines that have not been read."""
        try:
            yield from iterate_lines(stream)
        except (OSError, DataError):
            self.raise_as_reference()
            raise

    def raise_as_reference(self) -> None:
        """Raise the error of the reference, which may be of a line before an unreadable place."""
        tally = Tally(self.tally.file, self.tally.limit)
        source = self.source._replace(tally=tally, items=SideInfo(), users=SideInfo())
        reference = make_raw_log(file_records(self.text_format, source), self.layout, source)
        for interactions in reference.blocks:
            for _ in interactions:
                pass

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield the records of lines after the header, and count the lines."""
        source, text_format = self.source, self.text_format
        has_header = text_format.has_header and self.tally.lines == 0
        numbered = self.count(lines)
        texts = decode_lines(
            numbered, source.file, self.tally, text_format.encoding, text_format.blank_lines
        )
        yield from islice(text_format.read_records(texts, self.tally), int(has_header), None)

    def count(self, lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield lines with their numbers."""
        for line in lines:
            self.tally.lines += 1
            yield self.tally.lines, line

    def columns(self, rows: bytes) -> tuple[Columns, Floats]:
        """Return the text columns by index, and the times, of lines without a header.

        Raises ValueError or OverflowError if the reference must read the lines.
        """
        import pyarrow as pa

        if not rows or not is_plain(rows):
            raise ValueError("lines that pyarrow may split otherwise")
        if not rows.isascii():
            rows = rows.decode(self.text_format.encoding).encode()
        try:
            return self.parse(rows)
        except pa.ArrowException as error:
            raise ValueError("lines that pyarrow cannot read") from error

    def parse(self, data: bytes) -> tuple[Columns, Floats]:
        """Return the text columns and the times of lines in UTF-8. Raises as `columns`."""
        import pyarrow as pa

        time, text = self.layout.time, pa.dictionary(pa.int32(), pa.string())
        types = dict.fromkeys(self.text_columns, text)
        if self.numeric_times:
            try:
                table = self.read_table(data, {**types, time: pa.float64()})
                seconds: Floats = table.column(str(time)).to_numpy() / self.unit
            except pa.ArrowInvalid:
                pass  # dates, or a damaged line
            else:
                if not np.isfinite(seconds).all():
                    raise ValueError("a time that is not finite")
                return self.texts_of(table), seconds
        table = self.read_table(data, types if time < 0 else {**types, time: text})
        if time < 0:
            return self.texts_of(table), np.zeros(len(table))
        texts = self.text_column(table.column(str(time)))
        seconds = np.array([self.parse_time(text) for text in texts.names], np.float64)
        self.numeric_times = False
        return self.texts_of(table), seconds[texts.codes]

    def read_table(self, data: bytes, types: dict[int, pa.DataType]) -> pa.Table:
        """Return columns by index as a table, whose column names are the digits of the index."""
        import pyarrow as pa
        from pyarrow import csv

        columns = {str(index): kind for index, kind in types.items()}
        return csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=[str(index) for index in range(self.layout.width)],
            ),
            csv.ParseOptions(
                delimiter=self.text_format.delimiter, quote_char=False, double_quote=False
            ),
            csv.ConvertOptions(column_types=columns, include_columns=list(columns), null_values=[]),
        )

    def texts_of(self, table: pa.Table) -> Columns:
        """Return the text columns by index."""
        return {index: self.text_column(table.column(str(index))) for index in self.text_columns}

    def text_column(self, column: pa.ChunkedArray) -> IdColumn:
        """Return the distinct fields of a column without blanks, and the codes of its rows."""
        chunk = column.combine_chunks()
        names, blanks = chunk.dictionary.to_pylist(), self.text_format.blanks
        if blanks:
            names = [name.strip(blanks) for name in names]  # data-R69
        return IdColumn(names, chunk.indices.to_numpy().astype(np.int64))


class TextBlock(NamedTuple):
    """Lines of a file. `rows`: their bytes without the header, empty if only records are exact."""

    file_blocks: TextBlocks
    lines: Iterable[bytes]
    rows: bytes
    num_lines: int = 0

    def columns(self) -> tuple[Columns, Floats]:
        """Return the text columns and the times. Raises as `RowBlock.columns`."""
        return self.file_blocks.columns(self.rows)

    def records(self) -> Iterator[Record]:
        """Yield the records after the header, and count the lines."""
        return self.file_blocks.records(self.lines)


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


def split_bytes(data: bytes) -> Iterator[bytes]:
    """Yield the lines of a block with their ends."""
    return iterate_lines(io.BytesIO(data))


def count_lines(data: bytes) -> int:
    """Return the number of lines of a block."""
    return data.count(b"\n") + (not data.endswith(b"\n")) if data else 0
