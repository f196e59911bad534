"""Values of JSON, Parquet and tables in memory as the text that they would have in a text file."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from mindref.data.readers.table import ColumnLayout


def id_text(value: object) -> str:
    """Return the text of an id. Raises ValueError for a value that is neither text nor an integer.

    A float is refused: tables turn integers with gaps into floats, and `3.0` is not the id `3`.
    """
    if isinstance(value, str):
        return str(value)  # data-R1
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"an id is text or an integer, not {value!r}")
    return str(int(value))


def values_as_text(values: Sequence[Any], layout: ColumnLayout, separator: str) -> list[str]:
    """Return the fields of a record as text. Raises ValueError for an invalid id or time."""
    for index in (layout.user, layout.item):
        if values[index] is not None:
            id_text(values[index])
    if layout.time >= 0 and isinstance(values[layout.time], list | dict):
        raise ValueError("a time is one value, not several")
    return [value_as_text(value, separator) for value in values]


def value_as_text(value: Any, separator: str) -> str:
    """Return a value as text: "" for null, a list joined by the separator. Or ValueError."""
    if value is None:
        return ""
    if isinstance(value, list):
        return separator.join(value_as_text(element, separator) for element in value)
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
