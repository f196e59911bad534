"""Lengths of the lists that are evaluated. Importing this module does not import NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mindref.arguments import is_integer
from mindref.errors import ConfigError, say, value_text

LIST_LENGTHS = (10, 20, 50, 100)
"""n of hit_rate@n and of the other metrics. The paper reports 10, 50 and 100."""

LONGEST = 100_000
"""Maximum length of a list, as in `mindref recall`."""


def check_list_lengths(location: str, lengths: Iterable[Any]) -> list[int]:
    """Return lengths of lists. Raises ConfigError unless each is an integer from 1 to LONGEST."""
    values = list(lengths)
    if not values or not all(is_integer(n) and 1 <= n <= LONGEST for n in values):
        got = value_text(lengths, quoted=True)
        raise ConfigError(say(location, f"lengths of lists from 1 to {LONGEST}", got))
    return [int(n) for n in values]
