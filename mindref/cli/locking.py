"""Locks on the folders that a command writes to, held until the command ends."""

from __future__ import annotations

from pathlib import Path

import click

from mindref.cli.streams import print_stderr
from mindref.run import atomic, lock


def lock_folder(folder: Path, *, make: bool = False) -> str:
    """Lock a folder, or warn where locks do not work. Raises RunError with the lock's owner.

    make: create the folder if it is missing. Returns the printed warning, or "".
    """
    if make:
        with atomic.explain_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    line = click.get_current_context().with_resource(lock.lock_inside(folder))  # faults-R4
    if line:
        print_stderr(line)
    return line


def release_locks() -> None:
    """Release the locks of this command, for an exit that bypasses click."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.close()
