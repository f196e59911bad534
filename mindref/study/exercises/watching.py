"""Check again whenever the learner's file is saved, until q or Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mindref.errors import DataError
from mindref.study.exercises.commands import Echo, check
from mindref.study.exercises.desk import Desk

PAUSE = 0.1
"""Seconds between two looks at the file."""

Signature = tuple[int, int, int] | None


class Keys(threading.Thread):
    """Waits for a line with q on standard input; without one it waits for ever."""

    def __init__(self, descriptor: int | None) -> None:
        super().__init__(daemon=True)
        self.descriptor, self.quit = descriptor, threading.Event()

    def run(self) -> None:
        """Read lines until q or the end."""
        if self.descriptor is None:
            return
        text = b""
        with suppress(OSError):
            # not by way of sys.stdin, whose lock would be held when the program ends
            while data := os.read(self.descriptor, 256):
                *whole, text = (text + data).split(b"\n")
                if any(line.strip().lower() == b"q" for line in whole):
                    self.quit.set()
                    return


def watch(name: str, desk: Desk, echo: Echo, *, keys: Keys | None = None) -> int:
    """Check now and at every save; return the code of the last check, 130 after Ctrl-C."""
    seen = signature(desk.file(name))  # before the check, which takes time: a save may fall into it
    code = check(name, desk, echo)
    keys = keys or Keys(standard_input())
    keys.start()
    echo(f" Watching {desk.file(name)}: save it to check again, q and Enter to end.")
    try:
        while not keys.quit.wait(PAUSE):
            now = settled(desk.file(name), seen, keys.quit.wait)
            if now != seen:
                seen = now
                echo(f" Saved at {time.strftime('%H:%M:%S')}:")
                with suppress(DataError):  # gone again: an editor replaces it
                    code = check(name, desk, echo)
    except KeyboardInterrupt:
        return 130
    return code


def settled(path: Path, seen: Signature, wait: Callable[[float], bool]) -> Signature:
    """Return what a file looks like, once two looks at it agree; `seen` while it is not there."""
    now = signature(path)
    while now is not None and now != seen:
        wait(PAUSE / 2)
        before, now = now, signature(path)
        if before == now:
            return now
    return seen


def signature(path: Path) -> Signature:
    """Return what changes when a file is saved or replaced, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def standard_input() -> int | None:
    """Return the descriptor of standard input, None where there is none to wait at."""
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return None
