"""JSON lines: one object a line; the keys of the first one are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mindref.data.assemble import Reading
from mindref.data.identifier import identifier
from mindref.data.readers import table
from mindref.data.readers.columns import Columns
from mindref.data.readers.lines import Lines, read_lines, sample
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.side import Side
from mindref.errors import DataError, say


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read objects; a value may be text, a number, or (of a feature) a list."""
    first = next((parsed(text) for text in sample(place)), None)
    if first is None:
        raise DataError(say(tally.file, "a JSON object on the first line", "something else"))
    keys = list(first)
    layout = table.plan(columns, keys, len(keys), tally.file)
    rows = records(read_lines(place, tally), keys, layout, columns.separator, tally)
    return table.reading(rows, layout, columns, tally, items, users)


def parsed(text: str) -> dict[str, Any] | None:
    """Return the object that a line holds, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of brackets
        return None
    return value if isinstance(value, dict) else None


def records(
    lines: Lines, keys: Sequence[str], layout: table.Plan, separator: str, tally: Tally
) -> Iterator[table.Record]:
    """Yield the values of the keys as text, empty where one is missing."""
    for number, text in lines:
        found = parsed(text)
        if found is None:
            tally.damaged(number, "not a JSON object")
            continue
        values = [found.get(key) for key in keys]
        try:
            yield number, as_fields(values, layout, separator)
        except (ValueError, RecursionError) as error:
            tally.damaged(number, str(error))


def as_fields(values: Sequence[Any], layout: table.Plan, separator: str) -> list[str]:
    """Return values as the text they would have in a table. Raises ValueError for a bad id."""
    for place in (layout.user, layout.item):
        if values[place] is not None:
            identifier(values[place])
    if layout.time >= 0 and isinstance(values[layout.time], list | dict):
        raise ValueError("a time is one value, not several")
    return [as_text(value, separator) for value in values]


def as_text(value: Any, separator: str) -> str:
    """Return the text of a value: nothing for null, a list with separators. Or ValueError."""
    if value is None:
        return ""
    if isinstance(value, list):
        return separator.join(as_text(one, separator) for one in value)
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
