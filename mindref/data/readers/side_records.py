"""Titles and features from the records of an item file or a user file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from mindref.data.readers.interactions import Record
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo

FieldValues = Callable[[Sequence[str]], Iterable[str]]
"""Returns the values of a feature in the fields of a record."""


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
