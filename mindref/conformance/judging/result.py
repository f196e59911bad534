"""What came of a check, and what came of all of them: the books of a judgement."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mindref.conformance.judging.failure import Evidence

STATUSES = ("passed", "failed", "expected", "blocked", "not_claimed", "itself")
"""expected: fails, and the expectations say so; blocked: fails because of another failure;
not_claimed: was not asked; itself: the reference compared with itself, which says nothing."""


class Result(NamedTuple):
    """One check in one precision."""

    check: str
    rules: tuple[str, ...]
    level: str
    gradient: bool
    precision: str
    status: str
    text: str  # what is asked
    examples: int = 0
    share: float = 0.0  # largest share of the allowed error that was used
    grade: str = "A"  # A statistical bound; B worst case; C loosened by hand
    message: str = ""
    blocked_by: str = ""  # a rule
    reason: str = ""  # of an expectation, an override, or why it was not claimed
    diagnosis: str = ""
    script: str = ""  # path of the reproduction
    seconds: float = 0.0
    evidence: Evidence | None = None
    factor: float = 1.0  # of the allowed error, widened by hand

    @property
    def page(self) -> str:
        """Return the page of its first rule."""
        return self.rules[0].split("-R")[0]

    @property
    def rule(self) -> str:
        """Return the rule that it is listed under."""
        return self.rules[0]


class Report(NamedTuple):
    """A judgement: everything that reports are made of."""

    backend: str
    version: str  # of the package that offers it; "" if unknown
    seed: int
    profile: str
    claims: dict[str, object]
    results: tuple[Result, ...]
    planned: int
    remarks: tuple[str, ...]  # unclaimed things that work, overrides
    problems: tuple[str, ...]  # claims not honoured, stale expectations, books that do not balance
    words: tuple[str, ...] = ()  # pages, rules or checks that were asked for; () for all
    precisions: tuple[str, ...] = ()
    device: str = "cpu"  # where the backend computed

    def counts(self) -> Counter[str]:
        """Return how many results there are of each status."""
        return Counter(r.status for r in self.results)

    @property
    def balanced(self) -> bool:
        """Return whether every planned check is accounted for, once."""
        # conformance-R1
        return self.planned == len(self.results) == sum(self.counts()[s] for s in STATUSES)

    @property
    def conforms(self) -> bool:
        """Return whether nothing failed, nothing is blocked, and the books are in order."""
        counts = self.counts()
        bad = counts["failed"] + counts["blocked"] + len(self.problems)
        return self.balanced and not bad and counts["passed"] > 0
