"""The numbered lines of a text file, and the beginning from which readers recognise it."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import IO

from mindref.data.readers.columns import Columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.tally import Tally
from mindref.errors import DataError, say

Lines = Iterator[tuple[int, str]]

START_BYTES = 4
HEAD_LINES = 100  # lines from which the format is recognised
MAX_LINE_BYTES = 1 << 24
LATIN1 = "iso-8859-1"


def read_text_lines(
    file: DataFile, tally: Tally, encoding: str = "utf-8", *, keep_blank: bool = False
) -> Lines:
    """Yield (number from 1, text without line end) of every line; blank lines on request.

    Spec: data. A line that cannot be decoded is damaged and skipped.
    Errors: DataError for UTF-16, a truncated compressed file, a line above MAX_LINE_BYTES, or too
    many damaged lines.
    """
    with file.open() as stream:
        lines = iterate_lines(stream)
        try:
            yield from decode_lines(lines, file, tally, encoding, keep_blank=keep_blank)
        except OSError as error:
            got = f"{error} after line {tally.lines}"
            raise DataError(say(str(file), "a whole file", got)) from error


def decode_lines(
    lines: Iterable[bytes], file: DataFile, tally: Tally, encoding: str, *, keep_blank: bool
) -> Lines:
    """Yield the texts of lines, and count the lines. Spec and errors: as `read_text_lines`."""
    for raw in lines:
        number = tally.lines = tally.lines + 1
        if len(raw) > MAX_LINE_BYTES and len(raw.rstrip(b"\r\n")) > MAX_LINE_BYTES:  # data-R72
            expected = f"lines of at most {MAX_LINE_BYTES:,} bytes"
            raise DataError(say(str(file), expected, f"more, in line {number}"))
        if number == 1:
            raw = strip_bom(raw, file)
        try:
            text = raw.decode(encoding).rstrip("\r\n")  # data-R17
        except UnicodeDecodeError as error:
            # data-R16
            tally.add_damaged(number, f"byte {error.start + 1} is not {encoding}")
            continue
        if keep_blank or (text and not text.isspace()):
            yield number, text


def iterate_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines with line ends. A line that is too long is cut just above MAX_LINE_BYTES."""
    return iter(partial(stream.readline, MAX_LINE_BYTES + 2), b"")


def strip_bom(raw: bytes, file: DataFile) -> bytes:
    """Return the first line without a byte order mark. Errors: DataError for UTF-16."""
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise DataError(say(str(file), "text in UTF-8", "UTF-16", "convert it, as with iconv"))
    return raw.removeprefix(BOM_UTF8)


def read_first_lines(file: DataFile) -> list[str]:
    """Return those of the first lines that are not blank. Invalid UTF-8 becomes U+FFFD.

    Errors: DataError if lines end with CR without LF: all would be a single line.
    """
    lines: list[bytes] = []
    with file.open() as stream:
        for line in islice(iterate_lines(stream), HEAD_LINES):
            lines.append(line[:100_000])
            if len(line) > MAX_LINE_BYTES:
                break
    if lines:
        lines[0] = strip_bom(lines[0], file)
        if b"\r" in lines[0].rstrip(b"\r\n"):  # data-R93
            todo = "convert it, as with tr '\\r' '\\n'"
            raise DataError(say(str(file), "lines that end with LF or CRLF", "CR alone", todo))
    texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in lines]
    return [text for text in texts if text and not text.isspace()]


class Head:
    """The beginning of an unpacked file, read when it is needed, and the options of the caller."""

    def __init__(self, file: DataFile, columns: Columns) -> None:
        self.file = file
        self.columns = columns

    @cached_property
    def start(self) -> bytes:
        """The first bytes, at most START_BYTES. Errors: DataError for an unreadable file."""
        with self.file.open() as stream:
            return stream.read(START_BYTES)

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not blank, none for a binary file. Errors: as `start`."""
        lines = read_first_lines(self.file)
        return [] if is_binary(lines) else lines

    @property
    def first_line(self) -> str:
        """The first line that is not blank, or an empty text."""
        return next(iter(self.lines), "")


def is_binary(lines: Sequence[str]) -> bool:
    """Return whether lines contain a zero byte, or many bytes that are not UTF-8."""
    text = "".join(lines)
    return "\0" in text or text.count("\ufffd") > len(text) // 4
