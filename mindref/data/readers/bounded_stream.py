"""Decompressed streams of bounded size, so that a small file cannot fill the memory."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from mindref.errors import DataError, say

MIN_LIMIT = 1 << 26  # bytes, always allowed
RATIO = 100  # above MIN_LIMIT: bytes per byte on disk; logs have about ten
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods decompress without a bound
# errors of the libraries for damaged archives, among them NotImplementedError and UnicodeError
ARCHIVE_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)


class BoundedStream(io.RawIOBase):
    """A decompressed stream that counts its bytes. Raises DataError for too many, else OSError."""

    def __init__(self, packed: IO[bytes], path: Path, name: str) -> None:
        super().__init__()
        self.packed, self.name, self.count = packed, name, 0
        self.limit = max(MIN_LIMIT, RATIO * path.stat().st_size)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # of any buffer
        """Fill a buffer and return the number of bytes."""
        try:
            data = self.packed.read(len(buffer))
        except OSError:
            raise
        except ARCHIVE_ERRORS as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        buffer[: len(data)] = data
        self.count += len(data)
        if self.count > self.limit:  # data-R73
            expected = f"at most {MIN_LIMIT >> 20} MiB, or {RATIO} times the file's size, unpacked"
            raise DataError(say(self.name, expected, "more", "unpack it yourself, if it is a log"))
        return len(data)


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a file of an archive. Raises ValueError for another compression method."""
    if archive.getinfo(name).compress_type not in ZIP_METHODS:  # data-R73
        raise ValueError("a file that is neither stored nor deflated; unpack it first")
    return archive.open(name)
