"""Text of a file or of a request in a message: control characters escaped, length limited."""

from __future__ import annotations

from collections.abc import Iterable

from mindref.errors import printable

MAX_LINE = 200  # characters of a line
MAX_VALUE = 60  # characters of a value in it
MAX_QUOTED = 5  # quoted names in a message


def quote_text(text: str, limit: int = MAX_VALUE) -> str:
    """Return text in quotes, control characters escaped, cut after `limit` characters."""
    return repr(text if len(text) <= limit else text[:limit] + "...")


def escape_text(text: str, limit: int = MAX_LINE) -> str:
    """Return text without quotes, control characters escaped, cut after `limit` characters."""
    return printable(text if len(text) <= limit else text[:limit] + "...")


def join_names(names: Iterable[object], *, quoted: bool = False) -> str:
    """Return names separated by commas, escaped and cut by `escape_text`.

    quoted: the first five names in quotes, each cut by `quote_text`, and dots if there are more.
    """
    texts = [str(name) for name in names]
    if not quoted:
        return escape_text(", ".join(texts))
    dots = " ..." if len(texts) > MAX_QUOTED else ""
    return ", ".join(map(quote_text, texts[:MAX_QUOTED])) + dots


def quantity_text(number: int, noun: str) -> str:
    """Return a number and a noun with a regular plural, such as `1 line` or `2,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
