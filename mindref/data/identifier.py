"""An id that came as a value (JSON, a table in memory) -> the text that it would have in a file."""

from __future__ import annotations

import numbers


def identifier(value: object) -> str:
    """Return the text of an id. Raises ValueError for what is neither text nor an integer.

    A float is refused: `3.0`, which a table makes of integers with gaps, is another id than `3`.
    """
    if isinstance(value, str):
        return str(value)  # data-R1
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"an id is text or an integer, not {value!r}")
    return str(int(value))
