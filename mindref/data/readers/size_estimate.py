"""Estimate of the number of interactions in a log, from its size and its first lines.

Spec: specs/faults.md, faults-R20. The estimate is made before the log is read.
"""

from __future__ import annotations

import zipfile

from mindref.data.readers.data_file import ARCHIVE_ERRORS, DataFile
from mindref.data.readers.lines import read_first_lines
from mindref.data.readers.sequences import split_words
from mindref.process.memory import PROGRAM_BYTES, warn_if_too_large

READING_BYTES = 80
"""Largest memory of the reading for each interaction, with the texts of ids."""

PACKED_RATIO = 4
"""Unpacked bytes per byte of a gzip file that states a size smaller than the file."""

TODO = "read it on a machine with more memory, or train on a part of the log"


def warn_of_interactions(name: str, interactions: int) -> None:
    """Announce a warning if so many interactions will not fit, or may not fit, the memory."""
    work = f"reading {name}, with about {interactions:,} interactions,"
    warn_if_too_large(work, PROGRAM_BYTES + READING_BYTES * interactions, TODO)  # faults-R20


def estimate_interactions(file: DataFile, format_name: str) -> int:
    """Return about how many interactions a text file has."""
    lines = read_first_lines(file)
    if not lines:
        return 0
    line_bytes = sum(len(line.encode("utf-8", "replace")) + 1 for line in lines) / len(lines)
    per_line = 1.0
    if format_name in ("sequences", "sessions"):
        is_user = format_name == "sequences"
        per_line = sum(len(split_words(line)) - is_user for line in lines) / len(lines)
    return round(unpacked_bytes(file) / line_bytes * per_line)


def unpacked_bytes(file: DataFile) -> int:
    """Return the size of a file after unpacking, as far as the file states it."""
    try:
        size = file.path.stat().st_size
        if file.member:
            with zipfile.ZipFile(file.path) as archive:
                return archive.getinfo(file.member).file_size
        if file.is_unpacked():
            return size
        with file.path.open("rb") as stream:  # gzip: the last bytes are the size modulo 2^32
            stream.seek(-4, 2)
            stated = int.from_bytes(stream.read(4), "little")
        return stated if stated >= size else PACKED_RATIO * size
    except ARCHIVE_ERRORS:  # the reader reports it
        return 0
