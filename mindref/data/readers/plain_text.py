"""Read large plain text by pyarrow, in blocks of whole lines, with the result of the reference.

The other modules of this folder are the reference: they define interactions, counts and errors.
pyarrow reads only blocks on which both agree (data-R85). The reference reads the others.
"""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import chain, islice
from typing import IO, NamedTuple

from mindref.data.assemble import RawLog
from mindref.data.numbering import Block, Interaction
from mindref.data.readers import table
from mindref.data.readers.lines import (
    MAX_LINE_BYTES,
    Lines,
    decode_lines,
    iterate_lines,
    read_text_lines,
    strip_bom,
)
from mindref.data.readers.table import ColumnLayout, ReaderInput, Record
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo
from mindref.data.times import time_parser
from mindref.errors import DataError

MIN_BYTES = (
    1 << 20
)  # size on disk; pyarrow's import takes longer than the reading of a smaller file
BLOCK_BYTES = 1 << 25  # few blocks, because each block converts its distinct ids
LONG_LINE = 1 << 20  # bytes; blocks with a longer line are left to the reference

ReadRecords = Callable[[Lines, Tally], Iterator[Record]]


class TextFormat(NamedTuple):
    """The lines of a format. `read_records` is the reference: it splits all lines into records."""

    read_records: ReadRecords
    delimiter: str
    encoding: str = "utf-8"
    blank_lines: bool = False  # whether `read_records` expects blank lines
    has_header: bool = False  # whether the first record has the names of the columns
    has_quotes: bool = False  # whether double quotes enclose fields
    blanks: str = ""  # characters that are removed around a field


def read_plain_text(text_format: TextFormat, layout: ColumnLayout, source: ReaderInput) -> RawLog:
    """Return the interactions of a text file, read by pyarrow or by the reference."""
    if not is_fast(text_format, source):
        return RawLog([read_by_reference(text_format, layout, source)], *about(layout, source))
    return RawLog(iterate_blocks(text_format, layout, source), *about(layout, source))


def about(layout: ColumnLayout, source: ReaderInput) -> tuple[bool, SideInfo, SideInfo]:
    """Return the fields of `RawLog` without the blocks."""
    return layout.time >= 0, source.items, source.users


def is_fast(text_format: TextFormat, source: ReaderInput) -> bool:
    """Return whether pyarrow can read the file: installed, a large file, a usual delimiter."""
    mark = text_format.delimiter
    is_usual = len(mark) == 1 and mark.isascii() and (mark == "\t" or mark.isprintable())
    is_large = source.file.path.stat().st_size >= MIN_BYTES
    return is_usual and is_large and find_spec("pyarrow") is not None


def read_by_reference(
    text_format: TextFormat, layout: ColumnLayout, source: ReaderInput
) -> Iterator[Interaction]:
    """Return the interactions of the whole file, read by the reference."""
    lines = read_text_lines(
        source.file, source.tally, text_format.encoding, text_format.blank_lines
    )
    records = text_format.read_records(lines, source.tally)
    rows = islice(records, int(text_format.has_header), None)
    parse_time = time_parser(source.columns.time_format)
    return table.read_interactions(rows, layout, source, parse_time)


def iterate_blocks(
    text_format: TextFormat, layout: ColumnLayout, source: ReaderInput
) -> Iterator[Block]:
    """Yield the interactions of each block of lines."""
    reader = BlockReader(text_format, layout, source)
    with source.file.open() as stream:
        try:
            yield from reader.read_blocks(stream)
        finally:
            source.tally.lines = reader.number


class BlockReader:
    """Reads the blocks of a file by pyarrow or by the reference. `number` counts the lines."""

    def __init__(self, text_format: TextFormat, layout: ColumnLayout, source: ReaderInput) -> None:
        from mindref.data.readers.arrow_blocks import ArrowBlocks

        self.text_format, self.layout, self.source = text_format, layout, source
        self.parse_time = time_parser(source.columns.time_format)
        self.arrow = ArrowBlocks(text_format, layout, source, self.parse_time)
        self.number = 0

    def read_blocks(self, stream: IO[bytes]) -> Iterator[Block]:
        """Yield the interactions of each block."""
        while raw := self.read_lines(stream):
            data = raw if self.number else strip_bom(raw, self.source.file)
            header = 0 if self.number else self.header_bytes(data)
            rows = data[max(header, 0) :]
            if header < 0 or (self.text_format.has_quotes and b'"' in rows):
                # a quoted field may continue in the next block
                lines = chain(split_bytes(raw), self.remaining_lines(stream))
                yield self.by_reference(lines)
                return
            block = self.arrow.read(rows) if is_plain(rows) else None  # data-R85
            if block is None:
                yield self.by_reference(split_bytes(raw))
            else:
                self.number += count_lines(data)
                yield block

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

    def by_reference(self, lines: Iterable[bytes]) -> Iterator[Interaction]:
        """Yield the interactions of lines, read by the reference."""
        source, text_format = self.source, self.text_format
        has_header = text_format.has_header and not self.number
        numbered = self.count(lines)
        texts = decode_lines(
            numbered, source.file, source.tally, text_format.encoding, text_format.blank_lines
        )
        records = text_format.read_records(texts, source.tally)
        rows = islice(records, int(has_header), None)
        yield from table.read_interactions(rows, self.layout, source, self.parse_time)

    def count(self, lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield lines with their numbers."""
        for line in lines:
            self.number += 1
            yield self.number, line

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
        tally = Tally(self.source.tally.file, self.source.tally.limit)
        source = self.source._replace(tally=tally, items=SideInfo(), users=SideInfo())
        for _ in read_by_reference(self.text_format, self.layout, source):
            pass


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
