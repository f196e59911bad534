"""What a check finds wrong, with the evidence that a reproduction needs."""

from __future__ import annotations

from typing import NamedTuple

from mindref.conformance.judging.call import Answer, Anything, Call


class Evidence(NamedTuple):
    """The questions that were asked, and what was wrong with the answer to one of them."""

    calls: tuple[Call, ...]
    part: str = ""  # name of the part that is off; "" if it is no part
    got: Anything | None = None
    low: Anything | None = None  # smallest and largest value allowed
    high: Anything | None = None
    place: int = -1  # of the call among `calls` whose answer it is
    kind: str = "fact"  # "outside" an interval, "raised", "answered" though to be refused,
    # "missing", "beside": a rule of all operators, or a "fact" that is no comparison
    like: tuple[int, Anything] | None = None  # place of another answer, and which numbers of it
    # in their order are expected: what a law says
    frozen: tuple[int, ...] = ()  # places of calls whose arrays must not be written to
    answers: tuple[tuple[int, Answer], ...] = ()  # what came back, and to which call


class Broken(AssertionError):
    """The rules of the check do not hold."""

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.evidence = evidence


class Beside(Broken):
    """A rule of all operators does not hold, so the check cannot say anything of its own."""

    def __init__(self, rule: str, message: str, evidence: Evidence) -> None:
        super().__init__(message, evidence)
        self.rule = rule


class Adrift(Broken):
    """A law holds, but of answers that are not those of the reference."""
