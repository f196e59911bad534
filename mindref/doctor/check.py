"""What one subject comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mindref.errors import STRANGE

STATES = ("ok", "note", "problem")
"""Nothing to say; something that is missing or slow, which mindref does without; or a failure."""

BUG = "this is a bug in mindref doctor: please report it"


class Check(NamedTuple):
    """What was looked at, what it came to, and what to do."""

    name: str
    state: str  # of STATES
    found: str
    todo: str = ""  # empty where nothing needs to be done
    facts: dict[str, Any] = {}  # noqa: RUF012  # the same for machines, plain values; never written


def ok(name: str, found: str, **facts: Any) -> Check:
    """Return a check that found what it looked for."""
    return Check(name, "ok", found, "", facts)


def note(name: str, found: str, todo: str, **facts: Any) -> Check:
    """Return a check that found something missing or slow, which mindref does without."""
    return Check(name, "note", found, todo, facts)


def problem(name: str, found: str, todo: str, **facts: Any) -> Check:
    """Return a check that found what keeps mindref from its work."""
    return Check(name, "problem", found, todo, facts)


def guarded(name: str, look: Callable[[], Check]) -> Check:
    """Return what a check found, or that the check itself has failed: that decides nothing."""
    try:
        return look()
    except STRANGE as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return note(name, f"could not be looked at ({what})", BUG)


def works(checks: list[Check]) -> bool:
    """Return whether mindref does its work here: notes are no failure."""
    return all(check.state != "problem" for check in checks)
