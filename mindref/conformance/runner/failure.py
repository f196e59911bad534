"""Failures that a check raises, with the evidence that a reproduction script needs."""

from __future__ import annotations

from typing import NamedTuple

from mindref.conformance.runner.call import Answer, AnyArray, Call


class Evidence(NamedTuple):
    """The calls that a check made, and what is wrong with one of the answers."""

    calls: tuple[Call, ...]
    part: str = ""  # name of the wrong part; "" if no part is wrong
    got: AnyArray | None = None
    low: AnyArray | None = None  # smallest and largest allowed value
    high: AnyArray | None = None
    call_index: int = -1  # index in `calls` of the call with the wrong answer
    kind: str = "fact"
    """"outside": a number is outside its interval; "raised": an unexpected exception; "answered":
    an invalid call did not raise; "missing": a part is missing; "common_rule": a rule of all
    operators is broken; "fact": none of these.
    """
    source: tuple[int, AnyArray] | None = None
    """For a property: index of the call whose answer was expected, and which of its numbers."""
    read_only: tuple[int, ...] = ()  # indices of calls with read-only arrays
    answers: tuple[tuple[int, Answer], ...] = ()  # index of the call, answer


class CheckFailed(AssertionError):
    """The implementation breaks the rules of the check."""

    def __init__(self, message: str, evidence: Evidence) -> None:
        super().__init__(message)
        self.evidence = evidence


class CommonRuleFailed(CheckFailed):
    """The implementation breaks a rule of all operators, so that the check proves nothing."""

    def __init__(self, rule: str, message: str, evidence: Evidence) -> None:
        super().__init__(message, evidence)
        self.rule = rule


class PropertyOnWrongAnswers(CheckFailed):
    """A property holds, but the answers differ from the reference."""
