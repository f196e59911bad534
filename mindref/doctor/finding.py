"""The result of a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mindref.errors import FOREIGN_ERRORS

BUG = "this is a bug in mindref doctor: please report it"


class Finding(NamedTuple):
    """The result of one check of `mindref doctor`: a state, a summary, and an action if needed."""

    name: str
    state: str  # ok; note: missing or slow, but not needed; problem: mindref cannot work
    summary: str
    todo: str = ""  # empty if nothing needs to be done
    facts: dict[str, Any] = {}  # noqa: RUF012  # JSON values; never modified

    @classmethod
    def of(
        cls,
        name: str,
        summary: str,
        todo: str = "",
        facts: Mapping[str, Any] | None = None,
        *,
        problem: bool = False,
    ) -> Finding:
        """Return a finding: ok if there is nothing to do, else a problem or a note."""
        state = "problem" if problem else "note" if todo else "ok"
        return cls(name, state, summary, todo, dict(facts or {}))


def capture_finding(name: str, check: Callable[[], Finding]) -> Finding:
    """Return the finding of a check; a note if the check itself fails."""
    try:
        return check()
    except FOREIGN_ERRORS as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding.of(name, f"the check failed ({cause})", BUG)


def installation_works(findings: list[Finding]) -> bool:
    """Return whether no finding is a problem."""
    return all(finding.state != "problem" for finding in findings)
