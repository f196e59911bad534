"""The result of one check of `mindref doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


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
        summary: str,
        todo: str = "",
        facts: Mapping[str, Any] | None = None,
        problem: bool = False,
    ) -> Finding:
        """Return a finding without a name: ok without `todo`, else a problem or a note."""
        state = "problem" if problem else "note" if todo else "ok"
        return cls("", state, summary, todo, dict(facts or {}))
