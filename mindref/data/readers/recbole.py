"""Format `recbole`: atomic files with tabs, a header of `name:type`, and lists split by spaces.

In the benchmark files a row is the history of a user as a list, and the next item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mindref.data.assemble import RawLog
from mindref.data.numbering import Interaction
from mindref.data.quoting import quote_text
from mindref.data.readers.columns import (
    ColumnLayout,
    ReaderInput,
    reject_options,
    resolve_columns,
)
from mindref.data.readers.interactions import Record
from mindref.data.readers.lines import Head, read_first_lines
from mindref.data.readers.sequences import split_words
from mindref.data.readers.tally import Tally
from mindref.data.readers.text import TextFormat, read_text
from mindref.errors import DataError, say

ATOMIC = TextFormat("\t", has_header=True)
# options that need one interaction per row
INTERACTION_OPTIONS = (
    "time", "time_format", "title", "item_features", "user_features", "separator", "keep",
    "at_least",
)  # fmt: skip
TYPES = ("token", "token_seq", "float", "float_seq")


def is_recbole(head: Head) -> bool:
    """Return whether the first line is a header of `name:type`."""
    return is_typed_header(head.first_line)


def is_typed_header(line: str) -> bool:
    """Return whether every field of a line is `name:type`."""
    parts = [field.rpartition(":") for field in line.split("\t")]
    return all(name and mark and kind in TYPES for name, mark, kind in parts)


def split_header(line: str) -> tuple[list[str], list[str]]:
    """Return the names and the types of the columns."""
    parts = [field.rpartition(":") for field in line.split("\t")]
    return [name for name, _, _ in parts], [kind for _, _, kind in parts]


def read_recbole(source: ReaderInput) -> RawLog:
    """Read an `.inter` file: one interaction per row, or benchmark rows."""
    header, *lines = read_first_lines(source.file) or [""]
    if not is_typed_header(header):
        got = quote_text(header, 100)
        raise DataError(say(str(source.file), "a header of name:type between tabs", got))
    names, kinds = split_header(header)
    layout = resolve_columns(source, names, len(names), [line.split("\t") for line in lines])
    lists = [
        i for i, name in enumerate(names) if kinds[i] == "token_seq" and name.endswith("_list")
    ]
    if not lists:
        return read_text(ATOMIC, layout, source)  # data-R67
    reject_options(source.columns, INTERACTION_OPTIONS, "the benchmark files of recbole")
    records = ATOMIC.read(source.file, source.tally)
    interactions = longest_histories(records, layout, lists[0], source.tally)
    return RawLog([interactions], False, source.items, source.users)


def longest_histories(
    records: Iterable[Record], layout: ColumnLayout, history: int, tally: Tally
) -> Iterator[Interaction]:
    """Yield the interactions of the longest row of each user: the list, then the next item."""
    longest: dict[str, list[str]] = {}
    for number, fields in records:
        if len(fields) != layout.width or not fields[layout.user] or not fields[layout.item]:
            tally.add_damaged(number, f"not {layout.width} fields with a user and an item")
            continue
        user, row = fields[layout.user], [*split_words(fields[history]), fields[layout.item]]
        tally.counts["shorter_rows"] += user in longest
        if len(row) > len(longest.get(user, ())):  # data-R23
            longest[user] = row
    for user, row in longest.items():
        for item in row:
            yield user, item, 0.0
