"""Where bytes come from: a plain file, a gzip file or a file inside a zip archive.

What a file is, its first bytes say, never its name (specs/data.md).
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from mindref.data.readers.unpacked import BROKEN, Unpacked, member_of
from mindref.data.shown import listed
from mindref.errors import DataError, say

GZIP = b"\x1f\x8b"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with files; empty
PACKED = (".gz", ".zip")
NO_LOG = (".md", ".json", ".pdf", ".html", ".py", ".item", ".user", ".kg", ".link")


class Place(NamedTuple):
    """A file, or a file inside the zip archive at `path`."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The last part of the name, without the ending that says how it is packed."""
        name = (self.member or self.path.name).rsplit("/", 1)[-1]
        return name.rsplit(".", 1)[0] if name.endswith(PACKED) else name

    @property
    def is_paper(self) -> bool:
        """Whether the name is that of a text about the data, or of something else than a log."""
        return self.name.startswith((".", "README", "LICENSE")) or self.name.endswith(NO_LOG)

    @classmethod
    def of(cls, path: str | Path) -> Place:
        """Return the place that a path names; `archive.zip:inner/name` is a file in an archive.

        Errors: DataError when there is nothing.
        """
        place = cls(Path(path))
        if not exists(place.path):
            place = inside_archive(str(path)) or place
        if not exists(place.path):
            raise DataError(say(str(path), "a file or a folder", "nothing there", "mend the path"))
        if not (place.path.is_file() or place.path.is_dir()):  # data-R75
            got, todo = "a pipe or a device", "write what it gives to a file"
            raise DataError(say(str(path), "a file or a folder", got, todo))
        if place.member and place not in place.inside():
            there = listed(other.member for other in cls(place.path).inside())
            raise DataError(say(str(place.path), f"a file {place.member!r}", there or "no file"))
        return place

    def inside(self) -> list[Place]:
        """Return the files in this folder or archive by name; none for a single file."""
        if self.path.is_dir():
            try:
                return [Place(path) for path in sorted(self.path.iterdir()) if path.is_file()]
            except OSError as error:
                raise DataError(say(str(self.path), "a readable folder", error)) from error
        if not is_zip(self.path):
            return []
        try:
            with zipfile.ZipFile(self.path) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        except BROKEN as error:
            raise DataError(say(str(self.path), "a whole zip archive", error)) from error
        return [Place(self.path, name) for name in sorted(names)]

    def only(self) -> Place:
        """Return the single file of an archive, or this place.

        Errors: DataError that lists the files of an archive with several.
        """
        if self.member or not is_zip(self.path):
            return self
        inside = self.inside()
        if len(inside) == 1:
            return inside[0]
        there = listed(place.member for place in inside if not place.is_paper) or "no file"
        todo = f"name one as {self.path}:FILE"
        raise DataError(say(str(self.path), "an archive of one file", there, todo))

    def beside(self) -> list[Place]:
        """Return the files of the same folder or archive."""
        inside = Place(self.path).inside() if self.member else []
        return inside if len(inside) > 1 else Place(self.path.parent).inside()

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the unpacked bytes. Errors: DataError, now or while they are read."""
        with ExitStack() as stack:
            try:
                stream = self._raw(stack)
                if stream.peek(2)[:2] == GZIP:  # data-R15
                    packed = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
                    stream = self._bounded(stack.enter_context(packed))
            except DataError:
                raise
            except BROKEN as error:
                raise DataError(say(str(self), "a readable file", error)) from error
            try:
                yield stream
            except OSError as error:
                raise DataError(say(str(self), "a whole file", error)) from error

    def is_plain(self) -> bool:
        """Tell whether the bytes are those of a file of their own, not packed."""
        with self.path.open("rb") as stream:
            return not self.member and stream.read(2) != GZIP

    def _raw(self, stack: ExitStack) -> io.BufferedReader:
        if not self.member:
            plain: IO[bytes] = stack.enter_context(self.path.open("rb", 1 << 16))
            return cast(io.BufferedReader, plain)
        archive = stack.enter_context(zipfile.ZipFile(self.path))
        return self._bounded(stack.enter_context(member_of(archive, self.member)))

    def _bounded(self, packed: IO[bytes]) -> io.BufferedReader:
        return io.BufferedReader(Unpacked(packed, self.path, str(self)), 1 << 16)


def inside_archive(path: str) -> Place | None:
    """Return the place that `archive:inner/name` names, or None where no archive lies there."""
    for at, letter in enumerate(path):
        if letter == ":" and is_zip(Path(path[:at])):
            return Place(Path(path[:at]), path[at + 1 :])
    return None


def is_zip(path: Path) -> bool:
    """Tell whether a file is a zip archive; one that cannot be read is none."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(4) in ZIP
    except OSError:
        return False


def exists(path: Path) -> bool:
    """Tell whether something lies at a path; nothing does at one that is too long."""
    try:
        return path.exists()
    except OSError:
        return False
