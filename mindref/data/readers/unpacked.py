"""Unpacked bytes that a reader can trust to end: a small file cannot fill the memory or the day."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from mindref.errors import DataError, say

PLENTY = 1 << 26  # bytes that any packed file may hold
RATIO = 100  # beyond these, bytes for each byte on disk; logs have about ten
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound
# what the libraries raise for damaged archives: among them NotImplementedError and UnicodeError
BROKEN = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)


class Unpacked(io.RawIOBase):
    """The bytes of a packed stream, counted. Raises DataError for too many, else OSError."""

    def __init__(self, packed: IO[bytes], path: Path, name: str) -> None:
        super().__init__()
        self.packed, self.name, self.count = packed, name, 0
        self.most = max(PLENTY, RATIO * path.stat().st_size)

    def readable(self) -> bool:
        """Return that there is something to read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # of any buffer
        """Fill a buffer and return how many bytes came."""
        try:
            found = self.packed.read(len(buffer))
        except OSError:
            raise
        except BROKEN as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        buffer[: len(found)] = found
        self.count += len(found)
        if self.count > self.most:  # data-R73
            expected = f"at most {PLENTY >> 20} MiB, or {RATIO} times the file's size, unpacked"
            raise DataError(say(self.name, expected, "more", "unpack it yourself, if it is a log"))
        return len(found)


def member_of(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a file of an archive. Raises ValueError for one that is packed in another way."""
    if archive.getinfo(name).compress_type not in METHODS:  # data-R73
        raise ValueError("a file that is neither stored nor deflated; unpack it first")
    return archive.open(name)
