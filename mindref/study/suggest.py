"""Suggestions for a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_names(name: str, existing: Iterable[str], count: int = 3) -> list[str]:
    """Return the existing names most similar to an unknown name, the most similar first."""
    return difflib.get_close_matches(name, list(dict.fromkeys(existing)), n=count, cutoff=0.0)


def suggest_names(name: str, existing: Iterable[str], count: int = 3) -> str:
    """Return the hint of an error message for an unknown name: "closest: a, b, c"."""
    return f"closest: {', '.join(nearest_names(name, existing, count))}"
