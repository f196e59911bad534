"""What a file holds, as a message may show it: no control bytes, and not too long."""

from __future__ import annotations

from collections.abc import Iterable

from mindref.errors import printable

MOST = 200  # letters of a line
VALUE = 60  # of a value in it


def shown(text: str, most: int = VALUE) -> str:
    """Return text in quotes, control bytes escaped, cut after `most` letters."""
    return repr(text if len(text) <= most else text[:most] + "...")


def clean(text: str, most: int = MOST) -> str:
    """Return text without quotes, control bytes escaped, cut after `most` letters."""
    return printable(text if len(text) <= most else text[:most] + "...")


def listed(names: Iterable[object]) -> str:
    """Return names between commas, as `clean` shows them."""
    return clean(", ".join(map(str, names)))
