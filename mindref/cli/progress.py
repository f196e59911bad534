"""The progress bar of the commands, on standard error. Errors while writing are ignored."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, cast

from mindref.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress


def is_terminal() -> bool:
    """Return whether standard error is a terminal; it may be closed (None)."""
    return sys.stderr is not None and sys.stderr.isatty()


class ProgressBar:
    """A bar with a text before it and a note after it."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=None, note="")

    def start(self, text: str, total: float | None = None) -> None:
        """Begin again at zero; a bar without a total moves from side to side."""
        self.bar.reset(self.task, total=total, description=text, note="")
        self.bar.refresh()

    def update(self, text: str, done: float, note: str = "") -> None:
        """Show how much of the total is done."""
        self.bar.update(self.task, completed=done, description=text, note=note)

    def print_line(self, line: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(printable(line), markup=False)


@contextmanager
def progress_bar(*, transient: bool) -> Iterator[ProgressBar]:
    """Show a bar during the block. transient: remove the bar at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    text = TextColumn("{task.description}", markup=False)
    note = TextColumn("{task.fields[note]}", markup=False)
    console = Console(file=cast(IO[str], TolerantStderr()))
    with Progress(text, BarColumn(), note, console=console, transient=transient) as bar:
        yield ProgressBar(bar)


class TolerantStderr:
    """Standard error for the progress bar; errors of write and flush are ignored (faults-R11)."""

    def __init__(self) -> None:
        self.stream = sys.stderr  # rich replaces sys.stderr while the bar is shown

    def __getattr__(self, name: str) -> object:
        if name == "stream":  # not set yet, as in copy.copy
            raise AttributeError(name)
        attribute: object = getattr(self.stream, name)
        return attribute

    def write(self, text: str) -> int:
        """Write a text; ignore errors."""
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; ignore errors."""
        with suppress(OSError):
            self.stream.flush()
