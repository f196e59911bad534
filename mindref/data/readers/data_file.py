"""Data files: a plain file, a gzip file, or a file in a zip archive.

The kind of a file is recognised by its first bytes, never by its name (specs/data.md). Decompressed
streams have a bounded size, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from mindref.data.quoting import join_names
from mindref.errors import DataError, say

GZIP = b"\x1f\x8b"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with files; empty
PACKED = (".gz", ".zip")
NON_LOG_ENDINGS = (".md", ".json", ".pdf", ".html", ".py", ".item", ".user", ".kg", ".link")
MIN_LIMIT = 1 << 26  # bytes, always allowed
MAX_MEMBERS = 1000  # of an archive, which is opened again for each of them
RATIO = 100  # above MIN_LIMIT: bytes per byte on disk; logs have about ten
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods decompress without a bound
# errors of the libraries for damaged archives, among them NotImplementedError and UnicodeError
ARCHIVE_ERRORS = (
    OSError, EOFError, RuntimeError, ValueError, LookupError, zipfile.BadZipFile,
    zlib.error, lzma.LZMAError, struct.error,
)  # fmt: skip


class DataFile(NamedTuple):
    """A file or folder, or the file `member` of the zip archive at `path`."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The last part of the name, without the ending of a compressed file."""
        name = (self.member or self.path.name).rsplit("/", 1)[-1]
        return name.rsplit(".", 1)[0] if name.endswith(PACKED) else name

    @property
    def is_documentation(self) -> bool:
        """Whether the name is that of a README, a licence, or another file that is no log."""
        return self.name.startswith((".", "README", "LICENSE")) or self.name.endswith(
            NON_LOG_ENDINGS
        )

    @classmethod
    def of(cls, path: str | Path) -> DataFile:
        """Return the file of a path; `archive.zip:inner/name` is a file in an archive.

        Errors: DataError for a missing file.
        """
        file = cls(Path(path))
        if not path_exists(file.path):
            file = split_archive_path(str(path)) or file
        if not path_exists(file.path):
            raise DataError(say(str(path), "a file or a folder", "nothing there", "check the path"))
        if not (file.path.is_file() or file.path.is_dir()):  # data-R75
            got, todo = "a pipe or a device", "write its output to a file"
            raise DataError(say(str(path), "a file or a folder", got, todo))
        if file.member and file not in file.list_files():
            member_names = join_names(other.member for other in cls(file.path).list_files())
            raise DataError(
                say(str(file.path), f"a file {file.member!r}", member_names or "no file")
            )
        return file

    def list_files(self) -> list[DataFile]:
        """Return the files in this folder or archive, sorted by name. None for a single file."""
        if self.path.is_dir():
            try:
                return [DataFile(path) for path in sorted(self.path.iterdir()) if path.is_file()]
            except OSError as error:
                raise DataError(say(str(self.path), "a readable folder", error)) from error
        if not is_zip(self.path):
            return []
        try:
            with zipfile.ZipFile(self.path) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        except ARCHIVE_ERRORS as error:
            raise DataError(say(str(self.path), "a whole zip archive", error)) from error
        if len(names) > MAX_MEMBERS:  # data-R92
            expected, todo = f"an archive of at most {MAX_MEMBERS:,} files", "unpack it"
            raise DataError(say(str(self.path), expected, f"{len(names):,}", todo))
        return [DataFile(self.path, name) for name in sorted(names)]

    def single_file(self) -> DataFile:
        """Return the single file of an archive, or this file if it is no archive.

        Errors: DataError with the list of files if the archive does not have exactly one.
        """
        if self.member or not is_zip(self.path):
            return self
        members = self.list_files()
        if len(members) == 1:
            return members[0]
        member_names = (
            join_names(file.member for file in members if not file.is_documentation) or "no file"
        )
        todo = f"name one as {self.path}:FILE"
        raise DataError(say(str(self.path), "an archive of one file", member_names, todo))

    def sibling_files(self) -> list[DataFile]:
        """Return the files in the same folder or archive."""
        inside = DataFile(self.path).list_files() if self.member else []
        return inside if len(inside) > 1 else DataFile(self.path.parent).list_files()

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the unpacked bytes. Errors: DataError, on opening or reading."""
        with ExitStack() as stack:
            try:
                stream = self._open_raw(stack)
                if stream.peek(2)[:2] == GZIP:  # data-R15
                    packed = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
                    stream = self._limit_size(stack.enter_context(packed))
            except DataError:
                raise
            except ARCHIVE_ERRORS as error:
                raise DataError(say(str(self), "a readable file", error)) from error
            try:
                yield stream
            except OSError as error:
                raise DataError(say(str(self), "a whole file", error)) from error

    def is_unpacked(self) -> bool:
        """Return whether the file is neither compressed nor in an archive."""
        with self.path.open("rb") as stream:
            return not self.member and stream.read(2) != GZIP

    def _open_raw(self, stack: ExitStack) -> io.BufferedReader:
        if not self.member:
            plain: IO[bytes] = stack.enter_context(self.path.open("rb", 1 << 16))
            return cast(io.BufferedReader, plain)
        archive = stack.enter_context(zipfile.ZipFile(self.path))
        if archive.getinfo(self.member).compress_type not in ZIP_METHODS:  # data-R73
            raise ValueError("a file that is neither stored nor deflated; unpack it first")
        return self._limit_size(stack.enter_context(archive.open(self.member)))

    def _limit_size(self, packed: IO[bytes]) -> io.BufferedReader:
        return io.BufferedReader(BoundedStream(packed, self.path, str(self)), 1 << 16)


def split_archive_path(path: str) -> DataFile | None:
    """Return the file that `archive:inner/name` names, or None if there is no such archive."""
    for index, letter in enumerate(path):
        if letter == ":" and is_zip(Path(path[:index])):
            return DataFile(Path(path[:index]), path[index + 1 :])
    return None


def is_zip(path: Path) -> bool:
    """Return whether a file is a zip archive. False for an unreadable file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(4) in ZIP
    except OSError:
        return False


def path_exists(path: Path) -> bool:
    """Return whether a path exists. False for a path that is too long."""
    try:
        return path.exists()
    except OSError:
        return False


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
