"""The result of a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mindref.errors import FOREIGN_ERRORS

STATES = ("ok", "note", "problem")
"""Works; something is missing or slow but not needed; or mindref cannot work."""

BUG = "this is a bug in mindref doctor: please report it"


class Finding(NamedTuple):
    """The state of one subject, and what to do about it."""

    name: str
    state: str  # of STATES
    summary: str
    todo: str = ""  # empty if nothing needs to be done
    facts: dict[str, Any] = {}  # noqa: RUF012  # JSON values; never modified

    @classmethod
    def ok(cls, name: str, summary: str, **facts: Any) -> Finding:
        """Return a finding of something that works."""
        return cls(name, "ok", summary, "", facts)

    @classmethod
    def note(cls, name: str, summary: str, todo: str, **facts: Any) -> Finding:
        """Return a finding of something missing or slow that mindref does not need."""
        return cls(name, "note", summary, todo, facts)

    @classmethod
    def problem(cls, name: str, summary: str, todo: str, **facts: Any) -> Finding:
        """Return a finding of something without which mindref cannot work."""
        return cls(name, "problem", summary, todo, facts)


def capture_finding(name: str, check: Callable[[], Finding]) -> Finding:
    """Return the finding of a check; a note if the check itself fails."""
    try:
        return check()
    except FOREIGN_ERRORS as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding.note(name, f"the check failed ({cause})", BUG)


def installation_works(findings: list[Finding]) -> bool:
    """Return whether no finding is a problem."""
    return all(finding.state != "problem" for finding in findings)
