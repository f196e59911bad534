"""The lock of a folder that a command writes into, held until the command ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from mindref.cli.telling import tell
from mindref.run import atomic, lock

T = TypeVar("T")


def claim(folder: Path, *, make: bool = False) -> None:
    """Hold the lock of a folder; say where there is none. Raises RunError naming the owner.

    make: the folder, where it is not there.
    """
    if make:
        with atomic.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
    line = click.get_current_context().with_resource(lock.inside(folder))  # faults-R4
    if line:
        tell(line)


def claimed(folder: Path, make: Callable[[], T]) -> Callable[[], T]:
    """Return what makes something once the lock of a folder is held."""

    def alone() -> T:
        claim(folder)
        return make()

    return alone


def let_go() -> None:
    """Let go of what this command holds, where the process ends without a word to click."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.close()
