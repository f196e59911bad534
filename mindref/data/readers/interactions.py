"""From the rows of a file to interactions: filters, damaged rows, titles and features.

`read_records` reads single records of fields. It is the reference: it defines interactions, counts
and errors. `read_blocks` reads blocks of rows as columns, which is faster. If a value of the
columns could differ from that of the reference, or a row is damaged, the records of the block are
read (data-R85). `read_side_records` reads the records of an item file or a user file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.arguments import is_integer
from mindref.data.assemble import RawLog
from mindref.data.log import Floats
from mindref.data.numbering import Block, IdColumn, Interaction, InteractionBlock
from mindref.data.readers.columns import ColumnLayout, ReaderInput
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo
from mindref.errors import value_text

Record = tuple[int, Sequence[str]]  # line number, fields
TextColumns = Mapping[int, IdColumn]  # index of a column -> its fields
FieldValues = Callable[[Sequence[str]], Iterable[str]]  # of a record -> the values of a feature


class RowBlock(NamedTuple):
    """Consecutive rows of a file, which can be read as columns or as records."""

    num_lines: int
    read_columns: Callable[[], tuple[TextColumns, Floats]]
    """Return the columns of `layout.text_columns`, and the times (E,) in seconds.

    Raises ValueError, OverflowError or TypeError if the records must be read.
    """
    read_records: Callable[[], Iterator[Record]]
    """Yield the records, and count the lines."""


def make_raw_log(records: Iterable[Record], layout: ColumnLayout, source: ReaderInput) -> RawLog:
    """Return the interactions of records, with the side information in the same records."""
    interactions = read_records(records, layout, source)
    return RawLog([interactions], layout.time >= 0, source.items, source.users)


def read_records(
    records: Iterable[Record], layout: ColumnLayout, source: ReaderInput
) -> Iterator[Interaction]:
    """Yield the interactions of records; store the titles and features of the same records.

    Damaged and filtered records are counted.
    """
    width, user, item, time, title, item_features, user_features, filters, parse_time = layout
    tally, separator = source.tally, source.columns.separator
    for number, fields in records:
        if len(fields) != width and (len(fields) < width or any(fields[width:])):
            tally.add_damaged(number, f"{len(fields)} fields instead of {width}")  # data-R11
            continue
        user_id, item_id = fields[user], fields[item]
        if not (user_id and item_id):
            tally.add_damaged(number, "no user" if not user_id else "no item")
            continue
        try:
            seconds = parse_time(fields[time]) if time >= 0 else 0.0
            if filters and not all(x.accepts(fields[x.column]) for x in filters):
                tally.counts["filtered"] += 1  # data-R19
                continue
        except (ValueError, OverflowError) as error:
            tally.add_damaged(number, str(error))
            continue
        if title >= 0:
            source.items.add_title(item_id, fields[title])
        for name, column in item_features:
            source.items.add_values(name, item_id, fields[column].split(separator))
        for name, column in user_features:
            source.users.add_values(name, user_id, fields[column].split(separator))
        yield user_id, item_id, seconds


def read_blocks(
    blocks: Iterable[RowBlock], layout: ColumnLayout, source: ReaderInput
) -> Iterator[Block]:
    """Yield the interactions of each block of rows."""
    for block in blocks:
        try:
            columns, times = block.read_columns()
            interactions = make_block(columns, times, layout, source)
        except (ValueError, OverflowError, TypeError):  # data-R85
            yield read_records(block.read_records(), layout, source)
        else:
            source.tally.lines += block.num_lines
            yield interactions


def make_block(
    columns: TextColumns, times: Floats, layout: ColumnLayout, source: ReaderInput
) -> InteractionBlock:
    """Return the interactions of rows; count filtered rows, store titles and features.

    Raises ValueError for a damaged row; nothing is counted or stored then.
    """
    users, items = columns[layout.user], columns[layout.item]
    # a row without an id, or a blank line, whose fields have no other characters
    if not all(map(str.strip, (*users.names, *items.names))):
        raise ValueError("an empty id")
    keep = np.ones(len(times), bool)
    for column, accepts in layout.row_filters:
        values = columns[column]
        keep &= np.array([accepts(value) for value in values.names], bool)[values.codes]
    if not keep.all():
        source.tally.counts["filtered"] += int(np.count_nonzero(~keep))
        columns = {i: IdColumn(x.names, x.codes[keep]) for i, x in columns.items()}
        users, items, times = columns[layout.user], columns[layout.item], times[keep]
    separator = source.columns.separator
    if layout.title >= 0:
        for item, title in distinct_pairs(items, columns[layout.title]):
            source.items.add_title(item, title)
    for name, column in layout.item_features:
        for item, text in distinct_pairs(items, columns[column]):
            source.items.add_values(name, item, text.split(separator))
    for name, column in layout.user_features:
        for user, text in distinct_pairs(users, columns[column]):
            source.users.add_values(name, user, text.split(separator))
    return InteractionBlock(users, items, times)


def distinct_pairs(ids: IdColumn, texts: IdColumn) -> Iterator[tuple[str, str]]:
    """Yield each distinct pair of id and text, in the order of the first rows."""
    pairs = ids.codes * len(texts.names) + texts.codes
    first_rows: npt.NDArray[np.intp] = np.sort(np.unique(pairs, return_index=True)[1])
    codes = (ids.codes[first_rows].tolist(), texts.codes[first_rows].tolist())
    for id_code, text_code in zip(*codes, strict=True):
        yield ids.names[id_code], texts.names[text_code]


def id_text(value: object) -> str:
    """Return the text of an id. Raises ValueError for a value that is neither text nor an integer.

    A float is rejected: tables turn integers with gaps into floats, and `3.0` is not the id `3`.
    """
    if isinstance(value, str):
        return str(value)  # data-R1
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not is_integer(value):
        raise ValueError(f"an id is text or an integer, not {value_text(value, quoted=True)}")
    return str(int(value))  # type: ignore[call-overload]  # an integer; not too long to print


def values_as_text(values: Sequence[object], layout: ColumnLayout, separator: str) -> list[str]:
    """Return the fields of a record as text. Raises ValueError for an invalid id or time."""
    for index in (layout.user, layout.item):
        if values[index] is not None:
            id_text(values[index])
    if layout.time >= 0 and isinstance(values[layout.time], list | dict):
        raise ValueError("a time is one value, not several")
    return [value_as_text(value, separator) for value in values]


def value_as_text(value: object, separator: str) -> str:
    """Return a value as text: "" for null, a list joined by the separator. Or ValueError."""
    if value is None:
        return ""
    if isinstance(value, list):
        return separator.join(value_as_text(element, separator) for element in value)
    if isinstance(value, float) and value != value:  # a missing value of a table
        return ""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def field_values(column: int, separator: str = "") -> FieldValues:
    """Return a function that returns the values in one field, which a separator divides."""
    if separator:
        return lambda fields: fields[column].split(separator)
    return lambda fields: [fields[column]]


def read_side_records(
    records: Iterable[Record],
    tally: Tally,
    kind: str,
    width: int,
    *,
    key: int = 0,
    title: int = -1,
    features: Mapping[str, FieldValues],
) -> SideInfo:
    """Return the side information of records of `width` fields, with the id in the field `key`.

    kind: "item" or "user". title: the field of the title, or -1.
    """
    side = SideInfo()
    for number, fields in records:
        if len(fields) < width or any(fields[width:]) or not fields[key]:
            reason = f"{len(fields)} fields instead of {width}, or no {kind}"
            tally.add_damaged(number, reason)
            continue
        side.add_id(fields[key])
        if title >= 0:
            side.add_title(fields[key], fields[title])
        for name, values in features.items():
            side.add_values(name, fields[key], values(fields))
    return side
