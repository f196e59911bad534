"""Signal handling of the commands. SIGTERM and SIGHUP act like Ctrl-C, with their own exit codes.

Spec: specs/faults.md, faults-R9, faults-R10. Signals that the parent process ignores (as nohup
does) stay ignored. The previous handlers are restored when the command ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]
SIGNAL_NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SIGNALS = tuple(getattr(signal, name) for name in SIGNAL_NAMES if hasattr(signal, name))


class EndedBySignal(KeyboardInterrupt):
    """A signal ended the command; `number` is the signal's number."""

    def __init__(self, number: int, reason: str = "") -> None:
        super().__init__(*[reason] if reason else [])
        self.number = number


def raise_ended(number: int, frame: FrameType | None) -> None:
    """Signal handler: raise EndedBySignal, as Ctrl-C raises KeyboardInterrupt."""
    raise EndedBySignal(number)


def signal_exit_code(error: BaseException | None) -> int:
    """Return the exit code for the exception of a signal: 128 plus the number of the signal."""
    return 128 + (error.number if isinstance(error, EndedBySignal) else signal.SIGINT)  # faults-R9


def signal_name(error: BaseException) -> str:
    """Return "Ctrl-C", or the name of another signal, for the exception of a signal."""
    number = error.number if isinstance(error, EndedBySignal) else signal.SIGINT
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextmanager
def replace_handlers(expected: Mapping[int, object], handler: Handler) -> Iterator[None]:
    """Handle signals by `handler` in the block, and restore the handlers after it.

    expected: number of each signal -> the handler that is replaced. A signal that has another one,
    such as a signal that the parent process ignores, is unchanged. A handler that the block sets
    stays. No-op outside the main thread.
    """
    is_main = threading.current_thread() is threading.main_thread()  # only it may set handlers
    before = {n: signal.getsignal(n) for n in expected}
    changed = [n for n in expected if before[n] is expected[n]] if is_main else []
    for number in changed:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in changed:
            if signal.getsignal(number) == handler:
                signal.signal(number, before[number])


def raise_on_signals() -> AbstractContextManager[None]:
    """Make the signals raise EndedBySignal in the block."""
    return replace_handlers(dict.fromkeys(SIGNALS, signal.SIG_DFL), raise_ended)


def ignore_signals() -> None:
    """Ignore all signals; only the final messages of the command are left to print."""
    for number in (signal.SIGINT, *SIGNALS):
        signal.signal(number, signal.SIG_IGN)


class StopRequest:
    """A flag set by the first signal: training stops after this step. The second one interrupts."""

    def __init__(self) -> None:
        self.number = 0  # of the received signal, 0 for none

    def __call__(self) -> bool:
        """Return whether a signal was received."""
        return self.number != 0

    @property
    def code(self) -> int:
        """The exit code of a stopped training."""
        return 128 + (self.number or signal.SIGINT)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Store the signal, and let the next signal of any kind interrupt at once."""
        self.number = number
        for other, handler in DEFAULT_HANDLERS.items():
            if signal.getsignal(other) == self.on_signal:
                signal.signal(other, handler)


DEFAULT_HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    **dict.fromkeys(SIGNALS, raise_ended),
}
"""Handlers of the signals outside a training."""


@contextmanager
def stop_on_signals(stop: StopRequest | None = None) -> Iterator[StopRequest]:
    """Let signals request a stop of the training in this block; ignored signals stay ignored."""
    stop = stop or StopRequest()
    with replace_handlers(DEFAULT_HANDLERS, stop.on_signal):
        yield stop
