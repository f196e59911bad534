"""Format `recbole`: atomic files with tabs, a header of `name:type`, and lists split by spaces.

In the benchmark files a row is the history of a user as a list, and the next item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mindref.data.assemble import RawLog
from mindref.data.numbering import Interaction
from mindref.data.quoting import join_names, quote_text
from mindref.data.readers import table
from mindref.data.readers.columns import Columns, find_column, reject_options
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import Head, Lines, read_first_lines, read_text_lines
from mindref.data.readers.plain_text import TextFormat, read_plain_text
from mindref.data.readers.sequences import split_words
from mindref.data.readers.table import ReaderInput
from mindref.data.readers.tally import Tally
from mindref.data.readers.usual_names import usual_columns
from mindref.data.side_info import SideInfo
from mindref.errors import DataError, say

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


def read_typed_header(file: DataFile) -> tuple[list[str], list[str]]:
    """Return names and types of the columns. Errors: DataError for another header."""
    line = next(iter(read_first_lines(file)), "")
    if not is_typed_header(line):
        raise DataError(say(str(file), "a header of name:type between tabs", quote_text(line, 100)))
    parts = [field.rpartition(":") for field in line.split("\t")]
    return [name for name, _, _ in parts], [kind for _, _, kind in parts]


def iterate_atomic_rows(file: DataFile, tally: Tally) -> Iterator[table.Record]:
    """Yield the fields of the lines after the header."""
    return islice(split_atomic_lines(read_text_lines(file, tally), tally), 1, None)


def split_atomic_lines(lines: Lines, tally: Tally) -> Iterator[table.Record]:
    """Yield the fields of lines; no line is damaged here."""
    for number, text in lines:
        yield number, text.split("\t")


def read_recbole(source: ReaderInput) -> RawLog:
    """Read an `.inter` file: one interaction per row, or benchmark rows."""
    names, kinds = read_typed_header(source.file)
    rows = [line.split("\t") for line in read_first_lines(source.file)[1:]]
    layout = table.resolve_columns(source, names, len(names), rows)
    lists = [
        i
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
        if kind == "token_seq" and name.endswith("_list")
    ]
    if not lists:
        text_format = TextFormat(split_atomic_lines, "\t", has_header=True)
        return read_plain_text(text_format, layout, source)
    reject_options(source.columns, INTERACTION_OPTIONS, "the benchmark files of recbole")
    records = iterate_atomic_rows(source.file, source.tally)
    interactions = longest_histories(records, layout, lists[0], source.tally)
    return RawLog([interactions], False, source.items, source.users)


def longest_histories(
    records: Iterator[table.Record], layout: table.ColumnLayout, history: int, tally: Tally
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


def read_atomic_side_info(file: DataFile, kind: str, columns: Columns, tally: Tally) -> SideInfo:
    """Read an `.item` or `.user` file. Token columns are features. `kind` is "item" or "user"."""
    names, kinds = read_typed_header(file)
    column = columns.item if kind == "item" else columns.user
    key = find_column(kind, column if column in names else None, names, len(names), tally.file)
    if key < 0:
        raise DataError(say(tally.file, f"a column of the {kind}", join_names(names)))
    side = SideInfo(used_options=used_options(names, kind, columns), columns=names)
    title = title_column(names, columns) if kind == "item" else -1
    features = [i for i in range(len(names)) if i not in (key, title) and "token" in kinds[i]]
    for number, fields in iterate_atomic_rows(file, tally):
        if len(fields) != len(names) or not fields[key]:
            tally.add_damaged(number, f"{len(fields)} fields instead of {len(names)}, or no {kind}")
            continue
        side.add_id(fields[key])
        if title >= 0:
            side.add_title(fields[key], fields[title])
        for i in features:
            is_list = kinds[i] == "token_seq"
            side.add_values(
                names[i], fields[key], split_words(fields[i]) if is_list else [fields[i]]
            )
    return side


def used_options(header: Sequence[str], kind: str, columns: Columns) -> set[str]:
    """Return the options that name a column of this item (or user) file."""
    options = (
        {"item": columns.item, "title": columns.title} if kind == "item" else {"user": columns.user}
    )
    return {option for option, column in options.items() if column in header}


def title_column(header: Sequence[str], columns: Columns) -> int:
    """Return the index of the title: the requested column, or the first usual name, or -1."""
    if columns.title in header:
        return header.index(str(columns.title))
    return next(iter(usual_columns("title", header)), -1)
