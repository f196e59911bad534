"""Format `pairs`: `user item` lines, oldest first for each user (as SASRec's data)."""

from __future__ import annotations

from collections.abc import Iterator

from mindref.data.assemble import Interaction, RawLog
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head, read_text_lines
from mindref.data.readers.table import ReaderInput
from mindref.data.readers.tally import Tally

OTHER_DELIMITERS = (",", ";", "|", "::", '"')


def is_pairs(head: Head) -> bool:
    """Return whether every line has two words."""
    rows = rows_of_words(head)
    return bool(rows) and all(len(row) == 2 for row in rows)  # data-R22


def read_pairs(source: ReaderInput) -> RawLog:
    """Read two words a line, separated by spaces or tabs."""
    return RawLog(iterate_pairs(source.file, source.tally), False, source.items, source.users)


def iterate_pairs(file: DataFile, tally: Tally) -> Iterator[Interaction]:
    """Yield the interaction of every line of two words."""
    for number, text in read_text_lines(file, tally):
        words = split_words(text)
        if len(words) != 2:
            tally.add_damaged(number, f"{len(words)} words instead of 2")
            continue
        yield words[0], words[1], 0.0


def rows_of_words(head: Head) -> list[list[str]]:
    """Return the words of the first lines; none if a line contains another delimiter."""
    if any(delimiter in line for line in head.lines for delimiter in OTHER_DELIMITERS):
        return []
    return [split_words(line) for line in head.lines]


def split_words(text: str) -> list[str]:
    """Return the words between spaces and tabs. Other Unicode blanks are part of a word."""
    text = text.replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text.split()
    return [word for word in text.split(" ") if word]  # data-R76
