"""Text with one record per line: its fields, and the interactions of a large or a small file.

`TextFormat.split` is the reference, which splits lines into records. If pyarrow is installed, it
reads blocks of a large file, with the same result (see `interactions` and `text_blocks`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import islice
from typing import NamedTuple

from mindref.data.assemble import RawLog
from mindref.data.readers.columns import ColumnLayout, ReaderInput
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.interactions import Record, make_raw_log, read_blocks
from mindref.data.readers.lines import Lines, read_text_lines
from mindref.data.readers.tally import Tally

MIN_BYTES = 1 << 20
"""Size on disk. The import of pyarrow takes longer than the reading of a smaller file."""
MAX_QUOTED_LINES = 20  # lines of a quoted field; with more, the quote counts as not closed
BLANKS = " \t"  # stripped around a field


class TextFormat(NamedTuple):
    """How the lines of a file become records."""

    delimiter: str
    encoding: str = "utf-8"
    has_header: bool = False  # whether the first record has the names of the columns
    # whether double quotes enclose fields, which then may have line ends, and blanks around a
    # field are removed
    has_quotes: bool = False

    def read(self, file: DataFile, tally: Tally) -> Iterator[Record]:
        """Yield the records of a file after the header."""
        keep_blank = self.has_quotes  # data-R77
        lines = read_text_lines(file, tally, self.encoding, keep_blank=keep_blank)
        return islice(self.split(lines, tally), int(self.has_header), None)

    def split(self, lines: Lines, tally: Tally) -> Iterator[Record]:
        """Return the records of lines, which include blank lines if the format has quotes."""
        if self.has_quotes:
            return split_quoted_records(lines, tally, self.delimiter)
        return ((number, text.split(self.delimiter)) for number, text in lines)


def read_text(text_format: TextFormat, layout: ColumnLayout, source: ReaderInput) -> RawLog:
    """Return the interactions of a text file, read in blocks or by the reference."""
    if not has_fast_blocks(text_format, source.file):
        return make_raw_log(text_format.read(source.file, source.tally), layout, source)
    from mindref.data.readers.text_blocks import TextBlocks  # imports pyarrow

    blocks = TextBlocks(text_format, layout, source)
    interactions = read_blocks(blocks, layout, source)
    return RawLog(interactions, layout.time >= 0, source.items, source.users)


def has_fast_blocks(text_format: TextFormat, file: DataFile) -> bool:
    """Return whether pyarrow can read the file: installed, a large file, a usual delimiter."""
    mark = text_format.delimiter
    is_usual = len(mark) == 1 and mark.isascii() and (mark == "\t" or mark.isprintable())
    is_large = file.path.stat().st_size >= MIN_BYTES
    return is_usual and is_large and find_spec("pyarrow") is not None


def split_quoted_records(lines: Lines, tally: Tally, delimiter: str) -> Iterator[Record]:
    """Yield the fields of every record. A quote that is not closed damages only its line.

    `lines` include blank lines, because a quoted field may contain them. A delimiter of several
    characters allows no quotes.
    """
    pending: deque[tuple[int, str]] = deque()  # lines after a quote that is not closed

    def next_line() -> tuple[int, str] | None:
        return pending.popleft() if pending else next(lines, None)

    while line := next_line():
        number, text = line
        if not text or text.isspace():  # data-R17; inside quotes it is part of the field
            continue
        if '"' not in text or len(delimiter) > 1:
            yield number, split_unquoted(text, delimiter)
            continue
        fields, following = read_quoted_record(text, next_line, delimiter)
        if fields is None:
            tally.add_damaged(number, "a double quote that is not closed")
            pending.extendleft(reversed(following))
        else:
            yield number, fields


def split_unquoted(text: str, delimiter: str) -> list[str]:
    """Return the fields of a line without quotes."""
    fields = text.split(delimiter)
    if " " in text or "\t" in text:
        return [field.strip(BLANKS) for field in fields]  # data-R69
    return fields


def read_quoted_record(
    text: str, next_line: Callable[[], tuple[int, str] | None], delimiter: str
) -> tuple[list[str] | None, list[tuple[int, str]]]:
    """Return the fields of a record, which may continue in the next lines, and the lines used.

    The fields are None if no line closes the quote.
    """
    used_lines: list[tuple[int, str]] = []
    while (fields := split_quoted(text, delimiter)) is None and len(used_lines) < MAX_QUOTED_LINES:
        line = next_line()
        if line is None:
            break
        used_lines.append(line)
        text += "\n" + line[1]
    return fields, used_lines


def split_quoted(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a complete record, or None if a quote is still open."""
    fields: list[str] = []
    start = -1
    while start < len(text):
        match = field_pattern(delimiter).match(text, start + 1)
        if match is None:
            return None
        quoted_text, unquoted_text = match.groups()
        fields.append(
            unquoted_text.rstrip(BLANKS) if quoted_text is None else quoted_text.replace('""', '"')
        )
        start = match.end()
    return fields


@cache
def field_pattern(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of a quoted or unquoted field before a delimiter or the end.

    The quantifiers are possessive (`*+`), so that an opening quote must also be closed.
    """
    mark, blanks = re.escape(delimiter), BLANKS.replace(delimiter, "")
    quotes = rf'"((?:[^"]++|"")*+)"[{blanks}]*'
    return re.compile(rf'[{blanks}]*+(?:{quotes}|((?!")[^{mark}]*))(?=[{mark}]|\Z)')


def split_fields(line: str, delimiter: str) -> list[str]:
    """Return the fields of a single line, such as a header."""
    fields = split_quoted(line, delimiter) if len(delimiter) == 1 else None
    return fields or split_unquoted(line, delimiter)
