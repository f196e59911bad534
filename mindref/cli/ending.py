"""Signals that end a command: SIGTERM and SIGHUP do what Ctrl-C does, with exit codes of their own.

Spec: specs/faults.md, faults-R9, faults-R10. What whoever started the process has it ignore, as
nohup does, stays ignored. The handlers that were there are put back when the command has ended.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """A signal has ended the command; its number says which exit code."""

    def __init__(self, number: int, why: str = "") -> None:
        super().__init__(*[why] if why else [])
        self.number = number


def end(number: int, frame: FrameType | None) -> None:
    """Leave what is being done, as Ctrl-C makes a program do."""
    raise Ended(number)


def code_of(error: BaseException | None) -> int:
    """Return the exit code of what ended a command: 128 and the number of the signal."""
    return 128 + (error.number if isinstance(error, Ended) else signal.SIGINT)  # faults-R9


@contextmanager
def heard() -> Iterator[None]:
    """Let the signals raise Ended while the block runs; a thread cannot have it so."""
    changed = []
    try:
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                try:
                    signal.signal(number, end)
                except ValueError:  # not the main thread
                    break
                changed.append(number)
        yield
    finally:
        for number in changed:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)


def ignore() -> None:
    """Hear none of them any more: the command is over but for its last words."""
    for number in (signal.SIGINT, *SIGNALS):
        signal.signal(number, signal.SIG_IGN)


class Stop:
    """The first signal asks the training to end after the step at hand; the next one ends it."""

    def __init__(self) -> None:
        self.number = 0  # of the signal that was heard

    def __call__(self) -> bool:
        """Return whether somebody asked for the end."""
        return self.number != 0

    @property
    def code(self) -> int:
        """The exit code of a training that was asked to end."""
        return 128 + (self.number or signal.SIGINT)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take note of the signal; the next one, of any kind, interrupts at once."""
        self.number = number
        for one, handler in AT_ONCE.items():
            if signal.getsignal(one) == self.hear:
                signal.signal(one, handler)


AT_ONCE = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(SIGNALS, end)}
"""What a signal does unless a training is listening."""


@contextmanager
def listening(stop: Stop | None = None) -> Iterator[Stop]:
    """Let the signals end the training in good order while the block runs, unless ignored."""
    stop = stop or Stop()
    if threading.current_thread() is not threading.main_thread():  # signals are not its own
        yield stop
        return
    before = {number: signal.getsignal(number) for number in AT_ONCE}
    taken = [number for number, handler in AT_ONCE.items() if before[number] is handler]
    for number in taken:
        signal.signal(number, stop.hear)
    try:
        yield stop
    finally:
        for number in taken:
            signal.signal(number, before[number])
