"""Recognise the format of a log by its first bytes and lines (specs/data.md, Reading)."""

from __future__ import annotations

from mindref.data.formats import FORMATS
from mindref.data.quoting import quote_text
from mindref.data.readers.columns import Columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head, is_binary, read_first_lines
from mindref.errors import DataError, say


def recognise_format(file: DataFile, columns: Columns) -> str:
    """Return the name of the format. Errors: DataError if no format matches, or several."""
    names = matching_formats(file, columns)
    if len(names) == 1:
        return names[0]
    check_text(file)
    table = "\n".join(f"  {name:14} {one.help}" for name, one in FORMATS.items())
    expected = f"one format, not {' or '.join(names)}" if names else "a known format"
    first_line = quote_text(Head(file, columns).first_line, 200)
    todo = f"name it with --format, or its columns with --user, --item, --time\n{table}"
    raise DataError(say(str(file), expected, f"the first line {first_line}", todo))  # data-R21


def matching_formats(file: DataFile, columns: Columns) -> list[str]:
    """Return the formats of the lowest tier with a match. Several names: ambiguous."""
    head = Head(file, columns)
    for tier in sorted({one.tier for one in FORMATS.values()}):
        names = [name for name, one in FORMATS.items() if one.tier == tier and one.recognises(head)]
        if names:
            return names
    return []


def check_text(file: DataFile) -> None:
    """Raise DataError for a file without lines or with bytes that are not text."""
    check_lines(file)
    if is_binary(read_first_lines(file)):
        raise DataError(say(str(file), "text in UTF-8", "a binary file or another encoding"))


def check_lines(file: DataFile) -> None:
    """Raise DataError for a file without lines."""
    if not read_first_lines(file):
        raise DataError(say(str(file), "a log", "an empty file"))
