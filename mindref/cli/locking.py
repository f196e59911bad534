"""Locks on the folders that a command writes to, held until the command ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from mindref.cli.stderr import print_stderr
from mindref.run import atomic, lock

T = TypeVar("T")


def lock_folder(folder: Path, *, make: bool = False) -> None:
    """Lock a folder, or warn where locks do not work. Raises RunError with the lock's owner.

    make: create the folder if it is missing.
    """
    if make:
        with atomic.explain_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    line = click.get_current_context().with_resource(lock.lock_inside(folder))  # faults-R4
    if line:
        print_stderr(line)


def with_folder_lock(folder: Path, make: Callable[[], T]) -> Callable[[], T]:
    """Wrap `make` so that it runs under the folder's lock."""

    def make_locked() -> T:
        lock_folder(folder)
        return make()

    return make_locked


def release_locks() -> None:
    """Release the locks of this command, for an exit that bypasses click."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.close()
