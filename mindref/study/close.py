"""The names nearest to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return "closest: a, b, c": what to say after a name that nothing has."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, names, n=count, cutoff=0.0)
    return f"closest: {', '.join(near)}"
