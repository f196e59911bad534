"""Lines about slow or large work, for the user.

The command line adds a listener that prints the lines on standard error. In Python, the logger
`mindref` receives them (callbacks-R9).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]
listeners: list[Listener] = []


def announce(line: str, *, is_warning: bool = False) -> None:
    """Pass a line to the logger and to all listeners; a warning begins with "Warning: " there."""
    logging.getLogger("mindref").log(logging.WARNING if is_warning else logging.INFO, "%s", line)
    for listener in list(listeners):
        listener(f"Warning: {line}" if is_warning else line)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Let a listener receive the lines of the block."""
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)
