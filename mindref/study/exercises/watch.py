"""Check again after each save of the learner's file, until q or Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mindref.errors import DataError
from mindref.study.exercises.commands import Echo, check_exercise
from mindref.study.exercises.workspace import Workspace

PAUSE = 0.1
"""Seconds between two looks at the file."""

FileState = tuple[int, int, int] | None


def wait_for_quit(descriptor: int, quit_event: threading.Event) -> None:
    """Set the event after a line with q; return at the end of standard input."""
    text = b""
    with suppress(OSError):
        # sys.stdin has a lock that this thread would hold at exit
        while data := os.read(descriptor, 256):
            *lines, text = (text + data).split(b"\n")
            if any(line.strip().lower() == b"q" for line in lines):
                quit_event.set()
                return


def watch_exercise(name: str, workspace: Workspace, echo: Echo) -> int:
    """Check now and after every save; return the code of the last check, 130 after Ctrl-C."""
    path = workspace.file_path(name)
    state = get_file_state(path)  # before the check: the file may be saved during the check
    code = check_exercise(name, workspace, echo)
    quit_event, descriptor = threading.Event(), find_stdin()
    if descriptor is not None:
        arguments = (descriptor, quit_event)
        threading.Thread(target=wait_for_quit, args=arguments, daemon=True).start()
    echo(f" Watching {path}: save it to check again, q and Enter to end.")
    try:
        while not quit_event.wait(PAUSE):
            new_state = wait_for_stable_file(path, state, quit_event.wait)
            if new_state != state:
                state = new_state
                echo(f" Saved at {time.strftime('%H:%M:%S')}:")
                with suppress(DataError):  # an editor is replacing the file
                    code = check_exercise(name, workspace, echo)
    except KeyboardInterrupt:
        return 130
    return code


def wait_for_stable_file(path: Path, state: FileState, wait: Callable[[float], bool]) -> FileState:
    """Return the state of a file after two equal looks; `state` while there is no file."""
    current = get_file_state(path)
    while current is not None and current != state:
        wait(PAUSE / 2)
        previous, current = current, get_file_state(path)
        if previous == current:
            return current
    return state


def get_file_state(path: Path) -> FileState:
    """Return modification time, inode and size of a file, None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def find_stdin() -> int | None:
    """Return the descriptor of standard input, None without one."""
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return None
