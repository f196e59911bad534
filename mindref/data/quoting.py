"""Text of a file in an error message: control characters escaped, length limited."""

from __future__ import annotations

from collections.abc import Iterable

from mindref.errors import printable

MAX_LINE = 200  # characters of a line
MAX_VALUE = 60  # characters of a value in it


def quote_text(text: str, limit: int = MAX_VALUE) -> str:
    """Return text in quotes, control characters escaped, cut after `limit` characters."""
    return repr(text if len(text) <= limit else text[:limit] + "...")


def escape_text(text: str, limit: int = MAX_LINE) -> str:
    """Return text without quotes, control characters escaped, cut after `limit` characters."""
    return printable(text if len(text) <= limit else text[:limit] + "...")


def join_names(names: Iterable[object]) -> str:
    """Return names separated by commas, escaped and cut by `escape_text`."""
    return escape_text(", ".join(map(str, names)))
