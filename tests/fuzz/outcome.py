"""Run a function on any input: it must return, or raise a readable error of mindref, in time."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mindref.errors import MindrefError

LIMIT = 20.0  # seconds of processor time, for inputs that take milliseconds: beyond is a hang
LONGEST = 20_000  # letters of a message
GRAMMAR = re.compile(r".+: expected .+, got .+", re.DOTALL)
COUNTS: Counter[str] = Counter()  # inputs tried in this process: answered, refused


class Hang(BaseException):
    """Nothing came of an input; not an Exception, which the code under test may catch."""


@contextmanager
def in_time(seconds: float = LIMIT) -> Iterator[None]:
    """Raise Hang in the block when it has computed for so long: a busy machine is no fault."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"no outcome after {seconds} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def outcome(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return the answer, or the error of ours whose message has been checked; all else raises."""
    try:
        with in_time():
            answer = function(*arguments, **options)
    except MindrefError as error:
        check_message(str(error))
        COUNTS["refused"] += 1
        return error
    COUNTS["answered"] += 1
    return answer


def check_message(text: str) -> None:
    """Raise AssertionError unless a message has the grammar of mindref.errors and can be shown."""
    assert GRAMMAR.match(text), f"no grammar: {text[:500]!r}"
    assert len(text) <= LONGEST, f"{len(text)} letters: {text[:200]!r} ..."
    strange = [char for char in text if not char.isprintable() and char != "\n"]
    assert not strange, f"control characters {strange[:5]!r} in {text[:500]!r}"
