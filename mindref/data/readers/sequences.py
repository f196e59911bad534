"""Formats `pairs`, `sequences` and `sessions`: items oldest first."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mindref.data.assemble import RawLog
from mindref.data.numbering import Interaction
from mindref.data.readers.columns import ReaderInput
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head, read_text_lines
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo
from mindref.errors import DataError, say

MIN_LIMIT = 1 << 22  # bytes of JSON, always allowed; the parsed values take thirty times as much
RATIO = 10  # above MIN_LIMIT: bytes per byte on disk; text compresses about this well
OTHER_DELIMITERS = (",", ";", "|", "::", '"')


def is_pairs(head: Head) -> bool:
    """Return whether every line has two words."""
    rows = rows_of_words(head)
    return bool(rows) and all(len(row) == 2 for row in rows)  # data-R22


def read_pairs(source: ReaderInput) -> RawLog:
    """Read two words a line, separated by spaces or tabs."""

    def interactions() -> Iterator[Interaction]:
        for number, text in read_text_lines(source.file, source.tally):
            words = split_words(text)
            if len(words) == 2:
                yield words[0], words[1], 0.0
            else:
                source.tally.add_damaged(number, f"{len(words)} words instead of 2")

    return RawLog([interactions()], False, source.items, source.users)


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


def is_sequences(head: Head) -> bool:
    """Return whether lines are words separated by spaces, and not all of them pairs."""
    rows = rows_of_words(head)
    if all(len(row) == 2 for row in rows):
        return False
    return not any("\t" in line for line in head.lines)


def is_sessions(head: Head) -> bool:
    """Return whether lines could be sequences, but a first word is repeated."""
    first_words = [row[0] for row in rows_of_words(head)]
    return is_sequences(head) and len(set(first_words)) < len(first_words)


def read_sequences(source: ReaderInput) -> RawLog:
    """Read `user item item ...`. A second line of a user is damaged."""

    def interactions() -> Iterator[Interaction]:
        users: set[str] = set()
        for number, text in read_text_lines(source.file, source.tally):
            user, *items = split_words(text)
            if user in users:
                reason = f"user {user!r} had a line before (or are these sessions?)"
                source.tally.add_damaged(number, reason)
                continue
            users.add(user)
            source.tally.counts["empty_rows"] += not items
            for item in items:
                yield user, item, 0.0

    return RawLog([interactions()], False, source.items, source.users)


def read_sessions(source: ReaderInput) -> RawLog:
    """Read `item item ...`. The user of a line is the line number."""
    lines = read_text_lines(source.file, source.tally)
    interactions = ((str(n), item, 0.0) for n, text in lines for item in split_words(text))
    return RawLog([interactions], False, source.items, source.users)


def read_s3rec_attributes(file: DataFile, tally: Tally) -> SideInfo:
    """Read S3-Rec's `item2attributes.json`: an object of item -> list of attributes."""
    limit = max(MIN_LIMIT, RATIO * file.path.stat().st_size)
    with file.open() as stream:
        text = stream.read(limit + 1)
        if len(text) > limit:  # data-R80
            expected = f"at most {MIN_LIMIT >> 20} MiB of JSON, or {RATIO} times the file's size"
            raise DataError(say(tally.file, expected, "more", "unpack it yourself"))
        try:
            attributes_of_item = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(say(tally.file, "a JSON object", error)) from error
    if not isinstance(attributes_of_item, dict) or not all(
        isinstance(row, list) for row in attributes_of_item.values()
    ):
        raise DataError(say(tally.file, "an object of item -> list of attributes", "other JSON"))
    side = SideInfo()
    for item, attributes in attributes_of_item.items():
        side.add_id(item)
        side.add_values("attributes", item, [str(attribute) for attribute in attributes])
    return side
