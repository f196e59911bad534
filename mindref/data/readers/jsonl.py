"""Format `jsonl`: one JSON object per line. The keys of the first object are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mindref.data.assemble import RawLog
from mindref.data.readers.columns import ColumnLayout, ReaderInput, resolve_columns
from mindref.data.readers.interactions import Record, make_raw_log, values_as_text
from mindref.data.readers.lines import Head, Lines, read_first_lines, read_text_lines
from mindref.data.readers.tally import Tally
from mindref.errors import DataError, say, value_text


def is_jsonl(head: Head) -> bool:
    """Return whether the first line is a JSON object."""
    return parse_object(head.first_line) is not None


def read_jsonl(source: ReaderInput) -> RawLog:
    """Read objects. A value is text or a number; the value of a feature may be a list."""
    file, columns, tally, *_ = source
    objects = [parse_object(text) for text in read_first_lines(file)]
    first = objects[0] if objects else None
    if first is None:
        raise DataError(say(tally.file, "a JSON object on the first line", "something else"))
    keys = list(first)
    samples = [[value_text(value) for value in row.values()] for row in objects if row]
    layout = resolve_columns(source, keys, len(keys), samples)
    rows = iterate_objects(read_text_lines(file, tally), keys, layout, columns.separator, tally)
    return make_raw_log(rows, layout, source)


def parse_object(text: str) -> dict[str, object] | None:
    """Return the object of a line, or None for other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # thousands of digits, or thousands of brackets
        return None
    return value if isinstance(value, dict) else None


def iterate_objects(
    lines: Lines, keys: Sequence[str], layout: ColumnLayout, separator: str, tally: Tally
) -> Iterator[Record]:
    """Yield the values of the keys as text, "" for a missing value."""
    for number, text in lines:
        record = parse_object(text)
        if record is None:
            tally.add_damaged(number, "not a JSON object")
            continue
        values = [record.get(key) for key in keys]
        try:
            yield number, values_as_text(values, layout, separator)
        except (ValueError, RecursionError) as error:
            tally.add_damaged(number, str(error))
