"""The beginning of a file, from which each reader decides whether the file has its format."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from mindref.data.readers.columns import Columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import read_first_lines

START_BYTES = 4


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


def is_float(text: str) -> bool:
    """Return whether a field is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
