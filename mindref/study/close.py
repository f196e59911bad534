"""The names nearest to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the names nearest to one that nothing has, the nearest first."""
    return difflib.get_close_matches(name, list(dict.fromkeys(known)), n=count, cutoff=0.0)


def closest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return "closest: a, b, c": what to say after a name that nothing has."""
    return f"closest: {', '.join(nearest(name, known, count))}"
